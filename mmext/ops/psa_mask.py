"""Point-wise spatial attention: from a mask around each place to a mask over the whole map.

Paper     PSANet, Zhao et al. 2018
Host      mmcv's ``psamask_*``
Letters   N images, H x W map, M = h * w entries of a mask, whose middle lies on its place; zero
          outside of the map
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from mmext.ops.table import serves

COLLECT, DISTRIBUTE = 0, 1
Size = tuple[int, int]


def entries(
    size: Size, mask: Size, half: Size, like: Tensor
) -> tuple[Int[Tensor, "P P"], Bool[Tensor, "P P"]]:
    """Entry of place q's mask that lies on place p, for all p and q, and whether there is one."""
    rows, cols = (torch.arange(number, device=like.device) for number in size)
    y = rows[:, None] - rows + half[0]  # (H of p, H of q)
    x = cols[:, None] - cols + half[1]
    in_y, in_x = (y >= 0) & (y < mask[0]), (x >= 0) & (x < mask[1])
    has = in_y[:, None, :, None] & in_x[None, :, None, :]
    index = y[:, None, :, None] * mask[1] + x[None, :, None, :]
    places = size[0] * size[1]
    return torch.where(has, index, 0).reshape(places, places), has.reshape(places, places)


def psa_mask(
    x: Shaped[Tensor, "N M H W"], mask: Size, half: Size, kind: int
) -> Shaped[Tensor, "N P H W"]:
    """Masks over the map: what place q collects from p at (p, q), or distributes to p at (q, p)."""
    size = (x.shape[2], x.shape[3])
    index, has = entries(size, mask, half, x)
    whole = x.flatten(2).gather(1, index.expand(len(x), -1, -1)) * has
    return (whole if kind == COLLECT else whole.transpose(1, 2)).unflatten(2, size)


def psa_mask_backward(
    grad: Shaped[Tensor, "N P H W"], mask: Size, half: Size, kind: int
) -> Shaped[Tensor, "N M H W"]:
    """Gradient for the masks."""
    size = (grad.shape[2], grad.shape[3])
    index, has = entries(size, mask, half, grad)
    whole = grad.flatten(2) if kind == COLLECT else grad.flatten(2).transpose(1, 2)
    found = grad.new_zeros(len(grad), mask[0] * mask[1], size[0] * size[1])
    return found.scatter_add_(1, index.expand(len(grad), -1, -1), whole * has).unflatten(2, size)


def _said(how: Mapping[str, int]) -> tuple[Size, Size, int]:
    """The mask's size, half of it, and its kind, of what mmcv passes by name."""
    half = how["half_h_mask"], how["half_w_mask"]
    return (how["h_mask"], how["w_mask"]), half, how["psa_type"]


@serves("psamask", "psamask_forward")
def _forward(input: Tensor, output: Tensor, **how: int) -> None:
    output.copy_(psa_mask(input, *_said(how)))


@serves("psamask", "psamask_backward")
def _backward(grad_output: Tensor, grad_input: Tensor, **how: int) -> None:
    grad_input.copy_(psa_mask_backward(grad_output, *_said(how)))
