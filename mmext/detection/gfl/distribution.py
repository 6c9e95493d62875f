"""Box sides as distributions in a head that measures them from points: targets, loss, prediction.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      What GFLHead does with its ``reg_max + 1`` bins a side, as functions for other heads.
Host      mmdet: any head with the prediction flow of its BaseDenseHead
Letters   P positives, N places of one level, K classes, R = reg_max + 1 bins a side
"""

import logging
from typing import Any

import torch
from mmdet.models.utils import filter_scores_and_topk
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmext.detection.gfl.losses import integral
from mmext.detection.positives import rows

_MARGIN = 0.1  # as in mmdet's coder: targets stay this far below the last bin


class Saturation:
    """Counts, over all ranks, the box sides beyond the last bin, and reports the first of them.

    Args:
        reg_max: the last bin, in strides.
        strides: of the levels, in pixels.
    """

    def __init__(self, reg_max: int, strides: list[int]) -> None:
        self.reg_max, self.strides = reg_max, strides
        self.num_saturated = 0
        self.num_sides = 0

    def sides_of(self, targets: Tensor) -> Tensor:
        """How many sides of the targets (P, 4) in strides are too far, and of how many, (2,)."""
        too_far = (targets > self.reg_max - _MARGIN).sum()
        return torch.stack([too_far, too_far.new_tensor(targets.numel())])

    def add(self, num_saturated: int, num_sides: int) -> None:
        """Take in the sides of one step."""
        first = num_saturated > 0 and self.num_saturated == 0
        self.num_saturated += num_saturated
        self.num_sides += num_sides
        if first:
            print_log(
                f"GFL: {num_saturated} of {num_sides} box sides in this batch lie farther from "
                f"their anchor than reg_max={self.reg_max} strides can say, which is "
                f"{', '.join(str(self.reg_max * s) for s in self.strides)} px on the levels of "
                f"stride {', '.join(map(str, self.strides))}. Their targets are cut. If your "
                "objects are so large, raise reg_max or add a coarser level. Said once; "
                "num_saturated keeps counting.",
                logger="current",
                level=logging.WARNING,
            )


def centers_of(anchors: Tensor) -> Tensor:
    """Centres (P, 2) xy of boxes (P, 4) xyxy."""
    return (anchors[:, :2] + anchors[:, 2:]) / 2


def distances(logits: Tensor, reg_max: int) -> Tensor:
    """Distances in strides (P, 4), the mean bins of ``logits`` (P, 4 * R); float32 or better."""
    return integral(logits.reshape(-1, 4, reg_max + 1))


def distribution_loss(loss_dfl: nn.Module, logits: Tensor, target: Tensor, score: Tensor) -> Tensor:
    """Weighted sum of the Distribution Focal Loss over positives, the four sides averaged.

    DEVIATION: the paper's 1/4 is ambiguous; as in the authors' code it is DFL's loss_weight, and
    the four sides are averaged on top.

    Args:
        loss_dfl: a DistributionFocalLoss, ours or mmdet's.
        logits: (P, 4 * R) distributions of the positives.
        target: (P, 4) distances in strides, cut here to what the bins can say.
        score: (P,) weight of each positive.
    """
    R = logits.shape[1] // 4
    return loss_dfl(
        logits.reshape(-1, R),
        target.clamp(0, R - 1 - _MARGIN).flatten(),
        weight=score.repeat_interleave(4),
        avg_factor=4.0,
    )


def predict_distributions(
    head: Any,
    cls_score_list: list[Tensor],
    bbox_pred_list: list[Tensor],
    score_factor_list: list[None],
    mlvl_priors: list[Tensor],
    img_meta: dict,
    cfg: ConfigDict | None = None,
    rescale: bool = False,
    with_nms: bool = True,
) -> InstanceData:
    """Boxes of one image; only what passes the score filter is integrated.

    The host's ``_predict_by_feat_single`` of a head that is its first argument.

    Args:
        head: gives ``num_classes``, ``reg_max``, ``bbox_coder``, the strides and the
            post-processing.
        cls_score_list: logits (A * K, H, W) of each level.
        bbox_pred_list: logits (A * 4 * R, H, W) of each level.
        score_factor_list: not used; the score is a joint one.
        mlvl_priors: of each level in pixels, points (N, 2) xy from where the distances count, or
            boxes (N, 4) around them.
        img_meta: ``img_shape`` of the image, and ``scale_factor`` for ``rescale``.
        cfg: ``score_thr``, ``nms_pre``, ``nms``; the head's ``test_cfg`` if None.
        rescale: give boxes in the original image's pixels.
        with_nms: drop doubles.
    """
    cfg = head.test_cfg if cfg is None else cfg
    levels = []
    strides = [w for w, _ in head.prior_generator.strides]
    for cls_score, bbox_pred, priors, stride in zip(
        cls_score_list, bbox_pred_list, mlvl_priors, strides, strict=True
    ):
        at = priors if priors.shape[1] == 2 else centers_of(priors)
        # Best nms_pre pairs of a place and a class above score_thr; of these alone the logits are
        # read.
        scores, labels, _, kept = filter_scores_and_topk(
            rows(cls_score[None], head.num_classes)[0].sigmoid(),
            cfg.get("score_thr", 0),
            cfg.get("nms_pre", -1),
            dict(logits=rows(bbox_pred[None], 4 * (head.reg_max + 1))[0], at=at),
        )
        reach = distances(kept["logits"], head.reg_max) * stride  # (n, 4) in pixels
        boxes = head.bbox_coder.decode(kept["at"], reach, max_shape=img_meta["img_shape"])
        levels.append((boxes, scores, labels))
    bboxes, scores, labels = (torch.cat(parts) for parts in zip(*levels, strict=True))
    return head._bbox_post_process(
        results=InstanceData(bboxes=bboxes, scores=scores, labels=labels),
        cfg=cfg,
        rescale=rescale,
        with_nms=with_nms,
        img_meta=img_meta,
    )
