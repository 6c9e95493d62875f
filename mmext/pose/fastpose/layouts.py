"""Which points an object has: names, left and right, bones, and how far people disagree on each.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      train on COCO's 17 points of a person, then on PoseTrack's 15, with the joints that both
          have in the same places of the head
Host      none: numpy alone
Source    sigmas of COCO are those of pycocotools; COCO says nothing about neck and top of the head,
          which get a shoulder's
Letters   G objects; K points of the layout; S points of a file
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError, did_you_mean, some

Pairs: TypeAlias = tuple[tuple[int, int], ...]
JointMap: TypeAlias = tuple[tuple[int, ...], ...]
"""For each point of a layout the points of a file that it is the middle of: none, one or more."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The points of an object; what is not known is None."""

    names: tuple[str, ...]
    flip_pairs: Pairs | None = None
    """Places that change when the picture is mirrored; ``()`` if none does."""
    skeleton: Pairs | None = None
    """Places that a bone joins."""
    sigmas: tuple[float, ...] | None = None
    """Spread of each point, as a share of the object's size (OKS)."""


def _sides(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


def pairs_by_name(names: Sequence[str]) -> Pairs | None:
    """Points whose names differ in left and right alone; None if no name says a side.

    Example:
        >>> pairs_by_name(["nose", "left_eye", "right_eye"])
        ((1, 2),)
        >>> pairs_by_name(["nose", "tail"])
    """
    place = {name: number for number, name in enumerate(names)}
    found = tuple(
        (number, place[other])
        for name, number in place.items()
        if "left" in name and (other := name.replace("left", "right")) in place
    )
    return found or None


def _bones(names: Sequence[str], text: str) -> Pairs:
    return tuple(
        (names.index(one), names.index(other))
        for one, other in (bone.split("-") for bone in text.split())
    )


_BODY = _sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_HEAD = ("nose", *_sides("eye", "ear"))
_BODY_SIGMAS = tuple(s for s in (0.079, 0.072, 0.062, 0.107, 0.087, 0.089) for _ in "LR")
_LIMBS = (
    "left_ankle-left_knee left_knee-left_hip right_ankle-right_knee right_knee-right_hip "
    "left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip "
    "left_shoulder-right_shoulder left_shoulder-left_elbow right_shoulder-right_elbow "
    "left_elbow-left_wrist right_elbow-right_wrist "
)


def _layout(head: tuple[str, ...], bones: str, sigmas: tuple[float, ...]) -> Layout:
    names = (*head, *_BODY)
    return Layout(
        names, pairs_by_name(names), _bones(names, _LIMBS + bones), (*sigmas, *_BODY_SIGMAS)
    )


KNOWN = {
    "coco": _layout(
        _HEAD,
        "left_eye-right_eye nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
        "left_ear-left_shoulder right_ear-right_shoulder",
        (0.026, 0.025, 0.025, 0.035, 0.035),
    ),
    "posetrack15": _layout(
        ("nose", "head_bottom", "head_top"),
        "head_bottom-nose nose-head_top left_shoulder-head_bottom right_shoulder-head_bottom",
        (0.026, 0.079, 0.079),
    ),
    "posetrack17": _layout(
        ("nose", "head_bottom", "head_top", "left_ear", "right_ear"),
        "head_bottom-nose nose-head_top left_shoulder-head_bottom right_shoulder-head_bottom",
        (0.026, 0.079, 0.079, 0.035, 0.035),
    ),
}
"""COCO's 17; PoseTrack's 15, of all its years; the 17 of its files since 2018, whose ears are
never marked. The numbers count points: PoseTrack 2017 has 15."""


def known(name: str) -> Layout:
    """A layout by its name.

    Raises:
        BadInputError: there is none of that name.
    """
    if name not in KNOWN:
        raise BadInputError(
            f"expected a layout among {', '.join(KNOWN)}, got {name!r}"
            f"{did_you_mean(name, KNOWN)}; name one, or write keypoint_names into metainfo"
        )
    return KNOWN[name]


def usual(num_points: int) -> Layout | None:
    """The layout of a person with so many points, where nobody names it; None for other numbers."""
    return {17: KNOWN["coco"], 15: KNOWN["posetrack15"]}.get(num_points)


def usual_skeleton(num_points: int) -> Pairs:
    """Its bones; none for other numbers."""
    layout = usual(num_points)
    return (layout and layout.skeleton) or ()


def of_category(category: Mapping[str, Any]) -> Layout | None:
    """What a file's category says of its points; None if it has none.

    Example:
        >>> of_category(dict(keypoints=["left_eye", "right_eye"], skeleton=[[1, 2]]))
        Layout(names=('left_eye', 'right_eye'), flip_pairs=None, skeleton=((0, 1),), sigmas=None)
    """
    names = tuple(map(str, category.get("keypoints") or ()))
    if not names:
        return None
    pairs, sigmas = category.get("flip_pairs"), category.get("sigmas")
    bones = category.get("skeleton")
    return Layout(
        names,
        None if pairs is None else as_places(pairs, names),
        None if bones is None else tuple((one - 1, other - 1) for one, other in bones),
        None if sigmas is None else tuple(map(float, sigmas)),
    )


def as_places(pairs: Sequence[Sequence[int | str]], names: Sequence[str]) -> Pairs:
    """Pairs of places or of names, as pairs of places.

    Raises:
        BadInputError: there is no such point.

    Example:
        >>> as_places([("a", "c")], ["a", "b", "c"])
        ((0, 2),)
    """
    numbers = {one: place for place, name in enumerate(names) for one in (place, name)}
    for one in (one for pair in pairs for one in pair):
        if one not in numbers:
            raise BadInputError(
                f"expected pairs of points among {some(names)} or their places, got {one!r}; "
                "correct flip_pairs or skeleton"
            )
    return tuple((numbers[one], numbers[other]) for one, other in pairs)


def chosen(given: Mapping[str, Any], name: str | None, category: Layout | None) -> Layout | None:
    """The layout of a data set: what its metainfo says, else the one it names, else its file's.

    What is missing is taken from a known layout of the same points, and sides from names.

    Args:
        given: metainfo with any of keypoint_names, flip_pairs, skeleton, sigmas.
        name: of a known layout.
        category: what the file says.

    Raises:
        BadInputError: the numbers of names and sigmas differ, or a pair names no point.
    """
    base = known(name) if name else category
    names = tuple(given.get("keypoint_names") or (base.names if base else ()))
    if not names:
        return None
    if base is None or base.names != names:
        base = Layout(names)
    same = next((one for one in KNOWN.values() if one.names == names), Layout(names))
    pairs, bones, sigmas = (given.get(key) for key in ("flip_pairs", "skeleton", "sigmas"))
    if sigmas is not None and len(sigmas) != len(names):
        raise BadInputError(
            f"expected a sigma for each of {len(names)} keypoints, got {len(sigmas)}; write "
            f"{len(names)} into metainfo"
        )
    first = _first(None if pairs is None else as_places(pairs, names), base.flip_pairs)
    return Layout(
        names,
        _first(first, same.flip_pairs, pairs_by_name(names)),
        _first(None if bones is None else as_places(bones, names), base.skeleton, same.skeleton),
        _first(None if sigmas is None else tuple(map(float, sigmas)), base.sigmas, same.sigmas),
    )


def _first(*values: Any) -> Any:
    return next((one for one in values if one is not None), None)


def joint_map(
    names: Sequence[str],
    source: Sequence[str],
    renamed: Mapping[str, str | Sequence[str]] | None = None,
) -> JointMap:
    """Where each point of a layout comes from among the points of a file: by name.

    Args:
        names: the layout's.
        source: the file's.
        renamed: for points of the layout, the name in the file, or several to take the middle of.

    Raises:
        BadInputError: no point of the layout is in the file, or a renamed one is not.

    Example:
        >>> joint_map(["nose", "neck"], ["nose", "left", "right"], dict(neck=("left", "right")))
        ((0,), (1, 2))
    """
    place = {name: number for number, name in enumerate(source)}
    renamed = renamed or {}
    parts = {key: [one] if isinstance(one, str) else list(one) for key, one in renamed.items()}
    wrong = [name for name in parts if name not in names]
    wrong += [name for taken in parts.values() for name in taken if name not in place]
    if wrong:
        raise BadInputError(
            f"expected joint_map from {some(names)} to {some(source)}, got {wrong[0]!r}"
            f"{did_you_mean(wrong[0], [*names, *source])}; correct the name"
        )
    found = tuple(
        tuple(place[one] for one in parts.get(name, [name] if name in place else ()))
        for name in names
    )
    if not any(found):
        raise BadInputError(
            f"expected keypoints named {some(names)} in the file, got {some(source)}; name its "
            "points in metainfo (keypoint_names), or say in joint_map which are which"
        )
    return found


def converted(
    points: Float[np.ndarray, "*G S 3"], mapping: JointMap
) -> Float[np.ndarray, "*G K 3"]:
    """Points of a file in the order of a layout.

    A point that the file lacks, and the middle of points of which one is unlabelled, is unlabelled:
    zeros. The middle of several is as visible as the least of them.

    Example:
        >>> converted(np.array([[1.0, 2, 2], [3.0, 4, 1]]), ((0, 1), ()))
        array([[2., 3., 1.],
               [0., 0., 0.]])
    """
    places, sources, several = _moves(mapping)
    out = np.zeros((*points.shape[:-2], len(mapping), 3), points.dtype)
    taken = points[..., sources, :]
    out[..., places, :] = np.where(taken[..., 2:] > 0, taken, 0)
    for place, parts in several:
        taken = points[..., parts, :]
        visible = taken[..., 2].min(-1)
        out[..., place, :2] = np.where(visible[..., None] > 0, taken[..., :2].mean(-2), 0)
        out[..., place, 2] = visible
    return out


@functools.cache
def _moves(mapping: JointMap) -> tuple[np.ndarray, np.ndarray, list[tuple[int, list[int]]]]:
    """Places that one point of a file goes to, these points, and the middles of several.

    Once a mapping: a large file has hundreds of thousands of objects.
    """
    single = [(place, parts[0]) for place, parts in enumerate(mapping) if len(parts) == 1]
    several = [(place, list(parts)) for place, parts in enumerate(mapping) if len(parts) > 1]
    places, sources = np.array(single, np.intp).reshape(-1, 2).T
    return places, sources, several
