"""Convolution at chosen places alone: their columns, and back to a map.

Paper     Region Proposal by Guided Anchoring, Wang et al. 2019, https://arxiv.org/abs/1901.03278
Host      mmcv's ``masked_im2col_forward`` and ``masked_col2im_forward``; for inference, one image
          at a time
Letters   C channels, H x W map, M places
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mmext.ops.table import serves


def columns_at(
    x: Float[Tensor, "C H W"],
    rows: Int[Tensor, " M"],
    cols: Int[Tensor, " M"],
    kernel: tuple[int, int],
    padding: tuple[int, int],
) -> Float[Tensor, "columns M"]:
    """What a kernel reads at each place, zeros outside the map: by channel, then by row of taps."""
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    y = rows + torch.arange(kernel[0], device=x.device)[:, None, None]
    at = cols + torch.arange(kernel[1], device=x.device)[:, None]
    return padded[:, y, at].flatten(0, 2)


@serves("masked_conv2d", "masked_im2col_forward")
def _im2col(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    col.copy_(columns_at(im[0], mask_h_idx, mask_w_idx, (kernel_h, kernel_w), (pad_h, pad_w)))


@serves("masked_conv2d", "masked_col2im_forward")
def _col2im(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    im[0][:, mask_h_idx, mask_w_idx] = col.to(im.dtype)
