"""From an annotation of a COCO or PoseTrack file to points in a data set's layout.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none: numpy alone
Letters   K points of the layout; S points of a file
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError, some
from mmext.pose.fastpose import layouts
from mmext.pose.fastpose.layouts import JointMap, Layout

UNKNOWN = -1
"""Identity of an object that nobody named; 0 is an identity like any other."""

MARGIN = 0.1
"""Of the sides of a box around points, where a file has no boxes."""


@dataclass(frozen=True)
class PointReader:
    """How a file's points become those of a layout."""

    file: str
    layout: Layout
    maps: Mapping[Any, JointMap] = field(default_factory=dict)
    """For each category with points; classes without points have no entry."""
    counts: Mapping[Any, int] = field(default_factory=dict)
    """Points that an annotation of a category has in the file."""
    offset: int | float = 0.0
    """What to add to the file's coordinates: half a pixel where they count pixels from 0."""
    visible_from: int = 2
    """The v that means visible: 2 as in COCO, or 1 as in PoseTrack."""

    def visibility(self, points: Float[np.ndarray, "S 3"]) -> Float[np.ndarray, " S"]:
        """Of points as a file has them: 0 unlabelled, 1 hidden, 2 visible.

        COCO's v says so itself. PoseTrack's is 1 for a visible point, and 0 for a hidden one and
        for one that nobody marked, whose place is (0, 0).
        """
        if self.visible_from == 2:
            return points[:, 2]
        marked = (points[:, :2] != 0).any(1) | (points[:, 2] > 0)
        return np.where(points[:, 2] > 0, 2, marked).astype(points.dtype)

    def points(self, annotation: Mapping[str, Any]) -> Float[np.ndarray, "K 3"] | None:
        """Points of an annotation; None if it has none, or its class has none.

        Raises:
            BadInputError: it has another number of them than its category says.
        """
        values, category = annotation.get("keypoints"), annotation.get("category_id")
        if not values or category not in self.maps:
            return None
        if len(values) != 3 * self.counts[category]:
            raise BadInputError(
                f"{self.file}: annotation {annotation.get('id')}: expected 3 numbers for each of "
                f"{self.counts[category]} keypoints, got {len(values)}; write x, y, v for all of "
                "them, zeros for those that are not labelled"
            )
        points = np.asarray(values, np.float32).reshape(-1, 3)
        points[:, 2] = self.visibility(points)
        points[:, :2] += self.offset
        return layouts.converted(points, self.maps[category])  # unlabelled ones become zeros

    @property
    def metainfo(self) -> dict[str, Any]:
        """What the data set tells of its points."""
        return dict(
            keypoint_names=self.layout.names,
            flip_pairs=self.layout.flip_pairs,
            skeleton=self.layout.skeleton,
            sigmas=self.layout.sigmas,
            point_offset=self.offset,
        )

    @property
    def told_to_transforms(self) -> dict[str, Any]:
        """What transforms and heads want to know of the points of each picture."""
        return dict(
            num_keypoints=len(self.layout.names),
            flip_pairs=self.layout.flip_pairs,
            sigmas=self.layout.sigmas,
        )


def reader_of(
    categories: Sequence[Mapping[str, Any]],
    *,
    file: str,
    metainfo: Mapping[str, Any],
    layout: str | None = None,
    joint_map: Mapping[str, str | Sequence[str]] | None = None,
    offset: int | float = 0.0,
    visible_from: int = 2,
) -> PointReader:
    """Decide the layout of a data set, and how the points of each category get there.

    Args:
        categories: those whose classes are wanted.
        file: for the sentences.
        metainfo: of the data set; keypoint_names, flip_pairs, skeleton and sigmas count.
        layout: name of a known layout.
        joint_map: points of the layout that the file names otherwise.
        offset: as in :class:`PointReader`.
        visible_from: as in :class:`PointReader`.

    Raises:
        BadInputError: nobody says which points there are, or two say it differently.
    """
    stated = {one["id"]: layouts.of_category(one) for one in categories}
    own = {key: one for key, one in stated.items() if one is not None}
    first = next(iter(own.values()), None)
    wanted = layouts.chosen(metainfo, layout, first)
    if wanted is None:
        raise BadInputError(
            f"{file}: expected categories with keypoints, got none; write their names into "
            "keypoint_names of metainfo, or name a layout"
        )
    named = bool(layout or metainfo.get("keypoint_names"))
    for one in own.values():
        if not named and first is not None and one.names != first.names:
            raise BadInputError(
                f"{file}: expected the same keypoints in all classes, got "
                f"{len(first.names)} ({some(first.names, 2)}) and {len(one.names)} "
                f"({some(one.names, 2)}); give each a data set, or name the points in metainfo"
            )
    # A class without points in a file that names points for others has none; where the file names
    # none at all, metainfo speaks for every class.
    names = {key: one.names for key, one in own.items()} or dict.fromkeys(stated, wanted.names)
    return PointReader(
        file,
        wanted,
        {key: layouts.joint_map(wanted.names, one, joint_map) for key, one in names.items()},
        {key: len(one) for key, one in names.items()},
        offset,
        visible_from,
    )


class ReadsPoints:
    """What both data sets of this paper have: how a config says which points there are.

    ``mmext verify`` asks it, so that it decides as the data set will.
    """

    METAINFO: ClassVar[dict[str, Any]] = {"classes": ("person",), "palette": [(220, 20, 60)]}

    @classmethod
    def reader_for(
        cls, config: Mapping[str, Any], categories: Sequence[Mapping[str, Any]], file: str
    ) -> PointReader:
        """How a data set of that config reads the points of a file with these categories.

        Raises:
            BadInputError: the file has none of its classes, or as :func:`reader_of`.
        """
        metainfo = {**cls.METAINFO, **(config.get("metainfo") or {})}
        wanted = [one for one in categories if one["name"] in metainfo["classes"]]
        if not wanted:
            raise BadInputError(
                f"{file}: expected categories among {some(metainfo['classes'])}, got "
                f"{some(str(one['name']) for one in categories)}; set metainfo=dict(classes=…)"
            )
        given = {key: config[key] for key in ("layout", "joint_map") if key in config}
        given["offset"] = config.get("point_offset", 0.0)
        given["visible_from"] = config.get("visible_from", 2)
        return reader_of(wanted, file=file, metainfo=metainfo, **given)


def identity(annotation: Mapping[str, Any]) -> int | None:
    """The number that a file gives an object over time; None if it gives none.

    Raises:
        BadInputError: it is no number.

    Example:
        >>> identity(dict(track_id=0)), identity(dict(instance_id=3)), identity({})
        (0, 3, None)
    """
    value = annotation.get("track_id", annotation.get("instance_id"))
    if value is None:
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInputError(
            f"annotation {annotation.get('id')}: expected a number as track_id, got {value!r}; "
            "number the identities"
        )
    return None if value < 0 else int(value)


def box_around(points: Float[np.ndarray, "K 3"]) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of the labelled points, a little wider; None if there is none.

    Example:
        >>> box_around(np.array([[10.0, 10, 2], [20.0, 30, 1], [0.0, 0, 0]]))
        (9.0, 8.0, 21.0, 32.0)
    """
    labelled = points[points[:, 2] > 0, :2].astype(float)
    if not len(labelled):
        return None
    low, high = labelled.min(0), labelled.max(0)
    wider = MARGIN * (high - low)
    left, top, right, bottom = (round(float(x), 3) for x in (*(low - wider), *(high + wider)))
    return left, top, right, bottom
