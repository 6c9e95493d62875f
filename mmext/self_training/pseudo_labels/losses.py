"""The joint loss of a student: the pseudo-labelled branch, on the scale of the human one.

Equation  L = (L_h + alpha (m_h / m_p) L_p) / (1 + alpha), m the running mean of a branch's loss,
          through which no gradient flows. With constant losses L is L_h for every alpha, and no
          factor on L_p changes anything once the means are settled.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

RATIO = (0.01, 100.0)
"""Bounds of m_h / m_p: a branch that has all but vanished is not blown up."""
EPS = 1e-6


def updated_means(
    sums: Float[Tensor, "2"],
    weights: Float[Tensor, "2"],
    losses: Float[Tensor, "2"],
    seen: Bool[Tensor, "2"],
    *,
    decay: float,
) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """Running sums of both branches' losses and of their weights, after one more step.

    Their quotient is the running mean, corrected for its start: a sum that starts at 0 has a weight
    of 1 - decay^t after t steps.

    Args:
        sums: of the losses so far, human and pseudo.
        weights: of the weights so far.
        losses: of this step.
        seen: whether the branch has pictures in this step; else it keeps what it has.
        decay: share that a step leaves of the past.
    """
    # What is not finite stays out: a mean would never get rid of it.
    seen = seen & losses.isfinite()
    kept = torch.where(seen, decay, 1.0)
    losses = torch.where(seen, losses, 0.0)
    return kept * sums + (1 - kept) * losses, kept * weights + (1 - kept)


def loss_ratio(sums: Float[Tensor, "2"], weights: Float[Tensor, "2"]) -> Float[Tensor, ""]:
    """The factor m_h / m_p, within :data:`RATIO`; 1 until both branches have been seen."""
    # DEVIATION: the paper is not known to correct its means or to bound their quotient; without the
    # first a thousand steps are ruled by the start value.
    human, pseudo = sums / torch.where(weights > 0, weights, 1.0)
    ratio = (human / pseudo.clamp_min(EPS)).clamp(*RATIO)
    return torch.where((weights > 0).all(), ratio, 1.0)


def joint_loss(
    human: Float[Tensor, ""] | None,
    pseudo: Float[Tensor, ""] | None,
    ratio: Float[Tensor, ""],
    *,
    alpha: float,
) -> Float[Tensor, ""]:
    """Both branches in one loss.

    Args:
        human: L_h, None where the batch has no such picture.
        pseudo: L_p, likewise.
        ratio: m_h / m_p.
        alpha: weight of the pseudo-labelled branch.

    Raises:
        ValueError: neither branch is there.

    Example:
        >>> a, b = torch.tensor(2.0), torch.tensor(0.5)
        >>> joint_loss(a, b, a / b, alpha=3.0), joint_loss(a, None, a / b, alpha=3.0)
        (tensor(2.), tensor(2.))
    """
    # DEVIATION: a batch of one branch counts in full. By the equation its step would be shorter for
    # want of pictures alone.
    if pseudo is None:
        if human is None:
            raise ValueError("expected human or pseudo, got neither; give the loss of one branch")
        return human
    if human is None:
        return ratio * pseudo
    return (human + alpha * ratio * pseudo) / (1 + alpha)
