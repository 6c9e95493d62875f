"""Quality labels in RetinaNet: the class score learns the IoU of the box.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
          (QFL in other detectors)
Idea      Quality Focal Loss takes the place of the classification loss; each anchor is a row.
Host      mmdet.RetinaHead: same towers, targets, box loss, predictions and state-dict keys
Deviates  The authors publish their GFL head and none of this. IoU of the detached decoded box as
          label and positives averaged over ranks as there; the box loss keeps the host's weights
          of 1.
"""

from typing import Any

import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from torch import Tensor

from mmext.detection.gfl.quality import QFL, check_quality_loss, quality_labels, quality_loss
from mmext.detection.positives import foreground_of_levels, rows
from mmext.functional import at_least_float32
from mmext.registry import MODELS

# Defaults carry their scope, since the head may be built without a default scope.
ANCHORS = dict(  # nine a place
    type="mmdet.AnchorGenerator",
    ratios=[0.5, 1.0, 2.0],
    octave_base_scale=4,
    scales_per_octave=3,
    strides=[8, 16, 32, 64, 128],
)
DELTAS = dict(type="mmdet.DeltaXYWHBBoxCoder")
SMOOTH_L1 = dict(type="mmdet.SmoothL1Loss", beta=1 / 9)


@MODELS.register_module()
class QualityRetinaHead(RetinaHead):
    """RetinaNet's head whose class scores learn the IoU of their boxes.

    Only the labels of the classification loss differ from ``mmdet.RetinaHead``, and its checkpoints
    load as they are. Losses are divided by the positives averaged over ranks, as in GFL; the host
    takes each rank's.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        loss_cls: a QualityFocalLoss, ours or mmdet's.
        loss_bbox, bbox_coder, anchor_generator: as in the host.
        host_cfg: the host's other arguments, such as ``reg_decoded_bbox`` and ``train_cfg``.

    Raises:
        ValueError: ``loss_cls`` is another loss, or DFL is asked for.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        loss_cls: dict = QFL,
        loss_bbox: dict = SMOOTH_L1,
        bbox_coder: dict = DELTAS,
        anchor_generator: dict = ANCHORS,
        **host_cfg: Any,
    ) -> None:
        if surplus := sorted({"loss_dfl", "reg_max"} & set(host_cfg)):
            raise ValueError(
                "QualityRetinaHead codes boxes as deltas and has no bins, got "
                f"{', '.join(surplus)}; for distributions take mmext.GFLHead, "
                "mmext.QualityATSSHead or mmext.QualityFCOSHead"
            )
        super().__init__(
            num_classes,
            in_channels,
            loss_cls=quality_loss(loss_cls),
            loss_bbox=loss_bbox,
            bbox_coder=bbox_coder,
            anchor_generator=anchor_generator,
            **host_cfg,
        )
        check_quality_loss(self)

    def get_targets(self, *args: Any, **kwargs: Any) -> tuple:
        """Targets of the host; what the losses are divided by is averaged over ranks."""
        targets = super().get_targets(*args, **kwargs)
        # Of all levels at once, in the order in which the host asks for their losses: the host
        # waits for the device here, and would at each level.
        labels = [one.flatten() for one in targets[0]]
        self._rows_of_levels = foreground_of_levels(labels, self.num_classes)
        num_total = torch.tensor(float(targets[4]), device=targets[0][0].device)
        return *targets[:4], reduce_mean(num_total).item(), *targets[5:]

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: float,
    ) -> tuple[Tensor, Tensor]:
        """Losses of one level; as in the host, but boxes are decoded at the positives alone."""
        labels = labels.flatten()
        row = self._rows_of_levels.pop(0)
        pred, targets, anchors, weights = (
            x.flatten(0, 1)[row]
            for x in (
                rows(bbox_pred, self.bbox_coder.encode_size),
                bbox_targets,
                anchors,
                bbox_weights,
            )
        )
        pred = at_least_float32(pred)
        boxes = get_box_tensor(self.bbox_coder.decode(anchors, pred))
        if self.reg_decoded_bbox:
            pred, gt_bboxes = boxes, targets
        else:
            gt_bboxes = get_box_tensor(self.bbox_coder.decode(anchors, targets))
        loss_cls = self.loss_cls(
            rows(cls_score, self.cls_out_channels).flatten(0, 1),
            (labels, quality_labels(boxes, gt_bboxes, row, len(labels))),
            weight=label_weights.flatten(),
            avg_factor=avg_factor,
        )
        return loss_cls, self.loss_bbox(pred, targets, weights, avg_factor=avg_factor)
