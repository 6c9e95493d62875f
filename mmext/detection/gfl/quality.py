"""Quality labels for any dense head: IoU as label, Eq. 8 without a centerness, and what may go in.

Paper     Generalized Focal Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      One function turns classes, decoded boxes and their targets into the losses of a head.
Host      mmdet, for the IoU and the mean over ranks
Letters   N rows (places x anchors of all levels and images), P positives, K classes, R bins a side
"""

import logging
from typing import Any, NamedTuple

import torch
from mmdet.models.losses import QualityFocalLoss as HostQualityFocalLoss
from mmdet.models.task_modules.coders import DistancePointBBoxCoder
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.detection.gfl.distribution import Saturation, centers_of, distances, distribution_loss
from mmext.detection.gfl.losses import QualityFocalLoss
from mmext.detection.positives import rows
from mmext.functional import at_least_float32, foreground

# Defaults of the heads carry their scope, since a head may be built without a default scope.
ANCHORS = dict(  # one square anchor of 8 strides at each place of five levels
    type="mmdet.AnchorGenerator",
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
GIOU = dict(type="mmdet.GIoULoss", loss_weight=2.0)
QFL = dict(type="mmext.QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0)
POINTS = dict(type="mmdet.DistancePointBBoxCoder")
UNUSED = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)  # the hosts build a centerness loss


class Distributions(NamedTuple):
    """What DFL sees of the positives."""

    logits: Tensor  # (P, 4 * R)
    targets: Tensor  # (P, 4) distances in strides


def quality_labels(boxes: Tensor, box_targets: Tensor, row: Tensor, num_rows: int) -> Tensor:
    """IoU of the positives' boxes with their targets at their rows, 0 at others; no gradient."""
    quality = boxes.new_zeros(num_rows)
    quality[row] = bbox_overlaps(boxes.detach(), box_targets, is_aligned=True)
    return quality


def joint_losses(
    head: Any,
    cls_score: Tensor,
    labels: Tensor,
    label_weights: Tensor | None,
    num_total: int,
    *,
    row: Tensor,
    boxes: Tensor,
    box_targets: Tensor,
    distributions: Distributions | None = None,
) -> dict[str, Tensor]:
    """Eq. 8 over all levels at once: one call of each loss, one all-reduce.

    Args:
        head: gives ``loss_cls``, ``loss_bbox``, ``loss_dfl``, ``avg_factor_floor`` and
            ``saturation``.
        cls_score: (N, K) logits.
        labels: (N,) class, K for background.
        label_weights: (N,), or None for ones.
        num_total: number of positives on this rank, as the host counts them.
        row: (P,) rows of the positives.
        boxes: (P, 4) xyxy of the positives, decoded, in float32.
        box_targets: (P, 4) their ground truth in the same unit.
        distributions: what DFL sees, or None for a head without it.
    """
    quality = quality_labels(boxes, box_targets, row, len(labels))
    # (P,), the weights of Eq. 8.
    score = at_least_float32(cls_score.detach()[row]).sigmoid().amax(1)
    # This rank's sums, which become means over the ranks in one message.
    local = [score.new_tensor(num_total), score.sum()]
    if distributions is not None:
        # torch.compile cannot follow a list that a tensor is added to
        local.extend(head.saturation.sides_of(distributions.targets).to(score).unbind())
    num_pos, score_sum, *sides = reduce_mean(torch.stack(local)).tolist()  # the only all-reduce
    norm = max(score_sum, head.avg_factor_floor)  # Eq. 8 divides by the sum of the weights
    target = (labels, quality)
    losses = dict(
        loss_cls=head.loss_cls(
            cls_score, target, weight=label_weights, avg_factor=max(num_pos, 1.0)
        ),
        loss_bbox=head.loss_bbox(boxes, box_targets, weight=score, avg_factor=1.0) / norm,
    )
    if distributions is not None:
        head.saturation.add(*(round(mean * get_world_size()) for mean in sides))
        losses["loss_dfl"] = distribution_loss(head.loss_dfl, *distributions, score) / norm
    return losses


def anchor_losses(
    head: Any,
    cls_scores: list[Tensor],
    bbox_preds: list[Tensor],
    batch_gt_instances: list[InstanceData],
    batch_img_metas: list[dict],
    batch_gt_instances_ignore: list[InstanceData] | None = None,
) -> dict[str, list[Tensor]]:
    """:func:`joint_losses` for ATSS's anchors and targets, each in a list as the hosts have it.

    Args:
        head: an anchor head; its ``reg_max`` is 0 where it codes boxes as its coder's deltas.
        cls_scores: (B, A * K, H, W) logits of each level.
        bbox_preds: (B, A * 4, H, W) deltas of each level, with DFL (B, A * 4 * R, H, W) logits.
        batch_gt_instances: ``bboxes`` (G, 4) xyxy in pixels and ``labels`` (G,) of each image.
        batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
        batch_gt_instances_ignore: boxes to leave out, or None.
    """
    sizes = [x.shape[-2:] for x in cls_scores]
    anchors, flags = head.get_anchors(sizes, batch_img_metas, device=cls_scores[0].device)
    *targets, _, num_total = head.get_targets(
        anchors, flags, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
    )
    # All levels in one: (B, N, ...) each, N counting all anchors of an image.
    anchors, labels, label_weights, bbox_targets = (torch.cat(level, 1) for level in targets)
    cls_score = torch.cat([rows(x, head.cls_out_channels) for x in cls_scores], 1)
    bbox_pred = torch.cat([rows(x, 4 * (head.reg_max + 1)) for x in bbox_preds], 1)
    # From here on only the positives: logits or deltas (P, 4 * R) or (P, 4), boxes (P, 4).
    positive = foreground(labels.flatten(), head.num_classes)
    pred, anchors, gt_bboxes = (
        x.flatten(0, 1)[positive] for x in (bbox_pred, anchors, bbox_targets)
    )
    pred, distributions = at_least_float32(pred), None
    if head.reg_max:  # in strides, as GFL measures boxes
        stride = _strides(head, sizes, anchors, positive)
        centers, gt_bboxes = centers_of(anchors) / stride, gt_bboxes / stride
        boxes = head.bbox_coder.decode(centers, distances(pred, head.reg_max))
        distributions = Distributions(pred, head.bbox_coder.encode(centers, gt_bboxes))
    else:  # in pixels
        boxes = head.bbox_coder.decode(anchors, pred)
    losses = joint_losses(
        head,
        cls_score.flatten(0, 1),
        labels.flatten(),
        label_weights.flatten(),
        num_total,
        row=positive,
        boxes=boxes,
        box_targets=gt_bboxes,
        distributions=distributions,
    )
    return {name: [loss] for name, loss in losses.items()}


def _strides(head: Any, sizes: list[torch.Size], like: Tensor, row: Tensor) -> Tensor:
    """Stride of each row in pixels, (P, 1)."""
    counts = [h * w * head.num_base_priors for h, w in sizes]
    strides = [w for w, _ in head.prior_generator.strides]
    per_level = [like.new_full((n,), w) for n, w in zip(counts, strides, strict=True)]
    return torch.cat(per_level)[row % sum(counts), None]


def saturation_of(head: Any) -> Saturation:
    """What counts the sides beyond the last bin of a head's levels."""
    return Saturation(head.reg_max, [w for w, _ in head.prior_generator.strides])


def check_quality_loss(head: Any) -> None:
    """Refuse a ``loss_cls`` that cannot learn a quality from logits.

    Raises:
        ValueError: it is no QualityFocalLoss, or one on probabilities.
    """
    loss = head.loss_cls
    if isinstance(loss, QualityFocalLoss | HostQualityFocalLoss) and not loss.activated:
        return
    got = type(loss).__name__ + (
        " with activated=True" if getattr(loss, "activated", False) else ""
    )
    raise ValueError(
        f"{type(head).__name__} needs a QualityFocalLoss on logits as loss_cls, got {got}; write "
        "loss_cls=dict(_delete_=True, type='mmext.QualityFocalLoss'), or take mmdet's head for "
        "other losses"
    )


def quality_loss(loss_cls: dict) -> dict:
    """The config of a head's classification loss, as its host reads it.

    Raises:
        ValueError: it is a focal loss's with its type changed, whose other keys are left.
    """
    if left := sorted({"gamma", "alpha"} & loss_cls.keys()):
        raise ValueError(
            f"loss_cls expects a QualityFocalLoss with beta, got {', '.join(left)} of a FocalLoss; "
            "write loss_cls=dict(_delete_=True, type='mmext.QualityFocalLoss')"
        )
    # The host reads this key from the config and would take its absence for a softmax.
    return {"use_sigmoid": True, **loss_cls}


def check_coder(head: Any, *, by_distance: bool) -> None:
    """Refuse a box coder that does not fit what the head predicts."""
    if isinstance(head.bbox_coder, DistancePointBBoxCoder) != by_distance:
        needs = (
            "a DistancePointBBoxCoder"
            if by_distance
            else "a coder of deltas such as DeltaXYWHBBoxCoder"
        )
        raise ValueError(
            f"{type(head).__name__} {'with' if by_distance else 'without'} loss_dfl needs {needs}, "
            f"got {type(head.bbox_coder).__name__}; leave bbox_coder out, or replace it with "
            "_delete_=True"
        )


def last_bin(loss_dfl: dict | None, reg_max: int) -> int:
    """The last bin of a side, 0 for a head without distributions."""
    if loss_dfl is not None and reg_max < 1:
        raise ValueError(
            f"a distribution needs two bins or more: reg_max must be at least 1, got {reg_max}"
        )
    return 0 if loss_dfl is None else reg_max


def floor_of(avg_factor_floor: int | float | str) -> int | float:
    """The least normaliser as a number; ``"paper"`` has none but keeps a zero sum from dividing."""
    if avg_factor_floor == "paper":
        return torch.finfo(torch.float32).eps
    if isinstance(avg_factor_floor, str) or avg_factor_floor <= 0:
        raise ValueError(f"avg_factor_floor must be 'paper' or above 0, got {avg_factor_floor!r}")
    return avg_factor_floor


def drop_centerness(head: Any, state_dict: dict, prefix: str) -> None:
    """Take the host's centerness branch out of a checkpoint, and say so in the log."""
    names = {key: key[len(prefix) :] for key in state_dict if key.startswith(prefix)}
    branch = [key for key, name in names.items() if name.split(".")[0].endswith("centerness")]
    for key in branch:
        del state_dict[key]
    if branch:
        print_log(
            f"{type(head).__name__} has no centerness branch and leaves out {', '.join(branch)}",
            logger="current",
            level=logging.INFO,
        )
