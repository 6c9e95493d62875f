"""Labels of known error: the truth, moved in the ways in which detectors go wrong."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEAST, MOST = 0.005, 0.25
"""Sizes of a corruption, in sides of the input."""


def corrupted(
    points: Float[Tensor, "B K 2"],
    *,
    side: int | float,
    generator: torch.Generator,
    partner: Int[Tensor, " K"] | None = None,
) -> Float[Tensor, "B K 2"]:
    """Each face moved in one way: some points by themselves, all together, both, or sides swapped.

    A size is drawn for each face, log-uniform, so small errors are as frequent as large ones. What
    is drawn depends on the generator alone, not on the type of the points.

    Args:
        points: the truth.
        side: of the input, in the points' pixels.
        generator: on the points' device.
        partner: number of the point on the other side, of each point; its own in the middle. None
            swaps nothing.
    """
    B, K, _ = points.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=points.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=points.device)

    log_least, log_most = math.log(LEAST), math.log(MOST)
    size = side * torch.exp(log_least + (log_most - log_least) * uniform(B, 1, 1))
    some = (uniform(B, K, 1) < uniform(B, 1, 1)).float()  # from hardly a point to all of them
    jitter = size * normal(B, K, 2) * some
    angle = 2 * math.pi * uniform(B, 1, 1)
    shift = size * torch.cat([angle.cos(), angle.sin()], -1)
    kind = uniform(B, 1, 1)
    moves = torch.where(kind < 0.8, jitter, 0.0) + torch.where(kind > 0.4, shift, 0.0)
    if partner is None:
        return points + moves.to(points.dtype)
    swaps = uniform(B, 1, 1) < 0.2
    return torch.where(swaps, points[:, partner], points + moves.to(points.dtype))


def mean_error(
    shown: Float[Tensor, "B K 2"],
    truth: Float[Tensor, "B K 2"],
    visible: Float[Tensor, "B K"],
    *,
    side: int | float,
) -> Float[Tensor, " B"]:
    """Mean distance over visible points, in sides of the input; 0 where no point is visible."""
    # where: a point that is not labelled may be NaN
    apart = torch.where(visible > 0, (shown - truth).norm(dim=-1), 0.0)
    return apart.sum(1) / visible.gt(0).sum(1).clamp_min(1) / side
