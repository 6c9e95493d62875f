"""What happens to keypoints when a picture is resized, mirrored, turned or cut.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none: numpy alone
Letters   G objects; K points (x, y, v), v 0 unlabelled, 1 hidden, 2 visible; pixels are continuous:
          a picture of width w reaches from 0 to w, so mirroring takes x to w - x, as mmdet's boxes
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

Matrix = Float[np.ndarray, "3 3"]


def moved(
    points: Float[np.ndarray, "*G K 3"],
    matrix: Matrix,
    flip_pairs: Sequence[Sequence[int]] | None = None,
) -> Float[np.ndarray, "*G K 3"]:
    """Points after a step that takes (x, y, 1) to ``matrix @ (x, y, 1)``; unlabelled ones are 0.

    A step that mirrors (its determinant is below 0) makes a left hand look like a right one, so it
    swaps the pairs. Mirroring along both axes is half a turn, and swaps nothing.

    Example:
        >>> mirror = np.array([[-1.0, 0, 10], [0, 1, 0], [0, 0, 1]])
        >>> moved(np.array([[[1.0, 5, 2], [4.0, 5, 1]]]), mirror, [(0, 1)])
        array([[[6., 5., 1.],
                [9., 5., 2.]]])
    """
    matrix = matrix.astype(np.float64)
    xy = points[..., :2] @ matrix[:2, :2].T + matrix[:2, 2]
    out = np.concatenate([xy, points[..., 2:]], -1).astype(points.dtype)
    out[out[..., 2] == 0] = 0
    if flip_pairs and np.linalg.det(matrix[:2, :2]) < 0:
        out = swapped(out, flip_pairs)
    return out


def swapped(
    points: Float[np.ndarray, "*G K 3"], flip_pairs: Sequence[Sequence[int]]
) -> Float[np.ndarray, "*G K 3"]:
    """Points with left and right exchanged."""
    order = np.arange(points.shape[-2])
    for one, other in flip_pairs:
        order[[one, other]] = order[[other, one]]
    return points[..., order, :]


def inside(
    points: Float[np.ndarray, "*G K 3"], height: int | float, width: int | float
) -> Bool[np.ndarray, "*G K"]:
    """Which points lie in the picture, its border included."""
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (x <= width) & (y >= 0) & (y <= height)


def without_outside(
    points: Float[np.ndarray, "*G K 3"], height: int | float, width: int | float
) -> Float[np.ndarray, "*G K 3"]:
    """Points, with those that a cut took out of the picture unlabelled."""
    return np.where(inside(points, height, width)[..., None], points, 0).astype(points.dtype)


def out_of_range(
    boxes: Float[np.ndarray, "G 4"], low: int | float | None, high: int | float | None
) -> Bool[np.ndarray, " G"]:
    """Which boxes are too small or too large for a scale, by the root of their area (spec 2.3).

    Args:
        boxes: left, top, right, bottom, in pixels of the resized picture.
        low: the least of the range, included; None is open.
        high: the greatest, likewise.

    Example:
        >>> out_of_range(np.array([[0.0, 0, 30, 30], [0.0, 0, 40, 40]]), 40, None)
        array([ True, False])
    """
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    size = np.sqrt(sides.prod(1))
    return (size < (low or 0)) | (size > (np.inf if high is None else high))
