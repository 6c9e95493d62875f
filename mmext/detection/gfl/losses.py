"""Quality Focal Loss, Distribution Focal Loss and the integral of a distribution over bins.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      Focal loss for targets between 0 and 1; cross-entropy on the two bins beside a continuous
          target.
Host      none: torch alone, so it can be used and tested without mmdet
Letters   N samples, K classes, R bins 0 .. R-1, s = sigmoid(logit), y the quality target in [0, 1]
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmext.functional import at_least_float32, elements_a_block, reduce_loss
from mmext.registry import MODELS


def _qfl(x: Tensor, y: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Eq. 2 elementwise, ``|y - s|**beta * BCE(x, y)``, and its derivative with respect to x.

    With d = s - y the derivative is
    ``|d|**(beta-1) * (beta * sign(d) * s * (1-s) * BCE + |d| * d)``.
    """
    s = x.sigmoid()
    d = s - y
    size = d.abs()
    bce = F.softplus(x) - x * y
    loss = size.pow(beta) * bce
    # |d|**(beta-1) is infinite at d = 0 if beta < 1, where sign(d) is 0: keep inf * 0 away.
    outer = size.clamp_min(torch.finfo(x.dtype).tiny).pow_(beta - 1)
    return loss, outer * (beta * d.sign() * s * (1 - s) * bce + size * d)


def _qfl_negative(x: Tensor, beta: float, slope: Tensor) -> Tensor:
    """:func:`_qfl` at y = 0; ``slope`` gets the derivative ``s**beta * (beta * (1-s) * BCE + s)``.

    All but a few of the N x K elements come through here, so it is written for few passes over
    memory. BCE is ``softplus(x)``, written as ``relu(x) - log1p(-min(s, 1-s))``: the same to the
    last bit or two for any x, and it reuses s where softplus takes another exponential.
    """
    s = x.sigmoid()
    t = 1 - s
    bce = F.relu(x).sub_(torch.minimum(s, t).neg_().log1p_())
    factor = s.pow(beta)
    torch.mul(torch.addcmul(s, t, bce, value=beta), factor, out=slope)
    return factor.mul_(bce)


class _QualityFocal(torch.autograd.Function):
    """Row sums of Eq. 2. The slope is worked out with the value, so it alone is kept for backward.

    It is kept in float32 also for logits of half precision: most slopes are those of sure
    negatives, which are below what half precision can say until a loss scale lifts them, and scaled
    they must not overflow.

    ``column`` tells where ``target`` (N, 1) stands in its row, all other targets being 0; without
    it ``target`` is dense (N, K).
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, column: Tensor | None, beta: float
    ) -> Tensor:
        N, K = logits.shape
        dtype = torch.promote_types(logits.dtype, torch.float32)
        loss, slope = logits.new_empty(N, dtype=dtype), torch.empty_like(logits, dtype=dtype)
        if column is not None:
            at_column = _qfl(at_least_float32(logits.gather(1, column)), target, beta)
        # Four intermediates at once.
        rows = max(1, elements_a_block(logits.device) // (4 * max(K, 1)))
        for block in (slice(i, i + rows) for i in range(0, N, rows)):
            x = at_least_float32(logits[block])
            if column is None:
                value, slope[block] = _qfl(x, target[block], beta)
            else:
                value = _qfl_negative(x, beta, slope[block])
                value.scatter_(1, column[block], at_column[0][block])
                slope[block].scatter_(1, column[block], at_column[1][block])
            torch.sum(value, 1, out=loss[block])
        ctx.save_for_backward(slope)
        ctx.dtype = logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        # Multiplied in float32 and rounded once, in one pass.
        to_logits = torch.mul(slope, grad[:, None], out=torch.empty_like(slope, dtype=ctx.dtype))
        return to_logits, None, None, None


def quality_focal_loss(
    logits: Float[Tensor, "N K"],
    label: Int[Tensor, " N"],
    quality: Float[Tensor, " N"],
    *,
    beta: float = 2.0,
) -> Float[Tensor, " N"]:
    """Quality Focal Loss of each sample, summed over its classes (Eq. 2).

    Computed in float32 or better. The gradient is closed-form: once differentiable, and the targets
    are constants.

    Args:
        logits: joint score of class and box quality, before the sigmoid.
        label: class index of positives; K for background; a negative label takes the sample out.
        quality: target score of positives within [0, 1], for example an IoU.
        beta: exponent of the modulating factor, at least 0.

    Raises:
        ValueError: ``beta`` is negative.

    Example:
        >>> quality_focal_loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0.5]))
        tensor([0.1733])
    """
    _check_beta(beta)
    K = logits.shape[1]
    positive = (label >= 0) & (label < K)
    column = label.clamp(0, K - 1)[:, None]
    target = at_least_float32(quality).masked_fill(~positive, 0)[:, None].detach()
    loss = _QualityFocal.apply(logits, target, column, beta)
    # DEVIATION: mmdet counts a label of -1 as background unless its weight is 0. Here it never
    # counts.
    return loss.masked_fill(label < 0, 0)


def dense_quality_focal_loss(
    logits: Float[Tensor, "N K"], target: Float[Tensor, "N K"], *, beta: float = 2.0
) -> Float[Tensor, " N"]:
    """Quality Focal Loss with a target score for each class; else as :func:`quality_focal_loss`."""
    _check_beta(beta)
    return _QualityFocal.apply(logits, at_least_float32(target).detach(), None, beta)


def _check_beta(beta: float) -> None:
    if beta < 0:
        raise ValueError(f"beta must be at least 0, got {beta}; the paper uses 2")


def distribution_focal_loss(
    logits: Float[Tensor, "N R"], target: Float[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Distribution Focal Loss of each sample: cross-entropy on both bins around the target (Eq. 6).

    With j = floor(t) it is ``-((j+1-t) * log S_j + (t-j) * log S_{j+1})``, from one log-softmax.

    Args:
        logits: distribution over the bins, before the softmax.
        target: position in bins. Values outside [0, R - 1] count as the nearest end; NaN gives
            loss 0.
    """
    x = at_least_float32(logits)
    last = x.shape[1] - 1
    t = at_least_float32(target).nan_to_num(0.0).clamp(0, last).to(x.dtype)
    left = t.floor().clamp(max=last - 1)
    right_weight = t - left
    at = left.long()[:, None]
    log_s = x.log_softmax(1)
    loss = torch.lerp(
        log_s.gather(1, at).squeeze(1), log_s.gather(1, at + 1).squeeze(1), right_weight
    )
    return -loss.masked_fill(target.isnan(), 0)


