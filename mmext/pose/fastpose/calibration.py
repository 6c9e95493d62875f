"""How alike an embedding finds one person and two: where the threshold for a lost one lies.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none: numpy alone
Deviates  ours: r lies a quarter of the way from the mean of others to the mean of the same
Letters   N sightings; D numbers of an embedding
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmext.errors import BadInputError
from mmext.pose.fastpose.annotations import identity
from mmext.pose.fastpose.dumped import Seen
from mmext.pose.fastpose.matching import assign
from mmext.pose.fastpose.similarity import iou, unit

WAY = 0.25
"""From others to the same. Low: that a track is lost for good costs as much as a wrong one."""
IS_PERSON = 0.5
"""IoU from which a detection is the labelled person."""


class Alikeness(NamedTuple):
    """Mean cosine of two sightings of one person, and of two persons."""

    same: float
    other: float

    @property
    def lost_score(self) -> float:
        """The tracker's r."""
        return self.other + WAY * (self.same - self.other)


def alikeness(embeddings: Float[np.ndarray, "N D"], people: Int[np.ndarray, " N"]) -> Alikeness:
    """Means over all pairs of sightings of one person, and of two.

    Raises:
        BadInputError: there are no such pairs.

    Example:
        >>> alikeness(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([3, 3, 5]))
        Alikeness(same=1.0, other=0.0)
    """
    looks = unit(embeddings)
    numbers, place, counts = np.unique(people, return_inverse=True, return_counts=True)
    pairs = float((counts * (counts - 1)).sum()), float(len(people) ** 2 - (counts**2).sum())
    if not all(pairs):
        raise BadInputError(
            f"expected a labelled clip with two people, and one of them seen twice, got "
            f"{len(people)} sightings of {len(numbers)} people; label more frames"
        )
    sums = np.zeros((len(numbers), looks.shape[1]))
    np.add.at(sums, place, looks)
    # Sums of all products at once: the square of a sum holds every pair twice, and the squares.
    within = (sums**2).sum()
    squares = (looks**2).sum()
    between = (looks.sum(0) ** 2).sum() - within
    return Alikeness(float((within - squares) / pairs[0]), float(between / pairs[1]))


def sightings(
    frames: Iterable[Seen], labelled: Mapping[str, Any]
) -> tuple[Float[np.ndarray, "N D"], Int[np.ndarray, " N"]]:
    """Embeddings of the detections that lie on labelled people, and who these are.

    Args:
        frames: with embeddings.
        labelled: images and annotations with track_id; images are found by id.

    Raises:
        BadInputError: no detection with an embedding lies on a labelled person, or an identity is
            in a frame twice.
    """
    of_image = people_of(labelled)
    videos: dict[Any, int] = {}
    looks, people = [], []
    for frame in frames:
        true = list(of_image.get(frame.image["id"], {}).values())
        boxes, embeddings = frame.found["boxes"], frame.found["embeddings"]
        if not true or embeddings is None or boxes is None:
            continue
        marked = np.array([one["bbox"] for one in true], float).reshape(-1, 4)
        marked[:, 2:] += marked[:, :2]
        table = iou(marked, boxes)
        # the same number in another video is another person
        offset = videos.setdefault(frame.video, len(videos)) << 32
        for row, column in assign(table, table > IS_PERSON).tolist():
            looks.append(embeddings[column])
            people.append(offset + int(identity(true[row]) or 0))
    if not looks:
        raise BadInputError(
            "expected detections with an embedding on labelled people, got none; write embedding "
            "into the detections, and track_id and bbox into the labels of the same images"
        )
    return np.array(looks, float), np.array(people, np.int64)


def people_of(labelled: Mapping[str, Any]) -> dict[Any, dict[int, Any]]:
    """Of each image the annotations with a box, by identity; crowds are left out.

    Raises:
        BadInputError: an identity is in a frame twice.
    """
    found: dict[Any, dict[int, Any]] = {}
    for one in labelled.get("annotations", ()):
        own = identity(one)
        if own is None or not one.get("bbox") or one.get("iscrowd"):
            continue
        people = found.setdefault(one["image_id"], {})
        if own in people:
            raise BadInputError(
                f"--calibrate: expected each identity once in a frame, got {own} twice in image "
                f"{one['image_id']}; correct one"
            )
        people[own] = one
    return found
