"""What the tracker knows: the detections of a frame, and the tracks, each as a set of arrays.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (no public code)
Idea      All tracks move, age and are written at once, since a frame may have hundreds.
Host      none: numpy alone
Letters   M tracks; N detections; K points; D embedding; boxes xyxy, pixels
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError
from mmext.pose.fastpose.similarity import unit, visible_share

LEAST_GAIN = 0.4
"""Of a velocity: a mean of the first two steps, a moving average from there; it follows a turn."""

R = TypeVar("R", bound="Rows")


@dataclass
class Rows:
    """Arrays of one length, one row a person.

    Their shapes are comments here, since checking each of them costs more than a step.
    """

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def select(self: R, rows: Any) -> R:
        """Some of the rows: a mask or indices."""
        return type(self)(*(getattr(self, one.name)[rows] for one in fields(self)))

    def joined(self: R, other: R) -> R:
        """The rows of both."""
        names = [one.name for one in fields(self)]
        return type(self)(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))


@dataclass
class Detections(Rows):
    """The persons that a detector found in a frame."""

    boxes: np.ndarray  # (N, 4)
    scores: np.ndarray  # (N,)
    poses: np.ndarray  # (N, K, 2)
    visible: np.ndarray  # (N, K)
    share: np.ndarray  # (N,) v, of the points that are seen
    embeddings: np.ndarray  # (N, D)
    labels: np.ndarray  # (N,)


def detections(
    boxes: Any,
    scores: Any,
    keypoints: Any = None,
    visibility: Any = None,
    embeddings: Any = None,
    labels: Any = None,
    *,
    threshold: float = 0.3,
    weights: Any = None,
    sigmas: Any = None,
) -> Detections:
    """Check and complete what a detector gives; arrays or tensors on the CPU.

    Args:
        boxes: (N, 4).
        scores: (N,), from 0 to 1.
        keypoints: (N, K, 2), or None.
        visibility: (N, K), from 0 to 1; None for all seen. Without ``keypoints`` it tells how much
            of a person is seen all the same.
        embeddings: (N, D) of any length, or None.
        labels: (N,); None for one class.
        threshold: visibility above which a point is seen.
        weights: how much each point counts in v; None for all alike.
        sigmas: spread of each point; None where nobody says.

    Raises:
        BadInputError: the shapes do not fit each other, there are more or fewer points than weights
            or sigmas, or a box is no number.
    """
    boxes = _rows("boxes", boxes, None, (4,))
    count = len(boxes)
    points = np.zeros((count, 0, 2)) if keypoints is None else keypoints
    points = _rows("keypoints", points, count, (None, 2))
    if visibility is None:
        visibility = np.ones(points.shape[:2])
    visibility = _rows("visibility", visibility, count, (points.shape[1] or None,))
    _refuse_other_count("sigmas", sigmas, points.shape[1])
    _refuse_other_count("point_weights", weights, visibility.shape[1])
    appearance = np.zeros((count, 0)) if embeddings is None else embeddings
    if not np.isfinite(boxes).all():
        raise BadInputError(
            f"boxes: expected numbers, got {boxes[~np.isfinite(boxes).all(1)][0].tolist()}; drop "
            "such detections, or look why the detector makes them"
        )
    return Detections(
        boxes,
        _rows("scores", scores, count, ()),
        points,
        visibility[:, : points.shape[1]] > threshold,
        visible_share(visibility, threshold=threshold, weights=weights),
        unit(_rows("embeddings", appearance, count, (None,))),
        _rows("labels", np.zeros(count) if labels is None else labels, count, ()).astype(np.int64),
    )


def _refuse_other_count(name: str, values: Any, num_points: int) -> None:
    """Refuse values for another number of points; without points there is nothing to weigh."""
    if values is not None and num_points and len(values) != num_points:
        raise BadInputError(
            f"{name}: expected one for each of the detector's {num_points} keypoints, got "
            f"{len(values)}; set num_keypoints of its heads to the data set's, or give the tracker "
            f"{num_points} {name}"
        )


def arguments_of(found: Any) -> dict[str, np.ndarray | None]:
    """Arguments of a tracker's step, from the instances that a detector of mmdet predicts."""
    visible = "keypoints_visible" if "keypoints_visible" in found else "keypoint_scores"
    names = dict(boxes="bboxes", scores="scores", keypoints="keypoints", visibility=visible)
    names |= dict(embeddings="embeddings", labels="labels")
    return {
        name: found[key].detach().cpu().double().numpy() if key in found else None
        for name, key in names.items()
    }


