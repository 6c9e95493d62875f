"""Quality labels in ATSS: the class score learns the box's IoU, and the centerness branch goes.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
          (QFL in other detectors)
Idea      Quality Focal Loss takes the place of the classification loss, and centerness is not
          needed.
Host      mmdet.ATSSHead: same towers, targets and state-dict keys
Deviates  The authors publish their GFL head and not this one, which is that head with ATSS's box
          coding: box losses are weighted by the detached class score and divided by the sum of the
          weights.
Letters   B images, A anchors a place, P positives, K classes, R = reg_max + 1 bins a side
"""

from typing import Any

from mmdet.models.dense_heads import ATSSHead
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmext.detection.gfl.distribution import predict_distributions
from mmext.detection.gfl.quality import (
    ANCHORS,
    GIOU,
    POINTS,
    QFL,
    UNUSED,
    anchor_losses,
    check_coder,
    check_quality_loss,
    drop_centerness,
    floor_of,
    last_bin,
    quality_loss,
    saturation_of,
)
from mmext.registry import MODELS

# It carries its scope, since the head may be built without a default scope.
DELTAS = dict(type="mmdet.DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2])


@MODELS.register_module()
class QualityATSSHead(ATSSHead):
    """ATSS's head without centerness, whose class scores learn the IoU of their boxes.

    Checkpoints of ``mmdet.ATSSHead`` load; their centerness branch is left out with a note in the
    log. With ``loss_dfl`` and one anchor a place this is GFL's head under ATSS's key names.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        avg_factor_floor: least value of the box losses' normaliser, the sum of the positives'
            scores averaged over ranks; ``"paper"`` divides by the sum itself.
        loss_cls: a QualityFocalLoss, ours or mmdet's.
        loss_bbox: a loss on decoded boxes.
        loss_dfl: a DistributionFocalLoss turns each side into a distribution over ``reg_max + 1``
            bins of one stride, counted from the anchor's centre. None codes boxes as the host does.
        reg_max: the last bin.
        bbox_coder: the host's deltas by default, or with ``loss_dfl`` distances from a point.
        anchor_generator: as in the host.
        host_cfg: the host's other arguments. ``loss_centerness`` has no effect; it may stay in a
            config that was written for the host.

    Raises:
        ValueError: ``loss_cls`` is another loss, ``bbox_coder`` does not fit ``loss_dfl``,
            ``reg_decoded_bbox`` is false, ``reg_max`` is below 1, or ``avg_factor_floor`` is
            neither ``"paper"`` nor above 0.
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
            loss_cls=quality_loss(loss_cls),
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
        self.saturation = saturation_of(self)

    def _init_layers(self) -> None:
        super()._init_layers()
        # The host's forward passes through it, and ours drops the result: no copy of the host's
        # towers here.
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
        """Per level, logits (B, A * K, H, W) and boxes (B, A * 4, H, W) or (B, A * 4 * R, H, W)."""
        return super().forward(x)[:2]

    def loss_by_feat(
        self, cls_scores: list[Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, list[Tensor]]:
        """Return ``loss_cls``, ``loss_bbox`` and, if asked for, ``loss_dfl`` over all levels.

        Arguments as in :func:`~mmext.detection.gfl.quality.anchor_losses`.
        """
        return anchor_losses(self, cls_scores, *args, **kwargs)

    def _predict_by_feat_single(self, *args: Any, **kwargs: Any) -> InstanceData:
        """Boxes of one image: the host's way, or from distributions."""
        if self.reg_max:
            return predict_distributions(self, *args, **kwargs)
        return super()._predict_by_feat_single(*args, **kwargs)
