"""RetinaHead, and any head with AnchorHead's losses, with sample weighting.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmdet.RetinaHead: same layers, targets, predictions; with ``swn=None`` the same losses and
          keys
Letters   B images, N anchors of all levels and images, P positives, K classes
"""

from typing import Any, NamedTuple

from mmdet.models.dense_heads import RetinaHead
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.models.utils import images_to_levels
from mmdet.structures.bbox import cat_boxes, get_box_tensor
from torch import Tensor

from mmext.detection.positives import EPS, joined, rows_of_levels
from mmext.detection.sample_weighting.build import sample_weighting
from mmext.detection.sample_weighting.features import (
    per_coordinate,
    per_sample,
    refuse,
    seen_iou,
    seen_probability,
)
from mmext.detection.sample_weighting.samples import Samples
from mmext.engine.optional_weights import only_for_training
from mmext.functional import foreground
from mmext.registry import MODELS

SWN: dict = {}


class Rows(NamedTuple):
    """All anchors of a batch: what the head says of them, and what is true."""

    score: Tensor  # (N, K) logits
    pred: Tensor  # (N, 4) deltas
    prior: Tensor  # (N, 4) xyxy in pixels
    label: Tensor  # (N,) class, K for background
    counted: Tensor  # (N,) weight of the classification loss
    target: Tensor  # (N, 4) deltas, or boxes where the head decodes
    weight: Tensor  # (N, 4) of the box loss


class SWNAnchorHeadMixin(AnchorHead):
    """Anchor head whose anchors count by what sample weighting finds; goes before an anchor head.

    DEVIATION: the authors' network sends gradients through the IoU and the score into their
    RetinaNet, though not in R-CNN; here it sees values alone. Their means count ignored anchors,
    see ``official_means``.

    Levels are weighted together. Single losses are taken from the head's ``loss_cls`` and
    ``loss_bbox``, so it fits heads that leave ``AnchorHead.loss_by_feat`` as it is.

    Args:
        swn: arguments of :func:`~mmext.detection.sample_weighting.build.sample_weighting`, by
            default with ``cls_mode="joint"``: all anchors share one classification weight, as in
            the authors' RetinaNet. None leaves the host as it is.
        official_means: count ignored anchors, whose loss is 0, into the means of log variances, as
            the authors do.
        host_cfg: the host's arguments.

    Raises:
        ValueError: a loss or a head whose single losses cannot be weighted.
    """

    def __init__(
        self, *, swn: dict | None = SWN, official_means: bool = False, **host_cfg: Any
    ) -> None:
        super().__init__(**host_cfg)
        self.official_means = official_means
        self.swn = None
        if swn is not None:
            refuse(self.loss_cls, self.loss_bbox)
            self._refuse_other_losses()
            self.swn = sample_weighting(**{"cls_mode": "joint", **swn})
        only_for_training(self, "swn.")

    def _refuse_other_losses(self) -> None:
        """Refuse a head whose losses are not AnchorHead's; single losses are taken no other way."""
        # The mix-in stands for the one, and calls parts of the other.
        found = {
            "loss_by_feat": super().loss_by_feat.__func__,
            "loss_by_feat_single": type(self).loss_by_feat_single,
        }
        for name, function in found.items():
            if function is not getattr(AnchorHead, name):
                raise ValueError(
                    f"sample weighting expects a head with AnchorHead's {name}, got "
                    f"{type(self).__name__} with one of its own, which would not be called; wrap "
                    "its box loss in mmext.SWNLoss, or set swn=None"
                )

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list | None = None,
    ) -> dict[str, Any]:
        """As in the host; adds the regularisers and what is logged of the weights."""
        gts = (batch_gt_instances, batch_img_metas, batch_gt_instances_ignore)
        if self.swn is None:
            return super().loss_by_feat(cls_scores, bbox_preds, *gts)
        rows, divisor = self._rows(cls_scores, bbox_preds, *gts)
        # Summed over classes at once: weights then keep one loss an anchor for backward, not one a
        # class.
        loss_cls = per_sample(
            self.loss_cls(rows.score, rows.label, rows.counted, reduction_override="none")
        )  # (N,)
        at = foreground(rows.label, self.num_classes)
        # The host takes the box loss of every anchor, with weight 0 for all but these.
        prior, pred, target, weight = (
            x[at] for x in (rows.prior, rows.pred, rows.target, rows.weight)
        )  # (P, 4)
        loss_bbox = self._box_losses(prior, pred, target, weight)
        negative = rows.label == self.num_classes
        weights = self.swn(
            Samples(
                positive=at,
                negative=negative if self.official_means else negative & (rows.counted > 0),
                cls=loss_cls,
                box=loss_bbox,
                iou=seen_iou(self, prior, pred, target),
                prob=seen_probability(
                    self, rows.score, rows.label, at, sigmoid=self.use_sigmoid_cls
                ),
                cls_divisor=divisor,
                box_divisor=divisor,
            )
        )
        # Lists as in the host, whose callers sum them up.
        return dict(
            loss_cls=[(loss_cls * weights.cls).sum() / (divisor + EPS)],
            loss_bbox=[(loss_bbox * weights.box[:, None]).sum() / (divisor + EPS)],
            **weights.more,
        )

    def _rows(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        gt_instances: list,
        img_metas: list[dict],
        gt_instances_ignore: list | None,
    ) -> tuple[Rows, int | float]:
        """All levels as one, and the host's divisor.

        A level of its own would cost its operators, and its wait, once more.
        """
        sizes = [maps.shape[-2:] for maps in cls_scores]
        anchors, valid = self.get_anchors(sizes, img_metas, device=cls_scores[0].device)
        counts = [len(level) for level in anchors[0]]
        levels = images_to_levels([cat_boxes(image) for image in anchors], counts)
        *targets, divisor = self.get_targets(
            anchors, valid, gt_instances, img_metas, batch_gt_instances_ignore=gt_instances_ignore
        )
        label, counted, target, weight = (
            joined([level.flatten(0, 1) for level in one]) for one in targets
        )
        rows = Rows(
            score=rows_of_levels(cls_scores, self.cls_out_channels),
            pred=rows_of_levels(bbox_preds, self.bbox_coder.encode_size),
            prior=joined([get_box_tensor(level).flatten(0, 1) for level in levels]),
            label=label,
            counted=counted,
            target=target,
            weight=weight,
        )
        return rows, divisor

    def _box_losses(self, prior: Tensor, pred: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Loss of each positive's box and coordinate, (P, 4)."""
        if not len(pred):
            return pred
        boxes = (
            get_box_tensor(self.bbox_coder.decode(prior, pred)) if self.reg_decoded_bbox else pred
        )
        return per_coordinate(self.loss_bbox(boxes, target, weight, reduction_override="none"))


@MODELS.register_module()
class SWNRetinaHead(SWNAnchorHeadMixin, RetinaHead):
    """RetinaHead with sample weighting.

    Args:
        swn: as in :class:`SWNAnchorHeadMixin`.
        official_means: as in :class:`SWNAnchorHeadMixin`.
        host_cfg: the host's arguments.
    """
