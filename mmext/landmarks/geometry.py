"""Affine maps between a picture and its crop, for points and for pixels.

A map is a matrix (2, 3) that takes points of one to points of the other; pixel centres are whole
numbers, so the left edge of a picture is at -0.5, and halving its size takes x to x / 2 - 0.25.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Matrix = Float[np.ndarray, "2 3"]


def box_to_crop(box_xyxy: Float[np.ndarray, " 4"], size: tuple[int, int]) -> Matrix:
    """The map that takes a box, given by its edges, to a crop of (height, width).

    Example:
        >>> box_to_crop(np.array([2.0, 2.0, 10.0, 10.0]), (4, 4))
        array([[ 0.5 ,  0.  , -1.25],
               [ 0.  ,  0.5 , -1.25]])
    """
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    sx, sy = size[1] / (right - left), size[0] / (bottom - top)
    # (x + 0.5 - left) * sx - 0.5: edges to edges, half a pixel beside the centres
    return np.array([[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5]])


def widened(box_xyxy: Float[np.ndarray, " 4"], margin: int | float) -> Float[np.ndarray, " 4"]:
    """The box with a share of its sides added, half of it on each end."""
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2, (box_xyxy[2:] - box_xyxy[:2]) / 2
    return np.concatenate([centre - half * (1 + margin), centre + half * (1 + margin)])


def with_aspect(box_xyxy: Float[np.ndarray, " 4"], aspect: int | float) -> Float[np.ndarray, " 4"]:
    """The smallest box about the same centre that holds this one and has this width over height."""
    centre, side = (box_xyxy[:2] + box_xyxy[2:]) / 2, box_xyxy[2:] - box_xyxy[:2]
    height = max(side[1], side[0] / aspect)
    half = np.array([height * aspect, height]) / 2
    return np.concatenate([centre - half, centre + half])


def composed(second: Matrix, first: Matrix) -> Matrix:
    """The map that does ``first``, then ``second``."""
    return np.concatenate(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]], axis=1
    )


def inverse(matrix: Matrix) -> Matrix:
    """The map back."""
    back = np.linalg.inv(matrix[:, :2])
    return np.concatenate([back, -back @ matrix[:, 2:]], axis=1)


def moved(points: Float[np.ndarray, "K 2"], matrix: Matrix) -> Float[np.ndarray, "K 2"]:
    """The points where the map takes them; NaN stays NaN."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def moved_back(
    points: Float[Tensor, "B K 2"], matrix: Float[Tensor, "B 2 3"]
) -> Float[Tensor, "B K 2"]:
    """Points of crops in their pictures, for a batch at once, by maps from picture to crop.

    Example:
        >>> shift = torch.tensor([[[1.0, 0.0, -3.0], [0.0, 1.0, 0.0]]])
        >>> moved_back(torch.tensor([[[1.0, 2.0]]]), shift)
        tensor([[[4., 2.]]])
    """
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    # Cramer's rule: torch.linalg.inv would wait for a GPU to learn whether it failed.
    back = torch.stack([d, -b, -c, a], -1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    shifted = points.to(matrix) - matrix[:, None, :, 2]
    return (shifted @ back.transpose(1, 2)).to(points.dtype)


def random_affine(
    size: tuple[int, int],
    *,
    scale: int | float,
    degrees: int | float,
    shift_px: Sequence[int | float],
) -> Matrix:
    """The map that turns and scales about the centre of a crop (height, width), then shifts it."""
    centre = (np.array(size[::-1]) - 1) / 2
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, centre - turn @ centre + np.asarray(shift_px)])


def mirrored(width: int) -> Matrix:
    """The map that swaps left and right of a crop."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def warped(image: np.ndarray, matrix: Matrix, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a crop (height, width); black where the picture ends.

    What is shrunk to less than half is averaged first: sampling alone would skip pixels.
    """
    factor = int(1 / max(np.sqrt(abs(np.linalg.det(matrix[:, :2]))), 1e-6) + 1e-6)
    factor = min(factor, *image.shape[:2])
    if factor >= 2:
        height, width = image.shape[:2]
        small = (width // factor, height // factor)
        # of whole blocks, so that each pixel of the smaller picture is the mean of factor ** 2
        image = image[: small[1] * factor, : small[0] * factor]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        grown = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2]], float)
        matrix = composed(matrix, grown)
    return cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR)
