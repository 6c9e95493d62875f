"""Where a kernel's taps lie on a map. What samples between pixels shares this, not the sampling.

Letters   taps of a kernel along one axis, places of the output along it
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """Where a kernel's taps lie: its step, the zeros on each side, the distance of the taps."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


def tap_positions(
    where: Geometry, axis: int, taps: int, places: int, *, like: Tensor
) -> Float[Tensor, "{taps} {places}"]:
    """Row (or column), in pixels, that each row of taps reads at each row of places, undeformed.

    Args:
        where: the taps lie.
        axis: 0 for rows, 1 for columns.
        taps: rows of the kernel.
        places: rows of the output.
        like: gives device and dtype.

    Example:
        >>> tap_positions(Geometry(padding=(1, 1)), 0, taps=3, places=2, like=torch.zeros(()))
        tensor([[-1.,  0.],
                [ 0.,  1.],
                [ 1.,  2.]])
    """
    at = (
        torch.arange(places, device=like.device, dtype=like.dtype) * where.stride[axis]
        - where.padding[axis]
    )
    return (
        at
        + torch.arange(taps, device=like.device, dtype=like.dtype)[:, None] * where.dilation[axis]
    )