def _rows(name: str, value: Any, count: int | None, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if not array.size and count in (None, 0):
        # of an empty list numpy cannot know the other sides
        tail = array.shape[1:] if array.ndim == len(shape) + 1 else shape
        array = np.zeros((0, *(side or 0 for side in tail)))
    fits = array.ndim == len(shape) + 1 and count in (None, len(array))
    if not fits or any(s not in (None, g) for s, g in zip(shape, array.shape[1:], strict=True)):
        wanted = ", ".join(str(one or "any") for one in (count, *shape))
        raise BadInputError(
            f"{name}: expected the shape ({wanted}), got {array.shape}; give one row a detection"
        )
    return array


@dataclass
class Tracks(Rows):
    """The persons that were seen, whether or not they are now."""

    ids: np.ndarray  # (M,) -1 while tentative
    labels: np.ndarray  # (M,)
    boxes: np.ndarray  # (M, 4)
    velocity: np.ndarray  # (M, 2) of the centre, pixels a frame
    steps: np.ndarray  # (M,) that the velocity is made of
    poses: np.ndarray  # (M, K, 2)
    visible: np.ndarray  # (M, K)
    gallery: np.ndarray  # (M, D) of length 1
    written: np.ndarray  # (M,) whether the gallery holds anything
    last_seen: np.ndarray  # (M,)
    sightings: np.ndarray  # (M,)

    def predicted(self, frame: int, *, moving: bool) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and poses in a frame, moved by the velocity."""
        passed = (frame - self.last_seen)[:, None]
        shift = self.velocity * passed if moving else np.zeros_like(self.velocity)
        return self.boxes + np.tile(shift, 2), self.poses + shift[:, None]

    def see(self, rows: np.ndarray, found: Detections, frame: int, *, fresh: np.ndarray) -> None:
        """Take over box, pose and velocity of the detections that were matched to ``rows``.

        Args:
            rows: of the tracks, one a detection.
            found: their detections.
            frame: where they were found.
            fresh: tracks whose old place says nothing about their speed.
        """
        passed = np.maximum(frame - self.last_seen[rows], 1)[:, None]
        speed = (centres(found.boxes) - centres(self.boxes[rows])) / passed
        steps = np.where(fresh, 0, self.steps[rows] + 1)
        gain = np.maximum(1 / np.maximum(steps, 1), LEAST_GAIN)[:, None]
        average = self.velocity[rows] + gain * (speed - self.velocity[rows])
        self.velocity[rows] = np.where(fresh[:, None], 0, average)
        self.steps[rows] = steps
        self.boxes[rows], self.poses[rows] = found.boxes, found.poses
        self.visible[rows] = found.visible
        self.last_seen[rows] = frame
        self.sightings[rows] += 1

    def remember(self, rows: np.ndarray, embeddings: np.ndarray, *, momentum: float) -> None:
        """Write the gallery: a moving average, and the first embedding as it is."""
        kept = np.where(self.written[rows], 1 - momentum, 0)[:, None]
        self.gallery[rows] = unit(kept * self.gallery[rows] + (1 - kept) * embeddings)
        self.written[rows] = True


def new_tracks(found: Detections, frame: int) -> Tracks:
    """A track of each detection, tentative and with an empty gallery."""
    count = len(found)
    return Tracks(
        ids=np.full(count, -1),
        labels=found.labels,
        boxes=found.boxes,
        velocity=np.zeros((count, 2)),
        steps=np.zeros(count, np.int64),
        poses=found.poses,
        visible=found.visible,
        gallery=np.zeros_like(found.embeddings),
        written=np.zeros(count, bool),
        last_seen=np.full(count, frame),
        sightings=np.ones(count, np.int64),
    )


def centres(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 2"]:
    """Middle of each box."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def moved(points: Float[np.ndarray, "*N 2"], camera: np.ndarray) -> Float[np.ndarray, "*N 2"]:
    """Points under a homography (3, 3).

    Example:
        >>> moved(np.array([[1.0, 2.0]]), np.diag([2.0, 2.0, 1.0]))
        array([[2., 4.]])
    """
    whole = np.concatenate([points, np.ones_like(points[..., :1])], -1) @ camera.T
    return whole[..., :2] / whole[..., 2:]


def follow_camera(tracks: Tracks, camera: np.ndarray) -> None:
    """Bring all that is known of places from the last frame into this one."""
    middle = centres(tracks.boxes)
    ahead = moved(middle + tracks.velocity, camera)
    # How a small square around the middle grows; sides stay upright, as those of a new box are.
    cross = [moved(middle + step, camera) for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]
    right, down = cross[0] - cross[1], cross[2] - cross[3]
    growth = np.sqrt(np.abs(right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]))[:, None]
    half = growth * (tracks.boxes[:, 2:] - tracks.boxes[:, :2]) / 2
    middle = moved(middle, camera)
    tracks.boxes = np.concatenate([middle - half, middle + half], 1)
    tracks.velocity = ahead - middle
    tracks.poses = moved(tracks.poses, camera)
