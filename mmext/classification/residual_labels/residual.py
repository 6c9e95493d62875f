"""Cross-entropy with a residual label: the net's view of the wrong classes against a learnt one.

Letters   N samples, C classes, S (C, C) the matrix, p and q over the C - 1 classes that are not the
          target: p = softmax(z without y), q = softmax(S[y] without y)
Equation  L_hard = CE(softmax(z), y), L_res = KL(p || q), which moves the net alone, and
          L_upd = KL(q || p), which moves S alone: Algorithm 1 of Knowledge Refinery
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmext.functional import at_least_float32, elements_a_block

PairOfLosses = tuple[Tensor, Tensor]


def log_residual_labels(matrix: Float[Tensor, "C C"]) -> Float[Tensor, "C C"]:
    """``log q`` of each class, a row; 0 on the diagonal, where it means nothing."""
    diagonal = torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
    s = at_least_float32(matrix)
    # The finite minimum instead of -inf, which times a probability of 0 would be NaN.
    lowest = torch.finfo(s.dtype).min
    return s.masked_fill(diagonal, lowest).log_softmax(1).masked_fill(diagonal, 0)


def residual_labels(matrix: Float[Tensor, "C C"]) -> Float[Tensor, "C C"]:
    """The residual label of each class, a row; 0 on the diagonal.

    Example:
        >>> residual_labels(torch.zeros(3, 3))
        tensor([[0.0000, 0.5000, 0.5000],
                [0.5000, 0.0000, 0.5000],
                [0.5000, 0.5000, 0.0000]])
    """
    diagonal = torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
    return log_residual_labels(matrix).exp().masked_fill(diagonal, 0)


def residual_label_loss(
    cls_score: Float[Tensor, "N C *map"],
    target: Int[Tensor, " N *map"],
    matrix: Float[Tensor, "C C"],
    alpha: float,
    *,
    ignore_index: int = -100,
) -> PairOfLosses:
    """Loss of the net, ``L_hard + alpha L_res``, and of the matrix, ``alpha L_upd``, a sample each.

    In float32 or better. The first one's gradient does not reach the matrix, the second one's does
    not reach the net. Backward keeps what cross-entropy keeps, and a few numbers a sample.

    Args:
        cls_score: logits.
        target: class indices.
        matrix: S; its diagonal counts for nothing.
        alpha: weight of both residual terms, at least 0.
        ignore_index: a target whose sample loses nothing.

    Raises:
        ValueError: a target is no class (seen on a CPU; a GPU would have to be waited for).

    Example:
        >>> z, y = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([0])
        >>> to_net, to_matrix = residual_label_loss(z, y, torch.zeros(4, 4), alpha=1.0)
        >>> to_net - F.cross_entropy(z, y), to_matrix
        (tensor([0.2662]), tensor([0.3090]))
    """
    ignored = target == ignore_index
    _check_target(target, ignored, cls_score.shape[1])
    log_probs = at_least_float32(cls_score).log_softmax(1)
    hard = F.nll_loss(log_probs, target, reduction="none", ignore_index=ignore_index)
    # A constant is taken off all logits of a sample, which changes neither p nor what follows.
    to_net, to_matrix = _Residual.apply(log_probs, target.masked_fill(ignored, 0), matrix)
    return (
        hard + alpha * to_net.masked_fill(ignored, 0),
        alpha * to_matrix.masked_fill(ignored, 0),
    )


def _check_target(target: Tensor, ignored: Tensor, C: int) -> None:
    if target.device.type == "cpu" and ((target < 0) | (target >= C)).masked_fill(ignored, 0).any():
        wrong = target[((target < 0) | (target >= C)) & ~ignored]
        raise ValueError(
            f"targets must be classes from 0 to {C - 1}, got {int(wrong[0])}; give the loss, the "
            "head and the data the same number of classes, or ignore_index"
        )


class _Residual(torch.autograd.Function):
    """``L_res`` and ``L_upd`` of each sample; what lies between is worked out anew in backward.

    With ``gap = log p - log q`` they are ``sum(p * gap)`` and ``-sum(q * gap)``. Gradients:
    ``p * (gap - L_res)`` for the logits, 0 at y, and ``-q * (gap + L_upd)`` for S[y].
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, matrix: Tensor) -> PairOfLosses:
        log_q = log_residual_labels(matrix)
        # Contiguous, so that _blocks gives views of what is written to.
        to_net = logits.new_empty(target.shape)
        to_matrix = torch.empty_like(to_net)
        for z, y, net, update in _blocks(logits, target, to_net, to_matrix):
            q = _rows(log_q, y)
            p, gap = _other_classes(z, y, q)
            torch.sum(p.mul_(gap), 1, out=net)
            torch.sum(gap.mul_(q.exp_()), 1, out=update).neg_()
        ctx.save_for_backward(logits, target, to_net, to_matrix, matrix)
        return to_net, to_matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_net: Tensor, to_matrix: Tensor) -> tuple[Tensor | None, ...]:
        logits, target, loss, update_loss, matrix = ctx.saved_tensors
        log_q = log_residual_labels(matrix)
        slope = logits.new_empty(logits.shape)
        seen = torch.zeros_like(log_q)  # sum over samples of class i of (gap + L_upd), (C, C)
        for z, y, out, *rest in _blocks(
            logits, target, slope, loss, update_loss, to_net, to_matrix
        ):
            L_res, L_upd, for_net, for_matrix = (one.unsqueeze(1) for one in rest)
            p, gap = _other_classes(z, y, _rows(log_q, y))
            torch.mul(p.mul_(gap - L_res), for_net, out=out)
            if ctx.needs_input_grad[2]:
                # Sums by class as a product of matrices: always in the same order, unlike a scatter
                rows = torch.zeros_like(gap).scatter_(1, y.unsqueeze(1), for_matrix)
                with torch.autocast(gap.device.type, enabled=False):
                    seen += _sums_by_class(rows, gap.add_(L_upd))
        to_s = residual_labels(matrix).mul_(seen).neg_().to(matrix.dtype)
        return slope, None, to_s if ctx.needs_input_grad[2] else None


