"""Small tensor functions that several parts share. They need torch alone."""

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def all_reduce_mean(x: Tensor) -> Tensor:
    """Mean of a tensor over all ranks, without its graph; the tensor itself where there is one."""
    x = x.detach()
    if not (dist.is_available() and dist.is_initialized()):
        return x
    mean = at_least_float32(x) / dist.get_world_size()
    dist.all_reduce(mean)
    return mean


def elements_a_block(device: torch.device) -> int:
    """Elements of an intermediate that are worked on at once where all of them need not be there.

    As many as stay near a CPU's caches, and enough to keep a GPU busy.
    """
    return 2**19 if device.type == "cpu" else 2**24


def foreground(labels: Int[Tensor, " N"], num_classes: int) -> Int[Tensor, " P"]:
    """Indices of samples that bear a class: neither background (``num_classes``) nor negative."""
    return ((labels >= 0) & (labels < num_classes)).nonzero().squeeze(1)


def reduce_loss(
    loss: Float[Tensor, " N"],
    weight: Float[Tensor, " N"] | None = None,
    *,
    reduction: str = "mean",
    avg_factor: int | float | Tensor | None = None,
) -> Float[Tensor, "..."]:
    """Weight one loss value per sample and reduce them as OpenMMLab does.

    Args:
        loss: one value per sample.
        weight: one factor per sample.
        reduction: ``none`` keeps the samples, ``mean`` divides by ``avg_factor`` (by the number of
            samples without one), ``sum`` adds up.
        avg_factor: what ``mean`` divides by, for example the number of positives over all ranks.

    Returns:
        A vector of N values for ``none``, else a scalar. An empty ``loss`` gives 0 that keeps its
        graph, where a plain mean would give NaN.

    Raises:
        ValueError: an unknown ``reduction``, or ``avg_factor`` together with ``sum``.

    Example:
        >>> reduce_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.5]), avg_factor=2)
        tensor(1.2500)
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        if avg_factor is not None:
            raise ValueError(
                "avg_factor goes with reduction='mean', got 'sum'; leave one of them out"
            )
        return loss.sum()
    if avg_factor is None:
        return loss.sum() / max(loss.numel(), 1)
    # The same epsilon as in the hosts, so that switching a loss to ours changes no number.
    return loss.sum() / (avg_factor + torch.finfo(torch.float32).eps)
