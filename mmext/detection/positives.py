"""Positives of a detection head: where they are, how their boxes fit. Several papers weight them.

Host      mmdet 3.x
Letters   B images, A anchors a place, H W map, N rows (images x places x anchors), P positives,
          K classes, L levels
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from torch import Tensor, nn

from mmext.functional import at_least_float32, foreground

EPS = torch.finfo(torch.float32).eps  # mmdet adds it to every avg_factor


def rows(maps: Tensor, channels: int) -> Tensor:
    """Maps (B, A * C, H, W) as rows (B, H * W * A, C) in the anchors' order; a view if A is 1."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, channels)


def rows_of_levels(levels: Sequence[Tensor], channels: int) -> Tensor:
    """:func:`rows` of each level's maps and images, level after level, (N, C)."""
    return joined([rows(maps, channels).flatten(0, 1) for maps in levels])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The parts as one tensor; a single one is not copied."""
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]


def rows_at(maps: Tensor, channels: int, at: Tensor) -> Tensor:
    """``rows(maps, channels).flatten(0, 1)[at]``, (P, C), without making the other rows."""
    A, places = maps.shape[1] // channels, maps.shape[2] * maps.shape[3]
    image, place, anchor = at // (places * A), at // A % places, at % A
    return maps.unflatten(1, (A, channels)).flatten(3)[image, anchor, :, place]


def foreground_of_levels(labels: Sequence[Tensor], num_classes: int) -> list[Tensor]:
    """Indices (P,) of positives of each level's labels (N,); waits for a GPU twice, not L times."""
    at = foreground(torch.cat(list(labels)), num_classes)  # rows of all levels
    sizes = torch.tensor([len(level) for level in labels], device=at.device)
    ends = sizes.cumsum(0)
    counts = torch.searchsorted(at, ends).diff(prepend=ends.new_zeros(1)).tolist()
    starts = (ends - sizes).unbind()
    return [part - start for part, start in zip(at.split(counts), starts, strict=True)]


def own_boxes(bbox_pred: Tensor, labels: Tensor, at: Tensor, num_classes: int) -> Tensor:
    """Predictions (P, 4) of the positives: of (N, 4) the row, of (N, 4 * K) their class's part."""
    if bbox_pred.shape[1] == 4:  # one for all classes, or of one class
        return bbox_pred[at]
    return bbox_pred.unflatten(1, (num_classes, -1))[at, labels[at]]


@torch.no_grad()
def box_iou(boxes: Tensor, targets: Tensor) -> Tensor:
    """IoU (P,) of boxes (P, 4) with their ground truths, in float32 or better."""
    with torch.autocast(boxes.device.type, enabled=False):
        return _overlaps(*(at_least_float32(get_box_tensor(x)) for x in (boxes, targets)))


def _overlaps(boxes: Tensor, targets: Tensor) -> Tensor:
    # DEVIATION: authors of 2019 and 2020 count a box's last pixel; here they are mmdet's, without
    # "+ 1". Those of sample weighting turn boxes that are no numbers into 0 in place; here they
    # stay visible.
    return bbox_overlaps(boxes, targets, is_aligned=True).clamp(0, 1)


@torch.no_grad()
def decoded_iou(
    coder: Any, priors: Tensor, pred: Tensor, target: Tensor, *, decoded_target: bool
) -> Tensor:
    """IoU (P,) of predictions (P, 4) in the coder's units with targets, deltas too or boxes."""
    with torch.autocast(pred.device.type, enabled=False):
        priors, pred, target = (at_least_float32(get_box_tensor(x)) for x in (priors, pred, target))
        if decoded_target:
            return _overlaps(get_box_tensor(coder.decode(priors, pred)), target)
        both = get_box_tensor(coder.decode(priors.repeat(2, 1), torch.cat([pred, target])))
        return _overlaps(*both.chunk(2))


def derives_from(loss: nn.Module, names: Sequence[str]) -> bool:
    """Whether the loss or a class it derives from bears one of the names, whoever registered it."""
    return not {kind.__name__ for kind in type(loss).__mro__}.isdisjoint(names)
