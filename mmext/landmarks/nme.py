"""Errors of points as shares of a length of the object: what face alignment is judged by.

Letters: N faces, K points.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mmext.data_checks.needs import EYES

NORMS = ("outer_eye", "pupil", "sqrt_area", "bbox_long", "bbox_diag", "side", "norm_len")
"""The lengths: between the outer corners of the eyes, or the eyes' middles; of the box of the face,
sqrt(w h), its longer side or its diagonal; of the crop's side; what the data set gives."""

STEPS = 2000
"""Places between 0 and the threshold at which the curve of an area is read."""

Faces = Float[np.ndarray, " N"]
Points = Float[np.ndarray, "N K 2"]


def between(
    keypoints: Points, visible: Float[np.ndarray, "N K"], eyes: Sequence[Sequence[int]]
) -> Faces:
    """Distance of two means of points; NaN where one of the points is not visible.

    Example:
        >>> points = np.array([[[0.0, 0.0], [3.0, 4.0]]])
        >>> between(points, np.array([[1.0, 1.0]]), [[0], [1]])
        array([5.])
        >>> between(points, np.array([[1.0, 0.0]]), [[0], [1]])
        array([nan])
    """
    left, right = (keypoints[:, list(eye)].mean(1) for eye in eyes)
    seen = (visible[:, [*eyes[0], *eyes[1]]] > 0).all(1)
    return np.where(seen, np.linalg.norm(left - right, axis=1), np.nan)


def lengths(
    norm: str,
    *,
    keypoints: Points,
    visible: Float[np.ndarray, "N K"],
    bbox_xyxy: Float[np.ndarray, "N 4"],
    side: Faces,
    norm_len: Faces,
    eyes: Sequence[Sequence[int]] | None = None,
) -> Faces:
    """What errors are divided by; NaN where it is not defined, or 0.

    Args:
        norm: one of :data:`NORMS`.
        keypoints: the truth.
        visible: of each point.
        bbox_xyxy: boxes of the faces.
        side: of the crops, in pixels of their pictures.
        norm_len: what the data set gives.
        eyes: points of either eye for ``outer_eye`` and ``pupil``; those of 68 if None.

    Raises:
        ValueError: another norm, or eyes of which there are no points.
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}; give one of these")
    width, height = (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]).T
    if norm in EYES:
        eyes = eyes or EYES[norm]
        if max(max(eye) for eye in eyes) >= keypoints.shape[1]:
            raise ValueError(
                f"norm {norm!r}: expected points {eyes}, got faces of {keypoints.shape[1]} points; "
                "set eye_points=((left, ...), (right, ...)) of the metric, or take another norm"
            )
        found = between(keypoints, visible, eyes)
    else:
        found = dict(
            sqrt_area=np.sqrt(np.clip(width * height, 0, None)),
            bbox_long=np.maximum(width, height),
            bbox_diag=np.hypot(width, height),
            side=side,
            norm_len=norm_len,
        )[norm]
    return np.where(found > 0, found, np.nan)


def normalised_errors(
    predicted: Points, keypoints: Points, visible: Float[np.ndarray, "N K"], length: Faces
) -> Float[np.ndarray, "N K"]:
    """Distances as shares of the lengths; NaN for points that do not count.

    A prediction that is no number is infinitely wrong: left out, it would look like a good one.
    """
    distance = np.nan_to_num(np.linalg.norm(predicted - keypoints, axis=2), nan=np.inf)
    return np.where(visible > 0, distance / length[:, None], np.nan)


def face_errors(errors: Float[np.ndarray, "N K"]) -> Faces:
    """The mean over each face's points; NaN for faces that do not count."""
    counted = (~np.isnan(errors)).sum(1)
    return np.where(counted > 0, np.nansum(errors, axis=1) / np.maximum(counted, 1), np.nan)


def macro(errors: Float[np.ndarray, "N K"]) -> float:
    """The mean over faces of the mean over points: each face counts alike."""
    return _mean(face_errors(errors))


def micro(errors: Float[np.ndarray, "N K"]) -> float:
    """The mean over all points: each point counts alike."""
    return _mean(errors)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def failure_rate(per_face: Faces, threshold: int | float) -> float:
    """The share of faces whose error is above the threshold."""
    per_face = per_face[~np.isnan(per_face)]
    return float((per_face > threshold).mean()) if per_face.size else float("nan")


def curve(per_face: Faces, errors: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """The share of faces whose error is at most each of these: the cumulative distribution."""
    known = np.sort(per_face[~np.isnan(per_face)])
    if not known.size:
        return np.full(errors.shape, np.nan)
    return np.searchsorted(known, errors, side="right") / known.size


def area_under_curve(per_face: Faces, threshold: int | float, steps: int = STEPS) -> float:
    """The area below the curve up to a threshold, as a share of what it could be.

    Example:
        >>> round(area_under_curve(np.array([0.02, 0.2]), 0.08), 3)
        0.375
    """
    at = np.linspace(0, threshold, steps)
    shares = curve(per_face, at)
    return float(((shares[1:] + shares[:-1]) / 2).mean())


def correct_points(errors: Float[np.ndarray, "N K"], threshold: int | float) -> float:
    """PCK: the share of points whose error is at most the threshold."""
    known = errors[~np.isnan(errors)]
    return float((known <= threshold).mean()) if known.size else float("nan")
