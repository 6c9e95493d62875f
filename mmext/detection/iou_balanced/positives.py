"""The positives of a step: what the balance has to know of them.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet 3.x
Letters   P positives of all units; a unit is what the host computes in one go: a pyramid level
          (RetinaNet, ATSS, FCOS), an image (SSD), a batch of RoIs (R-CNN); K classes
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from mmext.detection.positives import decoded_iou
from mmext.functional import at_least_float32


@dataclass(frozen=True)
class Positives:
    """The positives of a step and their single losses, as the host would sum them up.

    Args:
        cls_loss: classification loss of each one's own class times its label weight, (P,), with its
            graph.
        box_loss: localisation loss of each one times the host's weight, (P,), with its graph.
        iou: of each one's predicted box with its ground truth, (P,).
        unit: index of the unit, (P,).
        image: index of the image, (P,).
        num_units: how many units there are, those without positives included.
        num_images: how many images there are, or more; a box head does not know it.
        cls_divisor: what the host divides the sum of the classification losses by.
        box_divisor: what it divides the sum of the localisation losses by.
    """

    cls_loss: Tensor
    box_loss: Tensor
    iou: Tensor
    unit: Tensor
    image: Tensor
    num_units: int
    num_images: int
    cls_divisor: int | float | Tensor
    box_divisor: int | float | Tensor


def own_class_loss(loss_cls: nn.Module, cls_score: Tensor, labels: Tensor) -> Tensor:
    """Loss (P,) of each positive for its own class, from scores (P, K or K + 1).

    A loss with one value a class (sigmoid) gives that of the own class, a softmax loss its only
    one.
    """
    if len(labels) == 0:
        return cls_score.sum(1)
    with torch.autocast(cls_score.device.type, enabled=False):
        loss = loss_cls(at_least_float32(cls_score), labels, reduction_override="none")
    return loss if loss.dim() == 1 else loss.gather(1, labels[:, None]).squeeze(1)


def own_box_loss(
    loss: Callable[..., Tensor], pred: Tensor, target: Tensor, weight: Tensor
) -> Tensor:
    """Loss (P,) of each positive's box from predictions, targets (P, 4) and weights (P, 4) or (P,).

    Args:
        loss: a localisation loss that does not reduce; where it has a value a coordinate, these are
            summed.
        pred: predictions in the unit of ``target``.
        target: what ``loss`` compares them with.
        weight: the host's.
    """
    if len(target) == 0:
        return pred.sum(1)  # some losses refuse to be empty
    with torch.autocast(pred.device.type, enabled=False):
        # With weights some losses look whether there are any.
        found = loss(at_least_float32(pred), target)
    if found.dim() == 1:
        return found * (weight.mean(1) if weight.dim() == 2 else weight)
    return (found * (weight if weight.dim() == 2 else weight[:, None])).sum(1)


def compared_and_iou(
    head: Any, prior: Tensor, pred: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """What the head's box loss compares with its targets, (P, 4), and the IoU of the boxes, (P,).

    DEVIATION: the authors decode every anchor; only positives have a weight, so only they come
    here.

    Args:
        head: gives ``bbox_coder`` and ``reg_decoded_bbox``.
        prior: boxes (P, 4) that the deltas start from.
        pred: predicted deltas (P, 4).
        target: deltas (P, 4), or boxes where the head decodes before its loss.
    """
    pred, decoded = at_least_float32(pred), head.reg_decoded_bbox
    iou = decoded_iou(head.bbox_coder, prior, pred, target, decoded_target=decoded)
    return (get_box_tensor(head.bbox_coder.decode(prior, pred)) if decoded else pred), iou
