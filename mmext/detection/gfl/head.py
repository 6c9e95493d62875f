"""GFLHead: mmdet's head with one loss call for all levels and a float32 integral.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      The class score learns the IoU of its box; each box side is the mean of a learnt
          distribution.
Host      mmdet.GFLHead: same towers, state-dict keys, targets, losses and predictions
Letters   B images, A anchors (all levels), P positives, K classes, R = reg_max + 1 bins a side
"""

from typing import Any

from mmdet.models.dense_heads import GFLHead as HostGFLHead
from mmdet.models.dense_heads.gfl_head import Integral as HostIntegral
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.detection.gfl.distribution import distances, predict_distributions
from mmext.detection.gfl.quality import (
    ANCHORS,
    GIOU,
    POINTS,
    QFL,
    anchor_losses,
    floor_of,
    quality_loss,
    saturation_of,
)
from mmext.registry import MODELS

DFL = dict(type="mmext.DistributionFocalLoss", loss_weight=0.25)


class Integral(HostIntegral):
    """Mean bin of each side, in float32 under autocast; keeps the host's ``project`` buffer."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn distributions (..., 4 * R) into distances in strides, (N, 4)."""
        return distances(x, self.reg_max)


@MODELS.register_module()
class GFLHead(HostGFLHead):
    """Generalized Focal Loss head, a drop-in for ``mmdet.GFLHead``.

    Loss and prediction agree with the host's. What differs: all levels share one loss call and
    ranks share one all-reduce; the integral stays in float32 under autocast; at test time boxes are
    integrated after the score filter; distances beyond ``reg_max`` are counted over all ranks
    (``saturation.num_saturated``, in box sides, of ``saturation.num_sides``) and reported once.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        avg_factor_floor: least value of the regression normaliser, the sum of the positives' scores
            averaged over ranks. 1.0 is mmdet's, which damps the box losses while scores are small;
            ``"paper"`` divides by the sum itself.
        loss_cls, loss_bbox, loss_dfl, bbox_coder, anchor_generator: as in the host, any class of
            it.
        host_cfg: the host's other arguments, such as ``stacked_convs``, ``reg_max``, ``train_cfg``.

    Raises:
        ValueError: ``avg_factor_floor`` is neither ``"paper"`` nor a positive number.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        avg_factor_floor: int | float | str = 1.0,
        loss_cls: dict = QFL,
        loss_bbox: dict = GIOU,
        loss_dfl: dict = DFL,
        bbox_coder: dict = POINTS,
        anchor_generator: dict = ANCHORS,
        **host_cfg: Any,
    ) -> None:
        self.avg_factor_floor = floor_of(avg_factor_floor)
        super().__init__(
            num_classes,
            in_channels,
            loss_cls=quality_loss(loss_cls),
            loss_bbox=loss_bbox,
            loss_dfl=loss_dfl,
            bbox_coder=bbox_coder,
            anchor_generator=anchor_generator,
            **host_cfg,
        )
        self.integral = Integral(self.reg_max)
        self.saturation = saturation_of(self)

    def loss_by_feat(
        self, cls_scores: list[Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, list[Tensor]]:
        """Return ``loss_cls``, ``loss_bbox`` and ``loss_dfl`` over all levels.

        Arguments as in :func:`~mmext.detection.gfl.quality.anchor_losses`.
        """
        return anchor_losses(self, cls_scores, *args, **kwargs)

    def _predict_by_feat_single(self, *args: Any, **kwargs: Any) -> InstanceData:
        """Boxes of one image; as in the host, but integrating only what passes the score filter."""
        return predict_distributions(self, *args, **kwargs)
