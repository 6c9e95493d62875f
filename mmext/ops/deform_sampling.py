"""What the taps of a deformable convolution read: where they lie, and the map between its pixels.

Paper     Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211;
          version 2, Zhu et al. 2018, https://arxiv.org/abs/1811.11168
Idea      Tap t of a kernel at place p reads x at p + t + offset, between pixels.
Host      none
Deviates  none known
Letters   N images, C channels, D groups of offsets, kh x kw taps, H W map, h w output
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.ops.sampling import add_up, between, corners, rows_of
from mmext.ops.taps import Geometry, Pair, tap_positions


class Shape(NamedTuple):
    """Where the taps of a kernel lie, and how channels are grouped."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    offset_groups: int = 1

    @property
    def geometry(self) -> Geometry:
        """Where the taps lie."""
        return Geometry(self.stride, self.padding, self.dilation)


def positions(offset: Float[Tensor, "N offsets h w"], shape: Shape) -> tuple[Tensor, Tensor]:
    """Row and column, in pixels, that each tap reads at each place: both (N, D, kh, kw, h, w)."""
    (kh, kw), (h, w) = shape.kernel, offset.shape[2:]
    by_tap = offset.reshape(len(offset), shape.offset_groups, kh, kw, 2, h, w)
    rows = tap_positions(shape.geometry, 0, kh, h, like=offset)
    cols = tap_positions(shape.geometry, 1, kw, w, like=offset)
    y = by_tap[:, :, :, :, 0] + rows[:, None, :, None]
    return y, by_tap[:, :, :, :, 1] + cols[None, :, None, :]


def sample_columns(
    x: Float[Tensor, "N C H W"],
    offset: Float[Tensor, "N offsets h w"],
    mask: Float[Tensor, "N factors h w"] | None,
    shape: Shape,
) -> Float[Tensor, "places taps C"]:
    """What each tap reads at each place of each image: bilinear, zero off the map, times its mask.

    Args:
        x: the map.
        offset: shift in pixels: row and column of tap 0, row and column of tap 1 and so on, group
            after group.
        mask: factor of each tap, group after group.
        shape: where the taps lie.
    """
    (N, C, H, W), (kh, kw), D = x.shape, shape.kernel, shape.offset_groups
    h, w = offset.shape[2:]
    y, x_at = positions(offset, shape)
    index, weight = corners(between(y, H), between(x_at, W), W)  # (N, D, kh, kw, h, w, 4)
    if mask is not None:
        weight = weight * mask.reshape(N, D, kh, kw, h, w, 1)
    image = torch.arange(N, device=x.device).reshape(N, 1, 1, 1, 1, 1, 1)
    group = torch.arange(D, device=x.device).reshape(1, D, 1, 1, 1, 1, 1)
    index = (image * (H * W) + index) * D + group
    index, weight = (one.permute(0, 4, 5, 2, 3, 1, 6).reshape(-1, 4) for one in (index, weight))
    return add_up(rows_of(x, D), index, weight).reshape(N * h * w, kh * kw, C)
