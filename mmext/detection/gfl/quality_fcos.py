"""Quality labels in FCOS: the class score learns the IoU, and the centerness branch goes.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
          (QFL in other detectors)
Idea      Quality Focal Loss takes the place of the classification loss, and centerness is not
          needed.
Host      mmdet.FCOSHead: same towers, targets and state-dict keys
Deviates  The authors publish no such head; they advise IoU labels (not centerness) in FCOS too.
          Weights of the box losses as in their GFL head: the detached class score, divided by its
          sum.
Letters   B images, N points of all levels and images, P positives, K classes, R = reg_max + 1 bins
          a side
"""

from typing import Any

import torch
from mmcv.cnn import Scale
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.dense_heads.anchor_free_head import AnchorFreeHead
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmext.detection.gfl.distribution import distances, predict_distributions
from mmext.detection.gfl.quality import (
    POINTS,
    QFL,
    UNUSED,
    Distributions,
    check_quality_loss,
    drop_centerness,
    floor_of,
    joint_losses,
    last_bin,
    quality_loss,
    saturation_of,
)
from mmext.detection.positives import rows_of_levels
from mmext.functional import at_least_float32, foreground
from mmext.registry import MODELS

IOU = dict(type="mmdet.IoULoss")


@MODELS.register_module()
class QualityFCOSHead(FCOSHead):
    """FCOS's head without centerness, whose class scores learn the IoU of their boxes.

    Checkpoints of ``mmdet.FCOSHead`` load; their centerness branch is left out with a note in the
    log.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        avg_factor_floor: least value of the box losses' normaliser, the sum of the positives'
            scores averaged over ranks; ``"paper"`` divides by the sum itself.
        loss_cls: a QualityFocalLoss, ours or mmdet's.
        loss_bbox: a loss on boxes; they have their point as origin and the unit of the distances.
        loss_dfl: a DistributionFocalLoss turns each side into a distribution over ``reg_max + 1``
            bins of one stride. None predicts four distances as the host does.
        reg_max: the last bin; the host's default ranges ask for 8 strides, and the coarsest level
            for more.
        bbox_coder: a DistancePointBBoxCoder.
        host_cfg: the host's other arguments. ``loss_centerness`` and ``centerness_on_reg`` have no
            effect; they may stay in a config that was written for the host.

    Raises:
        ValueError: ``loss_cls`` is another loss, ``norm_on_bbox`` is false beside ``loss_dfl``, or
            ``avg_factor_floor`` is neither ``"paper"`` nor above 0.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        avg_factor_floor: int | float | str = "paper",
        loss_cls: dict = QFL,
        loss_bbox: dict = IOU,
        loss_dfl: dict | None = None,
        reg_max: int = 16,
        bbox_coder: dict = POINTS,
        **host_cfg: Any,
    ) -> None:
        self.reg_max = last_bin(loss_dfl, reg_max)  # the host's __init__ calls _init_layers()
        if self.reg_max and not host_cfg.setdefault("norm_on_bbox", True):
            raise ValueError(
                "QualityFCOSHead's bins are strides: loss_dfl needs norm_on_bbox=True, got False"
            )
        super().__init__(
            num_classes,
            in_channels,
            loss_cls=quality_loss(loss_cls),
            loss_bbox=loss_bbox,
            bbox_coder=bbox_coder,
            **{**host_cfg, "loss_centerness": UNUSED},
        )
        del self.loss_centerness
        check_quality_loss(self)
        self.loss_dfl = None if loss_dfl is None else MODELS.build(loss_dfl)
        self.avg_factor_floor = floor_of(avg_factor_floor)
        self.saturation = saturation_of(self)

    def _init_layers(self) -> None:
        super()._init_layers()
        # The host's forward passes through it, and ours drops the result: no copy of the host's
        # forward here.
        self.conv_centerness = nn.Identity()
        if self.reg_max:
            self.conv_reg = nn.Conv2d(self.feat_channels, 4 * (self.reg_max + 1), 3, padding=1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        drop_centerness(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Per level, logits (B, K, H, W) and distances (B, 4, H, W) or logits (B, 4 * R, H, W)."""
        return super().forward(x)[:2]

    def forward_single(self, x: Tensor, scale: Scale, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """As in the host; distributions are left as logits, in training and at test time."""
        if not self.reg_max:
            return super().forward_single(x, scale, stride)
        cls_score, bbox_pred, _, reg_feat = AnchorFreeHead.forward_single(self, x)
        return cls_score, scale(bbox_pred).float(), reg_feat

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
            cls_scores: (B, K, H, W) logits of each level.
            bbox_preds: (B, 4, H, W) distances of each level, with DFL (B, 4 * R, H, W) logits.
            batch_gt_instances: ``bboxes`` (G, 4) xyxy in pixels and ``labels`` (G,) of each image.
            batch_img_metas: not used, as in the host.
            batch_gt_instances_ignore: not used, as in the host.
        """
        sizes = [x.shape[-2:] for x in cls_scores]
        points = self.prior_generator.grid_priors(
            sizes, dtype=torch.float32, device=cls_scores[0].device
        )
        labels, reach = (torch.cat(level) for level in self.get_targets(points, batch_gt_instances))
        bbox_pred = rows_of_levels(bbox_preds, 4 * (self.reg_max + 1))
        positive = foreground(labels, self.num_classes)
        pred, reach = at_least_float32(bbox_pred[positive]), reach[positive]
        # Boxes are compared around their own points, in the unit of the distances.
        origin = reach.new_zeros(len(positive), 2)
        return joint_losses(
            self,
            rows_of_levels(cls_scores, self.cls_out_channels),
            labels,
            None,
            len(positive),
            row=positive,
            boxes=self.bbox_coder.decode(
                origin, distances(pred, self.reg_max) if self.reg_max else pred
            ),
            box_targets=self.bbox_coder.decode(origin, reach),
            distributions=Distributions(pred, reach) if self.reg_max else None,
        )

    def _predict_by_feat_single(self, *args: Any, **kwargs: Any) -> InstanceData:
        """Boxes of one image: the host's way, or from distributions."""
        if self.reg_max:
            return predict_distributions(self, *args, **kwargs)
        return super()._predict_by_feat_single(*args, **kwargs)
