"""RetinaHead and SSDHead with IoU-balanced losses.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet.RetinaHead, mmdet.SSDHead: same layers, state-dict keys, targets, predictions
Letters   B images, A anchors of one level, P positives, K classes
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RetinaHead, SSDHead
from mmdet.models.losses import smooth_l1_loss
from torch import Tensor

from mmext.detection.iou_balanced.balance import BALANCE, IoUBalance, balance_deltas
from mmext.detection.iou_balanced.positives import EPS, Positives, own_class_loss
from mmext.functional import at_least_float32, foreground
from mmext.registry import MODELS


@dataclass(frozen=True)
class Unfinished:
    """A unit's classification loss as the host computed it, on its way through the host's loss_by_feat."""

    loss_cls: Tensor
    positives: Positives


def finish(balance: IoUBalance, losses: dict[str, Any]) -> dict[str, Any]:
    """Balance what a host's ``loss_by_feat`` returned for units of :class:`Unfinished`."""
    units = losses["loss_cls"]
    losses["loss_cls"] = [unit.loss_cls for unit in units]
    return balance.finish(losses, Positives.join([unit.positives for unit in units]))


def rows(maps: Tensor, width: int) -> Tensor:
    """A map (B, n * width, H, W) as rows (B * H * W * n, width), in mmdet's order."""
    return maps.permute(0, 2, 3, 1).reshape(-1, width)


@MODELS.register_module()
class IoUBalancedRetinaHead(RetinaHead):
    """RetinaHead whose positives count by the IoU of their boxes.

    Args:
        iou_balance: arguments of :class:`~mmext.detection.iou_balanced.balance.IoUBalance`; ``eta=None``
            or ``lam=None`` turns a half off.
        host_cfg: the host's arguments; any of its losses without an IoU in the target.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = IoUBalance(**iou_balance)
        self.iou_balance.refuse(self.loss_cls, self.loss_bbox)

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in the host; adds ``iou_pos_mean`` and ``w_loc`` for the log."""
        return finish(self.iou_balance, super().loss_by_feat(*args, **kwargs))

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
    ) -> tuple[Unfinished, Tensor]:
        """The host's losses of one level, its boxes weighted by ``iou**lam``."""
        at = foreground(labels.flatten(), self.num_classes)
        weights = bbox_weights.flatten(0, 1)
        iou, weight, loc_sums = balance_deltas(
            self,
            partial(self.loss_bbox, reduction_override="none"),
            anchors.flatten(0, 1)[at],
            rows(bbox_pred, self.bbox_coder.encode_size)[at],
            bbox_targets.flatten(0, 1)[at],
            weights[at],
        )
        loss = own_class_loss(self.loss_cls, rows(cls_score, self.cls_out_channels)[at], labels.flatten()[at])
        positives = Positives(
            loss=loss * label_weights.flatten()[at],
            iou=iou,
            unit=torch.zeros_like(at),
            image=at // labels.shape[1],
            num_units=1,
            divisor=avg_factor + EPS,
            loc_sums=loc_sums,
        )
        bbox_weights = weights.index_copy(0, at, weight).view_as(bbox_weights)
        loss_cls, loss_bbox = super().loss_by_feat_single(
            cls_score, bbox_pred, anchors, labels, label_weights, bbox_targets, bbox_weights, avg_factor
        )
        return Unfinished(loss_cls, positives), loss_bbox


@MODELS.register_module()
class IoUBalancedSSDHead(SSDHead):
    """SSDHead whose positives count by the IoU of their boxes; the hardest negatives stay the host's.

    Args:
        iou_balance: as in :class:`IoUBalancedRetinaHead`; ``cls_scope="level"`` is an image here, which
            the host computes in one go.
        host_cfg: the host's arguments.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = IoUBalance(**iou_balance)
        self.loss_cls = None  # mmdet 3.3 asks for it when it predicts, and SSDHead has none

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in the host; adds ``iou_pos_mean`` and ``w_loc`` for the log."""
        return finish(self.iou_balance, super().loss_by_feat(*args, **kwargs))

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
    ) -> tuple[Unfinished, Tensor]:
        """The host's losses of one image, its boxes weighted by ``iou**lam``."""
        at = foreground(labels, self.num_classes)
        iou, weight, loc_sums = balance_deltas(
            self,
            partial(smooth_l1_loss, beta=self.train_cfg["smoothl1_beta"], reduction="none"),
            anchor[at],
            bbox_pred[at],
            bbox_targets[at],
            bbox_weights[at],
        )
        loss = F.cross_entropy(at_least_float32(cls_score[at]), labels[at], reduction="none")
        positives = Positives(
            loss=loss * label_weights[at],
            iou=iou,
            unit=torch.zeros_like(at),
            image=None,
            num_units=1,
            divisor=avg_factor,
            loc_sums=loc_sums,
        )
        bbox_weights = bbox_weights.index_copy(0, at, weight)
        loss_cls, loss_bbox = super().loss_by_feat_single(
            cls_score, bbox_pred, anchor, labels, label_weights, bbox_targets, bbox_weights, avg_factor
        )
        return Unfinished(loss_cls, positives), loss_bbox