def integral(logits: Float[Tensor, "*N R"]) -> Float[Tensor, "*N"]:
    """Expected bin of a distribution, ``sum_j j * softmax(logits)_j`` (Eq. 5), float32 or better.

    Written as multiply and sum, which autocast leaves in float32; as a matrix product it would run
    in half precision and move a box side by several pixels at stride 128.
    """
    p = at_least_float32(logits).softmax(-1)
    return (p * torch.arange(p.shape[-1], device=p.device, dtype=p.dtype)).sum(-1)


@MODELS.register_module()
class QualityFocalLoss(nn.Module):
    """Quality Focal Loss with mmdet's interface and config keys.

    Args:
        use_sigmoid: kept for mmdet's configs; must be true.
        beta: exponent of the modulating factor.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: factor on the result.
        activated: the predictions are probabilities already. They are turned back into logits, at
            most about 16 in size, so that the gradient stays finite at 0 and 1.

    Raises:
        ValueError: ``use_sigmoid`` is false, or ``beta`` is negative.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        beta: float = 2.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        if not use_sigmoid:
            raise ValueError(
                "QualityFocalLoss is defined on sigmoids: use_sigmoid must be True, got False"
            )
        _check_beta(beta)
        self.use_sigmoid = use_sigmoid  # the head asks for it
        self.beta = beta
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.activated = activated

    def forward(
        self,
        pred: Tensor,
        target: Tensor | tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the weighted, reduced loss.

        Args:
            pred: (N, K) logits, or probabilities with ``activated``.
            target: ``(label, quality)`` of shapes (N,) and (N,), or dense scores (N, K).
            weight: (N,) factor of each sample.
            avg_factor: what ``mean`` divides by.
            reduction_override: replaces ``reduction`` in this call.

        Raises:
            ValueError: a dense target is not of the shape of ``pred``.
        """
        if self.activated:
            # DEVIATION: mmdet works on the probabilities, whose gradient reaches 1e12 at 0 and 1.
            p = at_least_float32(pred)
            pred = torch.logit(p, eps=torch.finfo(p.dtype).eps)
        if isinstance(target, Tensor):
            if target.shape != pred.shape:
                raise ValueError(
                    f"a dense target must have the shape of pred {tuple(pred.shape)}, got "
                    f"{tuple(target.shape)}; class indices go in a pair (label, quality)"
                )
            loss = dense_quality_focal_loss(pred, target, beta=self.beta)
        else:
            label, quality = target
            loss = quality_focal_loss(pred, label, quality, beta=self.beta)
        reduction = reduction_override or self.reduction
        return self.loss_weight * reduce_loss(
            loss, weight, reduction=reduction, avg_factor=avg_factor
        )


@MODELS.register_module()
class DistributionFocalLoss(nn.Module):
    """Distribution Focal Loss with mmdet's interface and config keys.

    Args:
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: factor on the result.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the weighted, reduced loss of logits (N, R) against positions (N,) in bins."""
        loss = distribution_focal_loss(pred, target)
        reduction = reduction_override or self.reduction
        return self.loss_weight * reduce_loss(
            loss, weight, reduction=reduction, avg_factor=avg_factor
        )
