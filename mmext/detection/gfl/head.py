"""GFLHead: mmdet's head with one loss call for all levels and a float32 integral.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      The class score learns the IoU of its box; each box side is the mean of a learnt distribution.
Host      mmdet.GFLHead: same towers, state-dict keys, targets, losses and predictions
Letters   B images, A anchors (all levels), P positives, K classes, R = reg_max + 1 bins a side
"""

import logging
from typing import Any

import torch
from mmdet.models.dense_heads import GFLHead as HostGFLHead
from mmdet.models.dense_heads.gfl_head import Integral as HostIntegral
from mmdet.models.utils import filter_scores_and_topk
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.detection.gfl.losses import integral
from mmext.registry import MODELS

# Defaults carry their scope, since the head may be built without a default scope.
ANCHORS = dict(  # one square anchor of 8 strides at each place of five levels
    type="mmdet.AnchorGenerator",
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
CODER = dict(type="mmdet.DistancePointBBoxCoder")
QFL = dict(type="mmext.QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0)
DFL = dict(type="mmext.DistributionFocalLoss", loss_weight=0.25)
GIOU = dict(type="mmdet.GIoULoss", loss_weight=2.0)

_TARGET_MARGIN = 0.1  # mmdet's coder keeps DFL targets this far below reg_max


class Integral(HostIntegral):
    """Mean bin of each side, in float32 under autocast; keeps the host's ``project`` buffer."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn distributions (..., 4 * R) into distances in strides, (N, 4)."""
        return integral(x.reshape(-1, 4, self.reg_max + 1))


@MODELS.register_module()
class GFLHead(HostGFLHead):
    """Generalized Focal Loss head, a drop-in for ``mmdet.GFLHead``.

    Loss and prediction agree with the host's. What differs: all levels share one loss call and ranks
    share one all-reduce; the integral stays in float32 under autocast; at test time boxes are integrated
    after the score filter; distances beyond ``reg_max`` are counted (``num_saturated``, in box sides, of
    ``num_sides``) and reported once.

    Args:
        num_classes: classes without background.
        in_channels: channels of each level.
        avg_factor_floor: least value of the regression normaliser, the sum of the positives' scores
            averaged over ranks. 1.0 is mmdet's, which damps the box losses while scores are small;
            ``"paper"`` divides by the sum itself.
        loss_cls, loss_bbox, loss_dfl, bbox_coder, anchor_generator: as in the host, any class of it.
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
        bbox_coder: dict = CODER,
        anchor_generator: dict = ANCHORS,
        **host_cfg: Any,
    ) -> None:
        if avg_factor_floor != "paper" and not (
            isinstance(avg_factor_floor, int | float) and avg_factor_floor > 0
        ):
            raise ValueError(f"avg_factor_floor must be 'paper' or above 0, got {avg_factor_floor!r}")
        super().__init__(
            num_classes,
            in_channels,
            # The host reads this key from the config and would take its absence for a softmax.
            loss_cls={"use_sigmoid": True, **loss_cls},
            loss_bbox=loss_bbox,
            loss_dfl=loss_dfl,
            bbox_coder=bbox_coder,
            anchor_generator=anchor_generator,
            **host_cfg,
        )
        self.integral = Integral(self.reg_max)
        self.avg_factor_floor = (
            torch.finfo(torch.float32).eps if avg_factor_floor == "paper" else avg_factor_floor
        )
        self.num_saturated = 0.0
        self.num_sides = 0

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_bbox`` and ``loss_dfl`` over all levels.

        Args:
            cls_scores: (B, K, H, W) logits of each level.
            bbox_preds: (B, 4 * R, H, W) logits of each level.
            batch_gt_instances: ``bboxes`` (G, 4) xyxy in pixels and ``labels`` (G,) of each image.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: boxes to leave out, or None.
        """
        sizes = [score.shape[-2:] for score in cls_scores]
        anchors, flags = self.get_anchors(sizes, batch_img_metas, device=cls_scores[0].device)
        *targets, _, num_total = self.get_targets(
            anchors, flags, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
        )
        anchors, labels, label_weights, bbox_targets = (torch.cat(level, 1) for level in targets)
        cls_score = torch.cat([x.flatten(2).mT for x in cls_scores], 1).flatten(0, 1)  # (B * A, K)
        bbox_pred = torch.cat([x.flatten(2) for x in bbox_preds], 2).mT  # (B, A, 4 * R), a view

        positive = ((labels >= 0) & (labels < self.num_classes)).nonzero(as_tuple=True)
        stride = self._strides(sizes, anchors)[positive[1], None]
        centers = self.anchor_center(anchors[positive]) / stride
        box_targets = bbox_targets[positive] / stride
        pos_logits = bbox_pred[positive]
        boxes = self.bbox_coder.decode(centers, self.integral(pos_logits))
        distances, saturated = self._distances(centers, box_targets)

        quality = label_weights.new_zeros(labels.shape)
        quality[positive] = bbox_overlaps(boxes.detach(), box_targets, is_aligned=True)
        row = positive[0] * labels.shape[1] + positive[1]
        score = cls_score.detach()[row].sigmoid().amax(1).to(boxes.dtype)  # (P,), q_i of Eq. 8

        local = torch.stack([score.new_tensor(num_total), score.sum(), saturated.to(score)])
        num_pos, score_sum, num_saturated = reduce_mean(local).tolist()
        self._count_saturated(num_saturated, distances.numel())
        norm = max(score_sum, self.avg_factor_floor)
        return dict(
            loss_cls=self.loss_cls(
                cls_score,
                (labels.flatten(), quality.flatten()),
                weight=label_weights.flatten(),
                avg_factor=num_pos,
            ),
            loss_bbox=self.loss_bbox(boxes, box_targets, weight=score, avg_factor=1.0) / norm,
            # DEVIATION: the paper's 1/4 is ambiguous; as in the authors' code it is DFL's loss_weight,
            # and the four sides are averaged on top.
            loss_dfl=self.loss_dfl(
                pos_logits.reshape(-1, self.reg_max + 1),
                distances.flatten(),
                weight=score.repeat_interleave(4),
                avg_factor=4.0,
            )
            / norm,
        )

    def _strides(self, sizes: list[torch.Size], like: Tensor) -> Tensor:
        """Stride of each anchor in pixels, (A,)."""
        per_level = [w for w, _ in self.prior_generator.strides]
        counts = [h * w for h, w in sizes]
        return like.new_tensor(per_level).repeat_interleave(like.new_tensor(counts, dtype=torch.long))

    def _distances(self, centers: Tensor, box_targets: Tensor) -> tuple[Tensor, Tensor]:
        """DFL targets in strides (P, 4), cut to what the bins can say, and how many sides were cut."""
        distances = self.bbox_coder.encode(centers, box_targets)
        reach = self.reg_max - _TARGET_MARGIN
        return distances.clamp(0, reach), (distances > reach).sum()

    def _count_saturated(self, num_saturated: float, num_sides: int) -> None:
        first = num_saturated > 0 and self.num_saturated == 0
        self.num_saturated += num_saturated
        self.num_sides += num_sides
        if first:
            strides = [w for w, _ in self.prior_generator.strides]
            print_log(
                f"GFLHead: {num_saturated:g} of {num_sides} box sides in this batch lie farther from their "
                f"anchor than reg_max={self.reg_max} strides can say, which is "
                f"{', '.join(str(self.reg_max * s) for s in strides)} px on the levels of stride "
                f"{', '.join(map(str, strides))}. Their targets are cut. If your objects are that large, "
                "raise reg_max or add a coarser level. Said once; num_saturated keeps counting.",
                logger="current",
                level=logging.WARNING,
            )

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[None],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        cfg: ConfigDict | None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        """Boxes of one image; as in the host, but only what passes the score filter is integrated."""
        cfg = self.test_cfg if cfg is None else cfg
        levels = []
        for cls_score, bbox_pred, (stride, _), priors in zip(
            cls_score_list, bbox_pred_list, self.prior_generator.strides, mlvl_priors, strict=True
        ):
            scores, labels, _, kept = filter_scores_and_topk(
                cls_score.flatten(1).T.sigmoid(),
                cfg.score_thr,
                cfg.get("nms_pre", -1),
                dict(bbox_pred=bbox_pred.flatten(1).T, priors=priors),
            )
            distances = self.integral(kept["bbox_pred"]) * stride
            boxes = self.bbox_coder.decode(
                self.anchor_center(kept["priors"]), distances, max_shape=img_meta["img_shape"]
            )
            levels.append((boxes, scores, labels))
        bboxes, scores, labels = (torch.cat(parts) for parts in zip(*levels, strict=True))
        return self._bbox_post_process(
            results=InstanceData(bboxes=bboxes, scores=scores, labels=labels),
            cfg=cfg,
            rescale=rescale,
            with_nms=with_nms,
            img_meta=img_meta,
        )
