"""Quality labels for any dense head: the IoU as label, Eq. 8 without a centerness, and what may go in.

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
from mmengine.logging import print_log
from torch import Tensor

from mmext.detection.gfl.distribution import distribution_loss
from mmext.detection.gfl.losses import QualityFocalLoss
from mmext.functional import at_least_float32

# Defaults of the heads carry their scope, since a head may be built without a default scope.
QFL = dict(type="mmext.QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0)
POINTS = dict(type="mmdet.DistancePointBBoxCoder")
UNUSED = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)  # the hosts build a centerness loss


class Distributions(NamedTuple):
    """What DFL sees of the positives."""

    logits: Tensor  # (P, 4 * R)
    targets: Tensor  # (P, 4) distances in strides


def quality_labels(boxes: Tensor, box_targets: Tensor, row: Tensor, num_rows: int) -> Tensor:
    """IoU of the positives' boxes with their targets at their rows, 0 at all others; no gradient."""
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
        head: gives ``loss_cls``, ``loss_bbox``, ``loss_dfl`` and ``avg_factor_floor``.
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
    score = at_least_float32(cls_score.detach()[row]).sigmoid().amax(1)  # (P,), the weights of Eq. 8
    sums = reduce_mean(torch.stack([score.new_tensor(num_total), score.sum()]))
    num_pos, score_sum = sums.tolist()
    norm = max(score_sum, head.avg_factor_floor)
    target = (labels, quality)
    losses = dict(
        loss_cls=head.loss_cls(cls_score, target, weight=label_weights, avg_factor=max(num_pos, 1.0)),
        loss_bbox=head.loss_bbox(boxes, box_targets, weight=score, avg_factor=1.0) / norm,
    )
    if distributions is not None:
        losses["loss_dfl"] = distribution_loss(head.loss_dfl, *distributions, score) / norm
    return losses


def check_quality_loss(head: Any) -> None:
    """Refuse a ``loss_cls`` that cannot learn a quality from logits.

    Raises:
        ValueError: it is no QualityFocalLoss, or one on probabilities.
    """
    loss = head.loss_cls
    if isinstance(loss, QualityFocalLoss | HostQualityFocalLoss) and not loss.activated:
        return
    got = type(loss).__name__ + (" with activated=True" if getattr(loss, "activated", False) else "")
    raise ValueError(
        f"{type(head).__name__} needs a QualityFocalLoss on logits as loss_cls, got {got}; write "
        "loss_cls=dict(_delete_=True, type='mmext.QualityFocalLoss'), or take mmdet's head for other losses"
    )


def check_coder(head: Any, *, by_distance: bool) -> None:
    """Refuse a box coder that does not fit what the head predicts."""
    if isinstance(head.bbox_coder, DistancePointBBoxCoder) != by_distance:
        needs = "a DistancePointBBoxCoder" if by_distance else "a coder of deltas such as DeltaXYWHBBoxCoder"
        raise ValueError(
            f"{type(head).__name__} {'with' if by_distance else 'without'} loss_dfl needs {needs}, got "
            f"{type(head.bbox_coder).__name__}; leave bbox_coder out, or replace it with _delete_=True"
        )


def last_bin(loss_dfl: dict | None, reg_max: int) -> int:
    """The last bin of a side, 0 for a head without distributions."""
    if loss_dfl is not None and reg_max < 1:
        raise ValueError(f"a distribution needs two bins or more: reg_max must be at least 1, got {reg_max}")
    return 0 if loss_dfl is None else reg_max


def floor_of(avg_factor_floor: int | float | str) -> int | float:
    """The least normaliser as a number; ``"paper"`` has none but keeps a sum of zero from dividing."""
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
