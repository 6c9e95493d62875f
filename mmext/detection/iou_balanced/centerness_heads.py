"""ATSSHead and FCOSHead with IoU-balanced losses, on top of their centerness weights.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet.ATSSHead, mmdet.FCOSHead: same layers, state-dict keys, targets, predictions
Letters   B images, A anchors of one level, P positives, K classes, L levels

DEVIATION: the paper has no anchor-free heads. Their box losses are weighted by centerness already
and divided by its sum; IoU**lam multiplies that weight, and the divisor stays.
"""

from functools import partial
from typing import Any

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.detection.iou_balanced.balance import BALANCE, balance_of
from mmext.detection.iou_balanced.dense_heads import Anchors, UnitLoss, positives_of, taken_out
from mmext.detection.iou_balanced.positives import Positives, own_box_loss, own_class_loss
from mmext.detection.positives import EPS, box_iou, rows_at, rows_of_levels
from mmext.functional import at_least_float32, foreground
from mmext.registry import MODELS


@MODELS.register_module()
class IoUBalancedATSSHead(ATSSHead):
    """ATSSHead whose positives count by the IoU of their boxes.

    Args:
        iou_balance: as in :class:`~mmext.detection.iou_balanced.dense_heads.IoUBalancedRetinaHead`.
        host_cfg: the host's arguments; any of its losses without an IoU in the target.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = balance_of(iou_balance, self.loss_cls, self.loss_bbox)

    def loss_by_feat(self, cls_scores: list[Tensor], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in the host; adds ``iou_pos_mean`` and ``w_loc`` for the log."""
        losses = super().loss_by_feat(cls_scores, *args, **kwargs)
        units = taken_out(losses)  # one a level
        # (P, ...) and the level of each, (P,).
        anchors, unit = positives_of(units, self.num_classes)
        boxes = self.bbox_coder.decode(
            anchors.prior, at_least_float32(anchors.bbox_pred)
        )  # (P, 4) pixels
        iou = box_iou(boxes, anchors.target)  # (P,)
        # The host's function fails on nothing.
        center = self.centerness_target(anchors.prior, anchors.target) if len(iou) else iou
        over_centers = losses["loss_bbox"][0][1]  # see loss_by_feat_single
        losses["loss_bbox"] = [loss for loss, _ in losses["loss_bbox"]]
        loss_bbox = partial(self.loss_bbox, reduction_override="none")
        positives = Positives(
            cls_loss=own_class_loss(self.loss_cls, anchors.cls_score, anchors.label)
            * anchors.label_weight,
            box_loss=own_box_loss(loss_bbox, boxes, anchors.target, center),
            iou=iou,
            unit=unit,
            image=anchors.image,
            num_units=len(units),
            num_images=len(cls_scores[0]),
            cls_divisor=units[0].avg_factor + EPS,
            box_divisor=(1 + EPS) / over_centers,
        )
        return self.iou_balance.finish(losses, positives)

    def loss_by_feat_single(
        self,
        anchors: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        centerness: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        avg_factor: float,
    ) -> tuple[UnitLoss, Tensor, Tensor, Tensor]:
        """The host's losses of one level, and how to look at its positives."""

        def anchors_at(index: Tensor) -> Anchors:
            target = bbox_targets.reshape(-1, 4)[index]
            return Anchors(
                image=index // labels.shape[1],
                label=labels.flatten()[index],
                label_weight=label_weights.flatten()[index],
                cls_score=rows_at(cls_score, self.cls_out_channels, index),
                bbox_pred=rows_at(bbox_pred, 4, index),
                prior=anchors.reshape(-1, 4)[index],
                target=target,
                # the host's is the centerness, which is worked out for all levels at once
                weight=target,
            )

        args = (anchors, cls_score, bbox_pred, centerness, labels, label_weights, bbox_targets)
        loss_cls, loss_bbox, *centers = super().loss_by_feat_single(*args, avg_factor)
        # The host divides this by the centerness of all levels and ranks, and the 1 tells by how
        # much.
        loss_bbox = torch.stack([loss_bbox, torch.ones_like(loss_bbox)])
        return UnitLoss(loss_cls, labels.flatten(), anchors_at, avg_factor), loss_bbox, *centers


