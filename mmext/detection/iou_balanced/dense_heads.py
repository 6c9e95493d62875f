"""RetinaHead and SSDHead with IoU-balanced losses.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet.RetinaHead, mmdet.SSDHead: same layers, state-dict keys, targets, predictions
Letters   B images, A anchors of one level, P positives, K classes
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RetinaHead, SSDHead
from mmdet.models.losses import smooth_l1_loss
from torch import Tensor

from mmext.detection.iou_balanced.balance import BALANCE, balance_of
from mmext.detection.iou_balanced.positives import (
    Positives,
    compared_and_iou,
    own_box_loss,
    own_class_loss,
)
from mmext.detection.positives import EPS, foreground_of_levels, rows_at
from mmext.functional import at_least_float32
from mmext.registry import MODELS


class Anchors(NamedTuple):
    """What a head knows of some anchors."""

    image: Tensor  # (P,) index
    label: Tensor  # (P,) class
    label_weight: Tensor  # (P,)
    cls_score: Tensor  # (P, K or K + 1) logits
    bbox_pred: Tensor  # (P, 4) deltas
    prior: Tensor  # (P, 4) xyxy in pixels
    target: Tensor  # (P, 4) deltas, or boxes where the head decodes
    weight: Tensor  # (P, 4) or (P,), the host's of the box loss


class UnitLoss(NamedTuple):
    """A unit's classification loss passing through the host's ``loss_by_feat``, and its anchors."""

    loss_cls: Tensor
    labels: Tensor  # (A,) of all anchors of the unit
    anchors_at: Callable[[Tensor], Anchors]  # from indices (P,) to those anchors
    avg_factor: int | float  # the host's


def taken_out(losses: dict[str, Any]) -> list[UnitLoss]:
    """The units of a host's losses, in which plain tensors take their place."""
    units = losses["loss_cls"]
    losses["loss_cls"] = [unit.loss_cls for unit in units]
    return units


def positives_of(units: Sequence[UnitLoss], num_classes: int) -> tuple[Anchors, Tensor]:
    """The positives of all units, one after the other, and the index of each one's unit, (P,)."""
    at = foreground_of_levels([unit.labels for unit in units], num_classes)
    found = [unit.anchors_at(index) for unit, index in zip(units, at, strict=True)]
    unit = torch.cat([torch.full_like(index, i) for i, index in enumerate(at)])
    return Anchors(*(torch.cat(x) for x in zip(*found, strict=True))), unit


@MODELS.register_module()
class IoUBalancedRetinaHead(RetinaHead):
    """RetinaHead whose positives count by the IoU of their boxes.

    Args:
        iou_balance: arguments of :class:`~mmext.detection.iou_balanced.balance.IoUBalance`;
            ``eta=None`` or ``lam=None`` turns a half off.
        host_cfg: the host's arguments; any of its losses without an IoU in the target.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = balance_of(iou_balance, self.loss_cls, self.loss_bbox)

    def loss_by_feat(self, cls_scores: list[Tensor], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in the host; adds ``iou_pos_mean`` and ``w_loc`` for the log."""
        losses = super().loss_by_feat(cls_scores, *args, **kwargs)
        units = taken_out(losses)
        anchors, unit = positives_of(units, self.num_classes)
        divisor = units[0].avg_factor + EPS
        pred, iou = compared_and_iou(self, anchors.prior, anchors.bbox_pred, anchors.target)
        positives = Positives(
            cls_loss=own_class_loss(self.loss_cls, anchors.cls_score, anchors.label)
            * anchors.label_weight,
            box_loss=own_box_loss(
                partial(self.loss_bbox, reduction_override="none"),
                pred,
                anchors.target,
                anchors.weight,
            ),
            iou=iou,
            unit=unit,
            image=anchors.image,
            num_units=len(units),
            num_images=len(cls_scores[0]),
            cls_divisor=divisor,
            box_divisor=divisor,
        )
        return self.iou_balance.finish(losses, positives)

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: int,
    ) -> tuple[UnitLoss, Tensor]:
        """The host's losses of one level, and how to look at its positives."""

        def anchors_at(index: Tensor) -> Anchors:
            per_anchor = (anchors, bbox_targets, bbox_weights)
            prior, target, weight = (x.flatten(0, 1)[index] for x in per_anchor)
            return Anchors(
                image=index // labels.shape[1],
                label=labels.flatten()[index],
                label_weight=label_weights.flatten()[index],
                cls_score=rows_at(cls_score, self.cls_out_channels, index),
                bbox_pred=rows_at(bbox_pred, self.bbox_coder.encode_size, index),
                prior=prior,
                target=target,
                weight=weight,
            )

        args = (cls_score, bbox_pred, anchors, labels, label_weights, bbox_targets, bbox_weights)
        loss_cls, loss_bbox = super().loss_by_feat_single(*args, avg_factor)
        return UnitLoss(loss_cls, labels.flatten(), anchors_at, avg_factor), loss_bbox


@MODELS.register_module()
class IoUBalancedSSDHead(SSDHead):
    """SSDHead whose positives count by their boxes' IoU; the hardest negatives stay the host's.

    Args:
        iou_balance: as in :class:`IoUBalancedRetinaHead`; ``cls_scope="level"`` is an image here,
            which the host computes in one go.
        host_cfg: the host's arguments.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = balance_of(iou_balance, None, None)
        self.loss_cls = None  # mmdet 3.3 asks for it when it predicts, and SSDHead has none

    def loss_by_feat(self, cls_scores: list[Tensor], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in the host; adds ``iou_pos_mean`` and ``w_loc`` for the log."""
        losses = super().loss_by_feat(cls_scores, *args, **kwargs)
        units = taken_out(losses)
        anchors, unit = positives_of(units, self.num_classes)
        avg_factor = units[0].avg_factor
        pred, iou = compared_and_iou(self, anchors.prior, anchors.bbox_pred, anchors.target)
        cls_loss = F.cross_entropy(
            at_least_float32(anchors.cls_score), anchors.label, reduction="none"
        )
        smooth_l1 = partial(smooth_l1_loss, beta=self.train_cfg["smoothl1_beta"], reduction="none")
        positives = Positives(
            cls_loss=cls_loss * anchors.label_weight,
            box_loss=own_box_loss(smooth_l1, pred, anchors.target, anchors.weight),
            iou=iou,
            unit=unit,
            image=unit,
            num_units=len(units),
            num_images=len(units),
            cls_divisor=avg_factor,
            box_divisor=avg_factor + EPS,
        )
        return self.iou_balance.finish(losses, positives)

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchor: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: int,
    ) -> tuple[UnitLoss, Tensor]:
        """The host's losses of one image, and how to look at its positives."""

        def anchors_at(index: Tensor) -> Anchors:
            columns = (
                labels,
                label_weights,
                cls_score,
                bbox_pred,
                anchor,
                bbox_targets,
                bbox_weights,
            )
            return Anchors(index, *(x[index] for x in columns))

        args = (cls_score, bbox_pred, anchor, labels, label_weights, bbox_targets, bbox_weights)
        loss_cls, loss_bbox = super().loss_by_feat_single(*args, avg_factor)
        return UnitLoss(loss_cls, labels, anchors_at, avg_factor), loss_bbox
