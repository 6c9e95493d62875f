"""What mmdet's heads know of their samples: single losses and the probability of the positives.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmdet 3.x
Letters   N samples, P positives, K classes
"""

from typing import Any

import torch
from torch import Tensor, nn

from mmext.detection.positives import decoded_iou, derives_from
from mmext.functional import at_least_float32

REFUSED = ("GHMC", "GHMR")


def refuse(loss_cls: nn.Module, loss_bbox: nn.Module) -> None:
    """Raise ``ValueError`` if a loss of the head and single samples' weights do not go together."""
    for loss in (loss_cls, loss_bbox):
        if derives_from(loss, REFUSED):
            raise ValueError(
                f"sample weighting expects losses of single samples, got {type(loss).__name__}, "
                "which weights by the statistics of the batch; use FocalLoss, CrossEntropyLoss or "
                "SmoothL1Loss"
            )
    if getattr(loss_cls, "custom_cls_channels", False) or getattr(
        loss_cls, "custom_activation", False
    ):
        raise ValueError(
            "sample weighting expects one classification loss a sample, got "
            f"{type(loss_cls).__name__}, which returns several; use CrossEntropyLoss, or wrap the "
            "box loss alone in mmext.SWNLoss"
        )


def per_sample(loss: Tensor) -> Tensor:
    """One loss a sample, (N,), from one a sample or one a sample and class."""
    return loss if loss.dim() == 1 else loss.flatten(1).sum(1)


def per_coordinate(loss: Tensor) -> Tensor:
    """Box losses (P, 4); a loss of the whole box (IoU, GIoU) is shared among its coordinates."""
    return loss if loss.dim() == 2 else (loss / 4)[:, None].expand(-1, 4)


def seen_iou(head: Any, prior: Tensor, pred: Tensor, target: Tensor) -> Tensor | None:
    """IoU (P,) of the positives' boxes with their ground truths, if the head's network sees it."""
    if "iou" not in head.swn.sees:
        return None
    return decoded_iou(head.bbox_coder, prior, pred, target, decoded_target=head.reg_decoded_bbox)


def seen_probability(
    head: Any, cls_score: Tensor, labels: Tensor, at: Tensor, *, sigmoid: bool
) -> Tensor | None:
    """Predicted probability (P,) of the positives ``at``, if the head's network sees it."""
    if "prob" not in head.swn.sees:
        return None
    return own_probability(cls_score[at], labels[at], sigmoid=sigmoid)


@torch.no_grad()
def own_probability(cls_score: Tensor, labels: Tensor, *, sigmoid: bool) -> Tensor:
    """Predicted probability (P,) of each positive's class, from scores (P, K or K + 1)."""
    scores = at_least_float32(cls_score)
    probs = scores.sigmoid() if sigmoid else scores.softmax(1)
    return probs.gather(1, labels[:, None]).squeeze(1)