@MODELS.register_module()
class IoUBalancedFCOSHead(FCOSHead):
    """FCOSHead whose positives count by the IoU of their boxes.

    Args:
        iou_balance: as in :class:`~mmext.detection.iou_balanced.dense_heads.IoUBalancedRetinaHead`.
        host_cfg: the host's arguments; any of its losses without an IoU in the target.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = balance_of(iou_balance, self.loss_cls, self.loss_bbox)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """The host's losses, boxes weighted by ``centerness * iou**lam``; adds what to log.

        The host computes all levels in one function with no place to come in between, so this
        stands in for it: the same values where both halves of the balance are off.

        Args:
            cls_scores: (B, K, H, W) logits of each level.
            bbox_preds: (B, 4, H, W) distances of each level.
            centernesses: (B, 1, H, W) logits of each level.
            batch_gt_instances: ``bboxes`` (G, 4) xyxy in pixels and ``labels`` (G,) of each image.
            batch_img_metas: not used, as in the host.
            batch_gt_instances_ignore: not used, as in the host.
        """
        # Targets and logits of all levels as one, level after level and in it image after image, as
        # the host has them: (N, ...) with N = B * (H1 * W1 + H2 * W2 + ...).
        sizes, like = [x.shape[-2:] for x in cls_scores], bbox_preds[0]
        points = self.prior_generator.grid_priors(sizes, dtype=like.dtype, device=like.device)
        level_labels, level_targets = self.get_targets(points, batch_gt_instances)
        B, labels = len(cls_scores[0]), torch.cat(level_labels)  # (N,)
        cls_score = rows_of_levels(cls_scores, self.cls_out_channels)  # (N, K)
        at = foreground(labels, self.num_classes)  # (P,)
        num_pos = reduce_mean(cls_score.new_tensor(len(at), dtype=torch.float)).clamp(min=1.0)
        boxes, gt_boxes, center = self._boxes(at, points, bbox_preds, level_targets)
        center_sum = reduce_mean(center.sum()).clamp(min=1e-6)
        centerness = rows_of_levels(centernesses, 1)[at, 0]  # (P,)
        # The host's three losses; first, a graph where there are no positives.
        losses = dict(
            loss_cls=self.loss_cls(cls_score, labels, avg_factor=num_pos),
            loss_bbox=boxes.sum(),
            loss_centerness=centerness.sum(),
        )
        if len(at):
            losses["loss_bbox"] = self.loss_bbox(
                boxes, gt_boxes, weight=center, avg_factor=center_sum
            )
            losses["loss_centerness"] = self.loss_centerness(centerness, center, avg_factor=num_pos)
        # What the paper changes about them.
        unit, image = _places(at, [len(x) for x in level_labels], B)  # (P,) each
        single = partial(self.loss_bbox, reduction_override="none")
        positives = Positives(
            cls_loss=own_class_loss(self.loss_cls, cls_score[at], labels[at]),
            box_loss=own_box_loss(single, boxes, gt_boxes, center),
            iou=box_iou(boxes, gt_boxes),
            unit=unit,
            image=image,
            num_units=len(points),
            num_images=B,
            cls_divisor=num_pos + EPS,
            box_divisor=center_sum + EPS,
        )
        return self.iou_balance.finish(losses, positives)

    def _boxes(
        self, at: Tensor, points: list[Tensor], bbox_preds: list[Tensor], targets: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted and true boxes (P, 4) of rows ``at``, and the host's weight of each, (P,).

        Boxes in strides around the point where the host normalises distances; the IoU is the same.
        """
        target = torch.cat(targets)[at]  # (P, 4) distances
        point = torch.cat([p.repeat(len(bbox_preds[0]), 1) for p in points])[at]  # (P, 2)
        pred = rows_of_levels(bbox_preds, 4)[at]  # (P, 4) distances
        boxes, gt_boxes = (self.bbox_coder.decode(point, one) for one in (pred, target))
        return boxes, gt_boxes, self.centerness_target(target)


def _places(at: Tensor, counts: list[int], B: int) -> tuple[Tensor, Tensor]:
    """Level and image of rows ``at`` of maps that lie level by level, image by image, (P,) each."""
    ends = torch.tensor(counts, device=at.device).cumsum(0)
    level = torch.searchsorted(ends, at, right=True)
    sizes = ends.new_tensor(counts)
    return level, (at - (ends - sizes)[level]) // (sizes // B)[level]
