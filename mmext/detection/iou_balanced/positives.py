"""The positives of a step: what is known of them, and how their IoU and their own loss are worked out.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet 3.x
Letters   P positives of one unit, that is of what the host computes in one go: a pyramid level (RetinaNet,
          ATSS, FCOS), an image (SSD), a batch of RoIs (R-CNN); K classes
"""

from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from torch import Tensor, nn

from mmext.functional import at_least_float32

EPS = torch.finfo(torch.float32).eps  # mmdet adds it to every avg_factor


@dataclass(frozen=True)
class Positives:
    """The positives of one unit, or of several one after the other.

    Args:
        loss: classification loss of each one's own class times its label weight, (P,), with its graph.
        iou: of each one's predicted box with its ground truth, (P,).
        unit: index of the unit, (P,).
        image: index of the image, (P,); None where a unit is an image.
        num_units: how many units there are, those without positives included.
        divisor: what the host divides the sum of the classification losses by.
        loc_sums: localisation loss as the host has it, and with each positive weighted by ``iou**lam``; (2,).
    """

    loss: Tensor
    iou: Tensor
    unit: Tensor
    image: Tensor | None
    num_units: int
    divisor: int | float | Tensor
    loc_sums: Tensor

    @staticmethod
    def join(units: "list[Positives]") -> "Positives":
        """The positives of all units of one call; each comes with ``unit`` 0."""
        unit = torch.cat([x.unit + i for i, x in enumerate(units)])
        images = [x.image for x in units if x.image is not None]
        return Positives(
            loss=torch.cat([x.loss for x in units]),
            iou=torch.cat([x.iou for x in units]),
            unit=unit,
            image=torch.cat(images) if images else unit,
            num_units=len(units),
            divisor=units[0].divisor,
            loc_sums=torch.stack([x.loc_sums for x in units]).sum(0),
        )


@torch.no_grad()
def box_iou(boxes: Tensor, targets: Tensor) -> Tensor:
    """IoU (P,) of boxes (P, 4) with their ground truths, in float32 or better."""
    with torch.autocast(boxes.device.type, enabled=False):
        boxes, targets = (at_least_float32(get_box_tensor(x)) for x in (boxes, targets))
        # DEVIATION: the authors' boxes include their last pixel; here they are mmdet's, without "+ 1".
        return bbox_overlaps(boxes, targets, is_aligned=True).clamp(0, 1)


@torch.no_grad()
def delta_iou(coder: Any, priors: Tensor, pred: Tensor, target: Tensor, *, decoded_target: bool) -> Tensor:
    """IoU (P,) of predictions (P, 4) in the coder's units with targets, deltas as well or boxes already.

    DEVIATION: the authors decode every anchor; only positives have a weight, so only they come here.
    """
    with torch.autocast(pred.device.type, enabled=False):
        priors = at_least_float32(get_box_tensor(priors))
        boxes = coder.decode(priors, at_least_float32(pred))
        if not decoded_target:
            target = coder.decode(priors, at_least_float32(target))
    return box_iou(boxes, target)


def own_class_loss(loss_cls: nn.Module, cls_score: Tensor, labels: Tensor) -> Tensor:
    """Loss (P,) of each positive for its own class, from scores (P, K or K + 1).

    A loss with one value a class (sigmoid) gives that of the own class, a softmax loss its only one.
    """
    if len(labels) == 0:
        return cls_score.sum(1)
    with torch.autocast(cls_score.device.type, enabled=False):
        loss = loss_cls(at_least_float32(cls_score), labels, reduction_override="none")
    return loss if loss.dim() == 1 else loss.gather(1, labels[:, None]).squeeze(1)
