"""What a pseudo-label is worth: three signals, their mix, weights of points and choice of faces."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SIGNALS = ("teacher", "agreement", "peak")
EXCHANGES = ("self", "fused", "cross")


def ranks(values: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Ranks from 0, the lowest, to 1; equal values share the mean of their ranks.

    Example:
        >>> ranks(torch.tensor([0.3, 9.0, 0.3]))
        tensor([0.2500, 1.0000, 0.2500])
    """
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).to(values.dtype)
    mean = last - (counts.to(values.dtype) + 1) / 2
    return mean[place] / max(len(values) - 1, 1)


def spearman(first: Float[Tensor, " N"], second: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """Rank correlation; NaN where one of both is constant."""
    a, b = (ranks(one.double()) for one in (first, second))
    a, b = a - a.mean(), b - b.mean()
    return (a @ b) / (a.norm() * b.norm())


def distances(points: Float[Tensor, "N 2 K 2"], side: int | float) -> Float[Tensor, "N K"]:
    """How far the two students put each point from each other, in sides of the input."""
    return (points[:, 0] - points[:, 1]).norm(dim=-1) / side


def signals_of(
    quality: Float[Tensor, "N 2"],
    apart: Float[Tensor, "N K"],
    peaks: Float[Tensor, "N 2 K"],
) -> dict[str, Float[Tensor, "N 2"]]:
    """Teacher, agreement and peak of each label; more is better in each."""
    return dict(
        teacher=quality,
        agreement=-apart.mean(-1, keepdim=True).expand(-1, 2),
        peak=peaks.mean(-1),
    )


def tells_apart(signal: Float[Tensor, "N 2"]) -> bool:
    """Whether a signal is made of numbers and not the same for all labels."""
    return bool(signal.isfinite().all()) and bool(signal.max() > signal.min())


def mixed(signals: Mapping[str, Float[Tensor, "N 2"]]) -> Float[Tensor, "N 2"]:
    """The mean of the signals' ranks over all labels, from 0 to 1.

    Ranks, since the signals have scales of their own. With one student's peaks above the other's
    everywhere, its labels rank above: both students are ranked together.
    """
    together = torch.stack([ranks(one.flatten()) for one in signals.values()])
    return together.mean(0).view_as(next(iter(signals.values())))


def point_weights(
    apart: Float[Tensor, "N K"], peaks: Float[Tensor, "N 2 K"], *, reach: float
) -> Float[Tensor, "N 2 K"]:
    """Weight exp(-d / d0) * peak of each point of each student, from 0 to 1.

    Args:
        apart: d, in sides of the input.
        peaks: heights of the maps; what is outside 0 to 1 counts as its end.
        reach: d0, in sides of the input.
    """
    return torch.exp(-apart / reach)[:, None] * peaks.clamp(0, 1)


def share_of_round(number: int, step: float = 0.2) -> float:
    """Share of the faces that the hard filter lets pass in a round, from 1 on."""
    return min(1.0, number * step)


def best(scores: Float[Tensor, "N 2"], share: float) -> Bool[Tensor, "N 2"]:
    """The top ceil(N share) labels of each student; of equal ones the first.

    Example:
        >>> best(torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.5, 0.9]]), 0.4).int()
        tensor([[0, 1],
                [1, 0],
                [1, 1]], dtype=torch.int32)
    """
    # The rounding keeps 5 * (3 * 0.2) from being a little more than 3.
    count = math.ceil(round(len(scores) * share, 9))
    order = torch.argsort(scores, dim=0, descending=True, stable=True)[:count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(0, order, True)


def exchanged(
    points: Float[Tensor, "N 2 K 2"], weights: Float[Tensor, "N 2 K"], exchange: str
) -> tuple[Float[Tensor, "N 2 K 2"], Float[Tensor, "N 2 K"]]:
    """The labels that each student is trained on, and their weights.

    Args:
        points: as the students put them.
        weights: of these points.
        exchange: ``self``, each its own; ``cross``, each the other's; ``fused``, the mean of both.
    """
    if exchange == "cross":
        return points.flip(1), weights.flip(1)
    if exchange == "fused":
        return (
            points.mean(1, keepdim=True).expand_as(points),
            weights.mean(1, keepdim=True).expand_as(weights),
        )
    if exchange != "self":
        raise ValueError(
            f"exchange must be one of {EXCHANGES}, got {exchange!r}; give one of these"
        )
    return points, weights
