"""Temporal interlacing: each group of channels moves along time by a step of its own.

Paper     Temporal Interlacing Network, Shao et al. 2020, https://arxiv.org/abs/2001.06499
Host      mmcv's ``tin_shift_*``
Deviates  DEVIATION: backward moves gradients against the shift. mmcv's kernel moves them along it,
          which is not the gradient.
Letters   B clips, T frames, C channels in G groups, S places
"""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from mmext.ops.table import serves


def tin_shift(x: Shaped[Tensor, "B T C S"], shift: Int[Tensor, "B G"]) -> Shaped[Tensor, "B T C S"]:
    """Frame t goes to t + shift, and frames that nothing goes to are zero."""
    T, C = x.shape[1:3]
    steps = shift.repeat_interleave(C // shift.shape[1], dim=1)  # (B, C)
    source = torch.arange(T, device=x.device)[:, None] - steps[:, None]  # (B, T, C)
    inside = (source >= 0) & (source < T)
    moved = x.gather(1, source.clamp(0, T - 1).long()[..., None].expand_as(x))
    return moved * inside[..., None]


@serves("tin_shift", "tin_shift_forward")
def _forward(input: Tensor, shift: Tensor, output: Tensor) -> None:
    output.copy_(tin_shift(input, shift))


@serves("tin_shift", "tin_shift_backward")
def _backward(grad_output: Tensor, shift: Tensor, grad_input: Tensor) -> None:
    grad_input.copy_(tin_shift(grad_output, -shift))
