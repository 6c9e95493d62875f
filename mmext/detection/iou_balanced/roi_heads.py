"""The ConvFC box heads of R-CNN with IoU-balanced losses.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Host      mmdet.ConvFCBBoxHead and its two named forms: same layers, state-dict keys, targets,
          predictions
Letters   R RoIs of a batch, P positives, K classes
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from torch import Tensor

from mmext.detection.iou_balanced.balance import BALANCE, balance_of
from mmext.detection.iou_balanced.positives import (
    Positives,
    compared_and_iou,
    own_box_loss,
    own_class_loss,
)
from mmext.detection.positives import EPS, own_boxes
from mmext.functional import foreground
from mmext.registry import MODELS


@MODELS.register_module()
class IoUBalancedConvFCBBoxHead(ConvFCBBoxHead):
    """ConvFCBBoxHead whose positive RoIs count by the IoU of their boxes.

    Args:
        iou_balance: as in :class:`~mmext.detection.iou_balanced.dense_heads.IoUBalancedRetinaHead`;
            ``cls_scope="level"`` is the batch of RoIs of one rank here, which the host computes in
            one go.
        host_cfg: the host's arguments; any of its losses without an IoU in the target.
    """

    def __init__(self, *, iou_balance: dict = BALANCE, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.iou_balance = balance_of(iou_balance, self.loss_cls, self.loss_bbox)

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """The host's losses with both weights.

        Args:
            cls_score: (R, K + 1) logits.
            bbox_pred: (R, 4) or (R, 4 * K) deltas.
            rois: (R, 5), index of the image and xyxy in pixels.
            labels: (R,), K for background.
            label_weights: (R,).
            bbox_targets: (R, 4) deltas, or xyxy in pixels with ``reg_decoded_bbox``.
            bbox_weights: (R, 4).
            reduction_override: given where single losses are wanted, for example to mine hard RoIs;
                these are the host's, without weights.
        """
        args = (cls_score, bbox_pred, rois, labels, label_weights, bbox_targets, bbox_weights)
        losses = super().loss(*args, reduction_override)
        if reduction_override is not None or cls_score is None or bbox_pred is None:
            return losses
        at = foreground(labels, self.num_classes)  # (P,)
        target = bbox_targets[at]  # (P, 4)
        # Of each positive its own class's deltas; what the box loss compares, and the IoU of the
        # boxes.
        own = own_boxes(bbox_pred, labels, at, self.num_classes)  # (P, 4)
        pred, iou = compared_and_iou(self, rois[at, 1:], own, target)  # (P, 4) and (P,)
        loss_bbox = partial(self.loss_bbox, reduction_override="none")
        positives = Positives(
            cls_loss=own_class_loss(self.loss_cls, cls_score[at], labels[at]) * label_weights[at],
            box_loss=own_box_loss(loss_bbox, pred, target, bbox_weights[at]),
            iou=iou,
            unit=torch.zeros_like(at),  # all RoIs are one level
            image=_numbered(rois[:, 0])[at],
            num_units=1,
            num_images=len(rois),  # not known here; no more have RoIs than there are RoIs
            # What the host divides by, with the same epsilon.
            cls_divisor=(label_weights > 0).sum().clamp(min=1) + EPS,
            box_divisor=len(labels) + EPS,
        )
        return self.iou_balance.finish(losses, positives)


@MODELS.register_module()
class IoUBalancedShared2FCBBoxHead(IoUBalancedConvFCBBoxHead):
    """Two shared fully connected layers, as mmdet.Shared2FCBBoxHead.

    Args:
        fc_out_channels: width of the layers.
        iou_balance: as in :class:`IoUBalancedConvFCBBoxHead`.
        host_cfg: the host's arguments.
    """

    def __init__(
        self, *, fc_out_channels: int = 1024, iou_balance: dict = BALANCE, **host_cfg: Any
    ) -> None:
        super().__init__(
            num_shared_fcs=2, fc_out_channels=fc_out_channels, iou_balance=iou_balance, **host_cfg
        )


@MODELS.register_module()
class IoUBalancedShared4Conv1FCBBoxHead(IoUBalancedConvFCBBoxHead):
    """Four shared convolutions and one fully connected layer, as mmdet.Shared4Conv1FCBBoxHead.

    Args:
        fc_out_channels: width of the last layer.
        iou_balance: as in :class:`IoUBalancedConvFCBBoxHead`.
        host_cfg: the host's arguments.
    """

    def __init__(
        self, *, fc_out_channels: int = 1024, iou_balance: dict = BALANCE, **host_cfg: Any
    ) -> None:
        super().__init__(
            num_shared_convs=4,
            num_shared_fcs=1,
            fc_out_channels=fc_out_channels,
            iou_balance=iou_balance,
            **host_cfg,
        )


def _numbered(image: Tensor) -> Tensor:
    """Number of each RoI's image, (R,), among those that have any; RoIs lie image after image."""
    return F.pad((image.diff() != 0).cumsum(0), (1, 0))
