"""Gradients of a formula, for mmcv, which calls backward by itself with forward's tensors."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], grad: Tensor
) -> list[Tensor]:
    """Gradient of ``function(*inputs)`` for each input, given that of its output."""
    with torch.enable_grad():
        leaves = [one.detach().requires_grad_() for one in inputs]
        output = function(*leaves)
    if not output.requires_grad:  # nothing of the inputs reached it: no boxes, no places
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(output, leaves, grad.to(output.dtype), allow_unused=True)
    return [
        torch.zeros_like(leaf) if one is None else one
        for one, leaf in zip(found, leaves, strict=True)
    ]
