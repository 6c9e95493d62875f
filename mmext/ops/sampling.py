"""Bilinear samples of a map as weighted sums of its places, for pooling and deformable operators.

A map becomes a table of rows, one row of channels a place. Each sample is a bag of four places with
weights, each pooled value a bag of several samples, and ``embedding_bag`` adds a bag up without
ever holding the samples. It has gradients for the rows and for the weights, and through these for
the positions.

Letters   R rows, B bags, S entries of a bag, C channels; positions in pixels, 0 in the middle of
          the first
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Axis = tuple[Tensor, Tensor]
"""Index and weight of the places a position lies between on one axis; two in the last dimension."""


def between(position: Float[Tensor, "*P"], size: int | Tensor) -> Axis:
    """The two places around a position; what lies outside of the map counts as zero.

    Args:
        position: in pixels.
        size: places along this axis.
    """
    # Beyond, a position may not fit an integer; it weighs nothing anyway.
    position = position.clamp(-2, None)
    position = torch.minimum(
        position, torch.as_tensor(size + 1, device=position.device).to(position.dtype)
    )
    low = position.detach().floor()
    part = position - low
    place = torch.stack([low, low + 1], dim=-1)
    limit = torch.as_tensor(size, device=position.device).to(position.dtype).unsqueeze(-1)
    # At -1 a place of the map has the weight 0 but a slope; mmcv's kernels see nothing there, and
    # so no slope.
    inside = (place >= 0) & (place < limit) & (position > -1).unsqueeze(-1)
    weight = torch.stack([1 - part, part], dim=-1) * inside
    return torch.where(inside, place, 0).long(), weight


def between_clamped(position: Float[Tensor, "*P"], size: int) -> Axis:
    """Two places around a position by RoIAlign's rule: the edge counts up to a pixel outside."""
    inside = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.detach().floor()
    part = position - low
    place = torch.stack([low, (low + 1).clamp(max=size - 1)], dim=-1)
    return place.long(), torch.stack([1 - part, part], dim=-1) * inside[..., None]


def corners(y: Axis, x: Axis, width: int | Tensor) -> Axis:
    """All pairs of a row's and a column's places: map index and weight, in the last dimension."""
    index = y[0][..., :, None] * width + x[0][..., None, :]
    weight = y[1][..., :, None] * x[1][..., None, :]
    return index.flatten(-2), weight.flatten(-2)


def rows_of(x: Float[Tensor, "N C H W"], groups: int = 1) -> Float[Tensor, "R D"]:
    """The table of a map: rows ordered by image, row, column and group of channels."""
    N, C, H, W = x.shape
    return x.permute(0, 2, 3, 1).reshape(N * H * W * groups, C // groups)


def add_up(
    rows: Float[Tensor, "R C"], index: Int[Tensor, "B S"], weight: Float[Tensor, "B S"]
) -> Float[Tensor, "B C"]:
    """Weighted sum of the rows of each bag."""
    if index.numel() == 0 or rows.numel() == 0:
        return rows.new_zeros(len(index), rows.shape[1])
    return F.embedding_bag(
        index, rows, per_sample_weights=weight.to(rows.dtype).contiguous(), mode="sum"
    )
