"""Points as maps and maps as points: Gaussian targets, sub-pixel decoding, the loss of a map.

A map has one cell for each square of ``stride`` pixels; the centre of cell j is at
``j * stride + stride / 2 - 0.5`` pixels. Letters: B pictures, K points, h w cells.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32

LOWEST = 0.01
"""Targets below this are 0 (https://github.com/facebookresearch/supervision-by-registration)."""

NEXT_TO_NOTHING = 1e-6
"""Values of a map up to this bear no weight when a point is decoded."""


def centres(cells: int, stride: int | float, like: Tensor) -> Float[Tensor, " cells"]:
    """Pixels at the centres of a row of cells."""
    return torch.arange(cells, device=like.device, dtype=like.dtype) * stride + (stride - 1) / 2


def gaussians(
    keypoints: Float[Tensor, "B K 2"],
    visible: Float[Tensor, "B K"],
    *,
    cells: tuple[int, int],
    stride: int,
    sigma_px: int | float,
) -> Float[Tensor, "B K h w"]:
    """exp(-d^2 / 2 sigma^2), d the pixels between a cell's centre and the point; 0 if invisible.

    Args:
        keypoints: in pixels of the crop; may be NaN where not visible.
        visible: a point with 0 has an empty map.
        cells: height and width of the maps.
        stride: pixels of a cell.
        sigma_px: width of the Gaussian, in pixels.
    """
    seen = visible > 0
    points = torch.where(seen[..., None], keypoints, torch.zeros_like(keypoints))
    dx = centres(cells[1], stride, points) - points[..., :1]  # (B, K, w)
    dy = centres(cells[0], stride, points) - points[..., 1:]  # (B, K, h)
    along_x, along_y = ((-(d**2) / (2 * sigma_px**2)).exp() for d in (dx, dy))
    maps = along_y[..., :, None] * along_x[..., None, :]
    return maps * ((maps >= LOWEST) & seen[..., None, None])


def decoded(
    maps: Float[Tensor, "B K h w"], *, stride: int | float, window: int = 4
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """The point of each map, in pixels, and its peak.

    The mean of the cells' places about the highest one, weighted by their values; cells outside the
    map do not count.

    Args:
        maps: of any sign and dtype; worked out in float32 or better.
        stride: pixels of a cell.
        window: cells on each side of the highest one.

    Example:
        >>> maps = torch.zeros(1, 1, 8, 8)
        >>> maps[0, 0, 2, 5], maps[0, 0, 2, 6] = 0.75, 0.25
        >>> decoded(maps, stride=4)[0]
        tensor([[[22.5000,  9.5000]]])
    """
    maps = at_least_float32(maps)
    height, width = maps.shape[2:]
    flat = maps.flatten(2)
    peak, index = flat.max(-1)
    steps = torch.arange(-window, window + 1, device=maps.device)
    # The arg max counts along rows: whole numbers are divided as whole numbers.
    rows = (index // width)[..., None] + steps  # (B, K, S)
    columns = (index % width)[..., None] + steps
    inside_y, inside_x = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    places = rows[..., :, None] * width + columns[..., None, :]  # (B, K, S, S)
    values = flat.gather(-1, places.flatten(2)).view_as(places)
    least = torch.finfo(values.dtype).eps
    weight = values.masked_fill(values <= NEXT_TO_NOTHING, least)
    weight = weight * (inside_y[..., :, None] & inside_x[..., None, :])
    total = weight.sum((-2, -1))
    x = (weight.sum(-2) * columns).sum(-1) / total
    y = (weight.sum(-1) * rows).sum(-1) / total
    return torch.stack([x, y], -1) * stride + (stride - 1) / 2, peak


def heatmap_loss(
    maps: Float[Tensor, "B K h w"],
    target: Float[Tensor, "B K h w"],
    weights: Float[Tensor, "B K"],
    *,
    average: bool,
) -> Float[Tensor, " B"]:
    """The squared differences of each picture's maps, each map times its weight.

    Args:
        maps: of one stage.
        target: see :func:`gaussians`.
        weights: of each point; those with 0 are left out.
        average: over the cells of the points with a weight, instead of the sum.
    """
    # Differences of half precision are exact enough in float32 alone: a target below 0.01 is 0.
    difference = at_least_float32(maps) - target
    loss = (difference.square().sum((2, 3)) * weights).sum(1)
    if not average:
        return loss
    # DEVIATION: the authors average over all cells of a batch; here each picture's mean counts
    # alike, so ranks with unequally labelled pictures train as one process does.
    counted = (weights > 0).sum(1).clamp_min(1) * (maps.shape[2] * maps.shape[3])
    return loss / counted
