"""Quality labels in ATSS: the class score learns the IoU of the box, and the centerness branch goes.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388 (QFL in other detectors)
Idea      Quality Focal Loss takes the place of the classification loss, and centerness is not needed.
Host      mmdet.ATSSHead: same towers, targets and state-dict keys
Deviates  The authors publish their GFL head and not this one, which is that head with ATSS's box coding: box
          losses are weighted by the detached class score and divided by the sum of the weights.
Letters   B images, A anchors a place, P positives, K classes, R = reg_max + 1 bins a side
"""

from typing import Any

import torch
from mmdet.models.dense_heads import ATSSHead
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmext.detection.gfl.distribution import centers_of, distances, predict_distributions, rows
from mmext.detection.gfl.quality import (
    POINTS,
    QFL,
    UNUSED,
    Distributions,
    check_coder,
    check_quality_loss,
    drop_centerness,
    floor_of,
    joint_losses,
    last_bin,
)
from mmext.functional import at_least_float32, foreground
from mmext.registry import MODELS

# Defaults carry their scope, since the head may be built without a default scope.
ANCHORS = dict(  # one square anchor of 8 strides at each place of five levels
    type="mmdet.AnchorGenerator",
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
DELTAS = dict(type="mmdet.DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2])
GIOU = dict(type="mmdet.GIoULoss", loss_weight=2.0)


@MODELS.register_module()
class QualityATSSHead(ATSSHead):
    """ATSS's head without centerness, whose class scores learn the IoU of their boxes.

    Checkpoints of ``mmdet.ATSSHead`` load; their centerness branch is left out with a note in the log. With
    ``loss_dfl`` and one anchor a place this is GFL's head under ATSS's key names.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        avg_factor_floor: least value of the box losses' normaliser, the sum of the positives' scores averaged
            over ranks; ``"paper"`` divides by the sum itself.
        loss_cls: a QualityFocalLoss, ours or mmdet's.
        loss_bbox: a loss on decoded boxes.
        loss_dfl: a DistributionFocalLoss turns each side into a distribution over ``reg_max + 1`` bins of one
            stride, counted from the anchor's centre. None codes boxes as the host does.
        reg_max: the last bin.
        bbox_coder: the host's deltas by default, or with ``loss_dfl`` distances from a point.
        anchor_generator: as in the host.
        host_cfg: the host's other arguments. ``loss_centerness`` has no effect; it may stay in a config that
            was written for the host.

    Raises:
        ValueError: ``loss_cls`` is another loss, ``bbox_coder`` does not fit ``loss_dfl``,
            ``reg_decoded_bbox`` is false, ``reg_max`` is below 1, or ``avg_factor_floor`` is neither
            ``"paper"`` nor above 0.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        avg_factor_floor: int | float | str = "paper",
        loss_cls: dict = QFL,
        loss_bbox: dict = GIOU,
        loss_dfl: dict | None = None,
        reg_max: int = 16,
        bbox_coder: dict | None = None,
        anchor_generator: dict = ANCHORS,
        **host_cfg: Any,
    ) -> None:
        if not host_cfg.get("reg_decoded_bbox", True):
            raise ValueError(
                "QualityATSSHead compares decoded boxes: reg_decoded_bbox must be True, got False"
            )
        self.reg_max = last_bin(loss_dfl, reg_max)  # the host's __init__ calls _init_layers()
        super().__init__(
            num_classes,
            in_channels,
            loss_cls={"use_sigmoid": True, **loss_cls},
            loss_bbox=loss_bbox,
            bbox_coder=bbox_coder or (POINTS if self.reg_max else DELTAS),
            anchor_generator=anchor_generator,
            **{**host_cfg, "loss_centerness": UNUSED},
        )
        del self.loss_centerness
        check_quality_loss(self)
        check_coder(self, by_distance=self.reg_max > 0)
        self.loss_dfl = None if loss_dfl is None else MODELS.build(loss_dfl)
        self.avg_factor_floor = floor_of(avg_factor_floor)

    def _init_layers(self) -> None:
        super()._init_layers()
        # The host's forward passes through it, and ours drops the result: no copy of the host's towers here.
        self.atss_centerness = nn.Identity()
        if self.reg_max:
            self.atss_reg = nn.Conv2d(
                self.feat_channels,
                self.num_base_priors * 4 * (self.reg_max + 1),
                self.pred_kernel_size,
                padding=self.pred_kernel_size // 2,
            )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        drop_centerness(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits (B, A * K, H, W) and boxes (B, A * 4, H, W), or (B, A * 4 * R, H, W), of each level."""
        return super().forward(x)[:2]

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_bbox`` and, if asked for, ``loss_dfl`` over all levels.

        Args:
            cls_scores: (B, A * K, H, W) logits of each level.
            bbox_preds: (B, A * 4, H, W) deltas of each level, with DFL (B, A * 4 * R, H, W) logits.
            batch_gt_instances: ``bboxes`` (G, 4) xyxy in pixels and ``labels`` (G,) of each image.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: boxes to leave out, or None.
        """
        sizes = [x.shape[-2:] for x in cls_scores]
        anchors, flags = self.get_anchors(sizes, batch_img_metas, device=cls_scores[0].device)
        *targets, _, num_total = self.get_targets(
            anchors, flags, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
        )
        # All levels in one: (B, A, ...) each, A counting all anchors of an image.
        anchors, labels, label_weights, bbox_targets = (torch.cat(level, 1) for level in targets)
        cls_score = torch.cat([rows(x, self.cls_out_channels) for x in cls_scores], 1)
        bbox_pred = torch.cat([rows(x, 4 * (self.reg_max + 1)) for x in bbox_preds], 1)
        positive = foreground(labels.flatten(), self.num_classes)
        pred, anchors, gt_bboxes = (x.flatten(0, 1)[positive] for x in (bbox_pred, anchors, bbox_targets))
        boxes, gt_bboxes, distributions = self._decode(
            at_least_float32(pred), anchors, gt_bboxes, self._strides(sizes, anchors, positive)
        )
        return joint_losses(
            self,
            cls_score.flatten(0, 1),
            labels.flatten(),
            label_weights.flatten(),
            num_total,
            row=positive,
            boxes=boxes,
            box_targets=gt_bboxes,
            distributions=distributions,
        )

    def _strides(self, sizes: list[torch.Size], like: Tensor, row: Tensor) -> Tensor:
        """Stride of each row in pixels, (P, 1)."""
        counts = [h * w * self.num_base_priors for h, w in sizes]
        per_level = [
            like.new_full((n,), w) for n, (w, _) in zip(counts, self.prior_generator.strides, strict=True)
        ]
        return torch.cat(per_level)[row % sum(counts), None]

    def _decode(
        self, pred: Tensor, anchors: Tensor, gt_bboxes: Tensor, stride: Tensor
    ) -> tuple[Tensor, Tensor, Distributions | None]:
        """Boxes (P, 4) and their targets, in pixels, or with DFL in strides, as GFL measures them."""
        if not self.reg_max:
            return self.bbox_coder.decode(anchors, pred), gt_bboxes, None
        centers, gt_bboxes = centers_of(anchors) / stride, gt_bboxes / stride
        boxes = self.bbox_coder.decode(centers, distances(pred, self.reg_max))
        return boxes, gt_bboxes, Distributions(pred, self.bbox_coder.encode(centers, gt_bboxes))

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[None],
        mlvl_priors: list[Tensor],
        *image: Any,
        **options: Any,
    ) -> InstanceData:
        """Boxes of one image: the host's way, or from distributions."""
        if self.reg_max:
            centers = [centers_of(priors) for priors in mlvl_priors]
            return predict_distributions(self, cls_score_list, bbox_pred_list, centers, *image, **options)
        return super()._predict_by_feat_single(
            cls_score_list, bbox_pred_list, score_factor_list, mlvl_priors, *image, **options
        )
