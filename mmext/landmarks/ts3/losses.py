"""Objectives of the teacher. Formulas of ours, but for the one that is near the paper's."""

import torch
from jaxtyping import Float
from torch import Tensor

OBJECTIVES = ("quality", "lsgan", "rank")


def quality(error: Float[Tensor, " N"], *, tau: float) -> Float[Tensor, " N"]:
    """What a label of a known error is worth: exp(-e / tau), 1 for the truth."""
    return torch.exp(-error / tau)


def quality_loss(
    judged: Float[Tensor, " N"], error: Float[Tensor, " N"], *, tau: float
) -> Float[Tensor, " N"]:
    """(T - q)^2 of each label."""
    return (judged - quality(error, tau=tau)).square()


def lsgan_loss(judged: Float[Tensor, " N"], real: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """(T - 1)^2 of a person's label, T^2 of a student's.

    Args:
        judged: T.
        real: 1 for a person's, 0 for a student's.
    """
    return (judged - real).square()


def rank_loss(
    judged: Float[Tensor, " N"],
    error: Float[Tensor, " N"],
    *,
    margin: float = 0.2,
    apart: float = 0.005,
) -> Float[Tensor, " N"]:
    """Mean hinge of each label over those that are worse than it.

    Args:
        judged: T.
        error: of each label.
        margin: by which T of the better one is to be above.
        apart: errors that differ by less are no pair.
    """
    worse = (error[None] - error[:, None] > apart).to(judged.dtype)  # (N better, N worse)
    hinge = (margin - (judged[:, None] - judged[None])).clamp_min(0)
    return (worse * hinge).sum(1) / worse.sum(1).clamp_min(1)
