"""Non-maximum suppression: plain, soft, and with the boxes that each kept one stands for.

Paper     Soft-NMS, Bodla et al. 2017, https://arxiv.org/abs/1704.04503
Idea      Greedy suppression needs no loop over boxes: whether a box is kept depends on better ones
          alone, so repeating "kept unless a kept one overlaps" settles after as many rounds as the
          longest chain has.
Host      mmcv's ``nms``, ``softnms`` and ``nms_match``
Deviates  none known; soft suppression is sequential, and runs on the CPU as mmcv's does
Letters   N boxes, xyxy; K kept
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.boxes import areas, intersections
from mmext.ops.table import serves

BLOCK = 512  # boxes that are settled at once: a few megabytes a matrix


def overlap(a: Float[Tensor, "N 4"], b: Float[Tensor, "M 4"], offset: int) -> Float[Tensor, "N M"]:
    """IoU of all pairs; NaN, which exceeds no threshold, where both boxes are empty."""
    shared = intersections(a[:, None], b[None], offset)
    return shared / (areas(a, offset)[:, None] + areas(b, offset)[None] - shared)


def kept(
    boxes: Float[Tensor, "N 4"], iou_threshold: float, *, offset: int = 0
) -> Bool[Tensor, " N"]:
    """Which boxes greedy suppression keeps.

    Args:
        boxes: by falling score.
        iou_threshold: a box goes if a kept one before it overlaps it by more.
        offset: 0 or 1.

    Example:
        >>> kept(torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]), 0.5)
        tensor([ True, False,  True])
    """
    keep = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    winners = boxes[:0]
    for start in range(0, len(boxes), BLOCK):
        block = boxes[start : start + BLOCK]
        alive = ~(overlap(winners, block, offset) > iou_threshold).any(0)
        beats = (overlap(block, block, offset) > iou_threshold).triu(1)
        now = alive
        while True:  # one wait for the device a round, as in mmcv's own CUDA kernel once a call
            settled = alive & ~(beats & now[:, None]).any(0)
            if torch.equal(settled, now):
                break
            now = settled
        keep[start : start + BLOCK] = now
        winners = torch.cat([winners, block[now]])
    return keep


def soft_nms(
    boxes: Float[np.ndarray, "N 4"],
    scores: Float[np.ndarray, " N"],
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> tuple[Float[np.ndarray, "K 5"], Int[np.ndarray, " K"]]:
    """Lower the scores of what a better box overlaps, instead of removing it (Eq. 3 and 4).

    Args:
        boxes: xyxy.
        scores: of the boxes.
        iou_threshold: overlap from which methods 0 and 1 act.
        sigma: width of method 2's Gaussian.
        min_score: what falls below it is removed.
        method: 0 removes, 1 is linear, 2 Gaussian.
        offset: 0 or 1.

    Returns:
        Boxes with their new scores, best first, and their indices in ``boxes``.
    """
    # Rows before `first` are settled, those from `left` on are removed.
    table = np.concatenate([boxes, scores[:, None]], axis=1)  # (N, 5)
    index = np.arange(len(boxes))
    left, first = len(table), 0
    while first < left:  # each choice depends on the one before it
        best = first + int(np.argmax(table[first:left, 4]))
        table[[first, best]], index[[first, best]] = table[[best, first]], index[[best, first]]
        rest = table[first + 1 : left]
        # A view: what follows lowers the scores in the table itself.
        rest[:, 4] *= _softened(table[first, :4], rest[:, :4], iou_threshold, sigma, method, offset)
        moved = _close_gaps(rest[:, 4] < min_score)
        table[first + 1 : first + 1 + len(moved)] = rest[moved]
        index[first + 1 : first + 1 + len(moved)] = index[first + 1 : left][moved]
        left = first + 1 + len(moved)
        first += 1
    return table[:left], index[:left]


def _softened(
    best: np.ndarray, rest: np.ndarray, threshold: float, sigma: float, method: int, offset: int
) -> np.ndarray:
    """Factor for the score of each box in ``rest``."""
    width, height = (
        np.maximum(
            np.minimum(best[i + 2], rest[:, i + 2]) - np.maximum(best[i], rest[:, i]) + offset, 0
        )
        for i in (0, 1)
    )
    size = (rest[:, 2] - rest[:, 0] + offset) * (rest[:, 3] - rest[:, 1] + offset)
    own = (best[2] - best[0] + offset) * (best[3] - best[1] + offset)
    with np.errstate(invalid="ignore", divide="ignore"):  # empty boxes: NaN, which acts on nothing
        iou = width * height / (own + size - width * height)
        if method == 2:
            return np.exp(-(iou * iou) / np.asarray(sigma, dtype=iou.dtype))
        softer = 1 - iou if method == 1 else np.zeros_like(iou)
        return np.where(iou >= np.asarray(threshold, dtype=iou.dtype), softer, np.ones_like(iou))


def _close_gaps(gone: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " K"]:
    """Order in which mmcv leaves the rest, which decides between ties: the last closes each gap."""
    number = int((~gone).sum())
    order = np.arange(number)
    order[gone[:number]] = number + np.flatnonzero(~gone[number:])[::-1]
    return order


@serves("nms")
def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    order = _mmcvs_order(scores)
    return order[kept(at_least_float32(boxes)[order], _as_float32(iou_threshold), offset=offset)]


@serves("nms", source="torchvision")
def _nms_by_torchvision(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    order = _mmcvs_order(scores)
    boxes = at_least_float32(boxes)[order]
    if offset:  # the far edge one pixel further out gives the same widths, heights and overlaps
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    ranks = torch.arange(len(boxes), 0, -1, device=boxes.device, dtype=boxes.dtype)
    return order[torch.ops.torchvision.nms(boxes, ranks, _as_float32(iou_threshold))]


def _mmcvs_order(scores: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """By falling score; not stably, as in mmcv: which of two equal boxes stays depends on that."""
    return scores.sort(descending=True).indices


def _as_float32(number: float) -> float:
    """The threshold as mmcv's kernel has it, which decides about overlaps that equal it."""
    return float(np.float32(number))


@serves("softnms")
def _softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    # mmcv has moved them already.
    plain = (at_least_float32(one).cpu().numpy() for one in (boxes, scores))
    found, index = soft_nms(
        *plain,
        iou_threshold=iou_threshold,
        sigma=sigma,
        min_score=min_score,
        method=method,
        offset=offset,
    )
    dets[: len(found)] = torch.from_numpy(found)
    return torch.from_numpy(index)


@serves("nms_match")
def _nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    order = _mmcvs_order(dets[:, 4])
    boxes = at_least_float32(dets[:, :4])[order]
    # Here an overlap that equals the threshold suppresses; the number just below it has that
    # effect.
    below = float(np.nextafter(np.float32(iou_threshold), np.float32(-1)))
    keep = kept(boxes, below)
    ranks = torch.arange(len(boxes), device=boxes.device)
    beats = (overlap(boxes[keep], boxes, 0) > below) & (ranks[keep][:, None] < ranks)
    first = beats.int().argmax(0)  # the best kept box that suppresses each
    groups: list[list[int]] = [[index] for index in order[keep].tolist()]
    losers = ~keep
    for winner, index in zip(first[losers].tolist(), order[losers].tolist(), strict=True):
        groups[winner].append(index)
    return groups
