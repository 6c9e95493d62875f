"""Which objects a scale is for, and where a larger scale has to look at all.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (its scale-normalised
          pyramids); the crops after AutoFocus, Najibi et al. 2019, arXiv:1812.01600
Idea      A picture is tested at several scales, and each finds the objects whose size after the
          resize lies in its range. Where a small scale sees small objects, the larger one has to
          look; it need not look elsewhere.
Host      PyTorch alone
Letters   N boxes, xyxy; a region is left, top, right, bottom in whole pixels
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Range: TypeAlias = tuple[int | float | None, int | float | None]
"""Least and greatest root of an object's area, in pixels after the resize; None is an open end."""
Region: TypeAlias = tuple[int, int, int, int]
RANGES: tuple[Range, ...] = ((0, 224), (40, 320), (64, None))
"""For shorter sides of 896, 640 and 384 pixels: each object is usual at one of them."""


def sizes_after(
    boxes: Float[Tensor, "N 4"], scale_factor: Sequence[int | float]
) -> Float[Tensor, " N"]:
    """Root of each box's area after a resize by the factors of width and height."""
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return (extent * extent.new_tensor(scale_factor)).prod(1).sqrt()


def in_range(sizes: Float[Tensor, " N"], valid: Range) -> Bool[Tensor, " N"]:
    """Which sizes lie in the range, both ends included."""
    low, high = valid
    return (sizes >= (low or 0)) & (sizes <= (torch.inf if high is None else high))


def uncovered(scales: Sequence[int | float], ranges: Sequence[Range]) -> list[Range]:
    """Sizes, as shares of a picture's shorter side, that are in range at no scale.

    Args:
        scales: length of the shorter side at each scale.
        ranges: of each scale.

    Example:
        >>> uncovered((896, 640, 384), ((0, 224), (40, 320), (64, None)))
        []
        >>> uncovered((800, 400), ((0, 80), (80, None)))
        [(0.1, 0.2)]
    """
    shares = sorted(
        ((low or 0) / scale, torch.inf if high is None else high / scale)
        for scale, (low, high) in zip(scales, ranges, strict=True)
    )
    gaps: list[Range] = []
    reached: int | float = 0
    for low, high in shares:
        if low > reached:
            gaps.append((reached, low))
        reached = max(reached, high)
    return gaps if reached == torch.inf else [*gaps, (reached, None)]


def focus_regions(
    boxes: Float[Tensor, "N 4"], size: tuple[int, int], *, margin: int | float
) -> list[Region]:
    """Parts of a picture that hold all boxes with a margin, and do not overlap.

    Args:
        boxes: in pixels of the picture.
        size: its height and width.
        margin: added on each side, in times the root of the box's area.
    """
    height, width = size
    grown = sizes_after(boxes, (1, 1))[:, None] * margin
    corners = torch.cat([(boxes[:, :2] - grown).floor(), (boxes[:, 2:] + grown).ceil()], 1)
    limits = corners.new_tensor([width, height, width, height])
    regions: list[Region] = []
    for left, top, right, bottom in torch.minimum(corners.clamp(min=0), limits).int().tolist():
        new = (left, top, right, bottom)
        # The union may touch a region that neither of its parts touches.
        while touched := [one for one in regions if _overlap(one, new)]:
            regions = [one for one in regions if one not in touched]
            new = _union([new, *touched])
        regions.append(new)
    return [one for one in regions if one[2] > one[0] and one[3] > one[1]]


def whole_in(
    boxes: Float[Tensor, "N 4"], region: Region, size: tuple[int, int]
) -> Bool[Tensor, " N"]:
    """Which boxes, found in a region of a picture, do not end at the region's own border.

    Those that do are parts of objects, which another region or scale has whole.

    Args:
        boxes: in pixels of the picture.
        region: where they were found.
        size: the picture's height and width, whose borders are no cut.
    """
    left, top, right, bottom = region
    cut = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    for edge, column, outer in (
        (left, 0, 0),
        (top, 1, 0),
        (right, 2, size[1]),
        (bottom, 3, size[0]),
    ):
        if edge != outer:
            cut |= (boxes[:, column] - edge).abs() < 1
    return ~cut


def area(regions: Sequence[Region]) -> int:
    """Pixels of all regions."""
    return sum((right - left) * (bottom - top) for left, top, right, bottom in regions)


def _overlap(one: Region, other: Region) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _union(regions: Sequence[Region]) -> Region:
    lefts, tops, rights, bottoms = zip(*regions, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
