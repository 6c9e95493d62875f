"""Focal loss for sigmoid and softmax scores.

Paper     Focal Loss for Dense Object Detection, Lin et al. 2017,
          https://arxiv.org/abs/1708.02002, Eq. 5
Host      mmcv's ``sigmoid_focal_loss_*`` and ``softmax_focal_loss_*``, which it calls on CUDA
Deviates  DEVIATION: log(1 - p) is that of the logit; mmcv's loses it above a logit of about 17,
          where 1 - p rounds to 0 in float32. The weight of the background, for which mmcv reads
          beyond its list of weights, is 1.
Letters   N samples, K classes; a label of K is background in the sigmoid form
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.table import serves

TINY = torch.finfo(torch.float32).tiny  # mmcv's floor below every logarithm


def sigmoid_focal_loss(
    logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"], *, gamma: float, alpha: float
) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]]:
    """Loss and its slope for the logits, one value a sample and class.

    Args:
        logits: before the sigmoid.
        labels: from 0 to K - 1, and K for background.
        gamma: exponent of the focus.
        alpha: weight of positives; negatives have 1 - alpha.
    """
    floor = logits.new_tensor(TINY).log()
    p, log_p, log_q = logits.sigmoid(), F.logsigmoid(logits), F.logsigmoid(-logits)
    q, log_p, log_q = (-logits).sigmoid(), log_p.maximum(floor), log_q.maximum(floor)
    positive = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)
    loss = torch.where(positive, -alpha * q**gamma * log_p, (alpha - 1) * p**gamma * log_q)
    rise = -alpha * q**gamma * (q - gamma * p * log_p)
    fall = (alpha - 1) * p**gamma * (gamma * q * log_q - p)
    return loss, torch.where(positive, rise, fall)


def softmax_focal_loss(
    p: Float[Tensor, "N K"], labels: Int[Tensor, " N"], *, gamma: float, alpha: float
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N K"]]:
    """Loss of each sample and its slope for the logits; 0 where the label is negative.

    Args:
        p: after the softmax.
        labels: from 0 to K - 1.
        gamma: exponent of the focus.
        alpha: weight of all.
    """
    valid = labels >= 0
    own = p.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    log = own.clamp(min=TINY).log()
    loss = -alpha * (1 - own) ** gamma * log
    # own may be 1, where a negative power has no value but its product with the logarithm,
    # which is 0, has
    steep = torch.where(own < 1, gamma * (1 - own).clamp(min=TINY) ** (gamma - 1) * own * log, 0)
    outer = torch.where(valid, alpha * (steep - (1 - own) ** gamma), 0)
    hit = labels[:, None] == torch.arange(p.shape[1], device=p.device)
    return torch.where(valid, loss, 0), outer[:, None] * (hit.to(p.dtype) - p)


def _class_weight(weight: Tensor, labels: Tensor) -> Tensor | float:
    """Weight of each sample's class; 1 where its label is no class, or there are no weights."""
    if weight.numel() == 0:
        return 1.0
    known = (labels >= 0) & (labels < len(weight))
    return torch.where(known, at_least_float32(weight)[labels.clamp(0, len(weight) - 1)], 1)


def _column(weight: Tensor | float) -> Tensor | float:
    return weight[:, None] if isinstance(weight, Tensor) else weight


@serves("sigmoid_focal_loss", "sigmoid_focal_loss_forward")
def _sigmoid_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    loss, _ = sigmoid_focal_loss(at_least_float32(input), target, gamma=gamma, alpha=alpha)
    output.copy_(loss * _column(_class_weight(weight, target)))


@serves("sigmoid_focal_loss", "sigmoid_focal_loss_backward")
def _sigmoid_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    _, slope = sigmoid_focal_loss(at_least_float32(input), target, gamma=gamma, alpha=alpha)
    grad_input.copy_(slope * _column(_class_weight(weight, target)))


@serves("softmax_focal_loss", "softmax_focal_loss_forward")
def _softmax_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    loss, _ = softmax_focal_loss(at_least_float32(input), target, gamma=gamma, alpha=alpha)
    output.copy_(loss * _class_weight(weight, target))


@serves("softmax_focal_loss", "softmax_focal_loss_backward")
def _softmax_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    _, slope = softmax_focal_loss(at_least_float32(input), target, gamma=gamma, alpha=alpha)
    grad_input.copy_(slope * _column(_class_weight(weight, target)))