def _sums_by_class(rows: Tensor, values: Tensor) -> Tensor:
    """(C, C) from two (n, C), or (n, C, p)."""
    if rows.dim() == 2:
        return rows.T @ values
    return (rows @ values.transpose(1, 2)).sum(0)


def _other_classes(z: Tensor, y: Tensor, log_q: Tensor) -> PairOfLosses:
    """``p`` and ``log p - log q``, shaped as the logits and ``log q`` are, 0 at the target."""
    at = y.unsqueeze(1)
    log_p = z.scatter(1, at, torch.finfo(z.dtype).min).log_softmax(1)
    p = log_p.exp()
    return p, log_p.sub_(log_q).scatter_(1, at, 0)


def _rows(table: Tensor, y: Tensor) -> Tensor:
    """``table[y]`` with the classes in dimension 1, laid out as logits are."""
    if y.dim() == 1:
        return table[y]
    # Not table.t()[:, y], which takes eight times as long on a CPU.
    return table.t().index_select(1, y.flatten()).view(-1, *y.shape).movedim(0, 1)


def _blocks(logits: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of all tensors that belong together: (n, C) and (n,), or (N, C, p) and (N, p)."""
    flat = [
        one.flatten(2 if one.shape == logits.shape else 1) if logits.dim() > 2 else one
        for one in (logits, *others)
    ]
    dim = 0 if logits.dim() == 2 else -1
    length = flat[0].shape[dim]
    step = max(1, elements_a_block(logits.device) * length // max(1, logits.numel()))
    for start in range(0, length, step):
        yield tuple(one.narrow(dim, start, min(step, length - start)) for one in flat)
