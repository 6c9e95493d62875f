"""Rows of FastPose: the loss over the cells of keypoints, a frame of the tracker, its metric.

The keypoint loss is that of 64 positives with 17 points each, a quarter of a step's. The tracker
takes a frame of 200 detections and 50 tracks, the metric 50 videos; the other side of both is our
writing of the same with plain loops, on numbers that come out equal. Neither runs on PyTorch, so
only time counts; the goal of the tracker is .05 of the loops'.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmext.pose.fastpose import posetrack_metric, tracks
from mmext.pose.fastpose.keypoints import cell_cross_entropy
from mmext.pose.fastpose.scoring import Clear, FramePairs
from mmext.pose.fastpose.similarity import sigmas_of
from mmext.pose.fastpose.state import Detections, Tracks
from mmext.pose.fastpose.tables import Tables
from mmext.pose.fastpose.track_records import Record

from .cases import Case, train

TRACKS, DETECTIONS, POINTS = 50, 200, 17
VIDEOS, FRAMES, PEOPLE, JOINTS = 50, 20, 4, 15


def keypoint_head(side: str) -> Case:
    """Cross-entropy over 56 x 56 cells; "upstream": of maps in full size with one-hot targets."""
    maps = torch.randn(64, 17, 28, 28).requires_grad_()
    cell = torch.randint(0, 56 * 56, (64, 17))
    valid = torch.rand(64, 17) < 0.7

    def one_hot() -> Tensor:
        large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        target = F.one_hot(cell, 56 * 56).to(maps)
        return (-(target * large.flatten(2).log_softmax(2)).sum(2) * valid).sum() / valid.sum()

    def ours() -> Tensor:
        return cell_cross_entropy(maps, cell, valid).sum() / valid.sum()

    return train({"ours": ours, "upstream": one_hot}[side], [maps])


def loop_tables(
    known: Tracks,
    found: Detections,
    frame: int,
    *,
    moving: bool,
    sigmas: Sequence[float] | None = None,
) -> Tables:
    """The tracker's scores, pair by pair and point by point."""
    boxes, poses = known.predicted(frame, moving=moving)
    geo, app, same = (np.zeros((len(known), len(found))) for _ in range(3))
    for i, (box, pose) in enumerate(zip(boxes, poses, strict=True)):
        for j in range(len(found)):
            near = one_iou(box, found.boxes[j])
            sides = [(one[2] - one[0]) * (one[3] - one[1]) for one in (box, found.boxes[j])]
            seen = known.visible[i], found.visible[j]
            alike = one_oks(pose, found.poses[j], *seen, sum(sides) / 2, sigmas)
            geo[i, j] = max(near, alike)
            app[i, j] = known.gallery[i] @ found.embeddings[j]
            same[i, j] = known.labels[i] == found.labels[j]
    return Tables(geo, app, same > 0, geo, same > 0)


def one_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes."""
    wide, high = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    shared = wide * high
    union = sum((one[2] - one[0]) * (one[3] - one[1]) for one in (a, b)) - shared
    return shared / union if union > 0 else 0.0


def one_oks(
    a: np.ndarray,
    b: np.ndarray,
    visible_a: np.ndarray,
    visible_b: np.ndarray,
    area: float,
    sigmas: Sequence[float] | None,
) -> float:
    """OKS of two poses."""
    likes = []
    for k, sigma in enumerate(sigmas_of(len(a)) if sigmas is None else sigmas):
        if visible_a[k] and visible_b[k]:
            squared = (a[k, 0] - b[k, 0]) ** 2 + (a[k, 1] - b[k, 1]) ** 2
            likes.append(math.exp(-squared / (2 * area * (2 * sigma) ** 2)))
    return sum(likes) / len(likes) if len(likes) >= 3 else 0.0


def crowd(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """People anywhere, as the tracker takes them."""
    corner, extent = rng.uniform(0, 1000, (number, 1, 2)), rng.uniform(20, 150, (number, 1, 2))
    return dict(
        boxes=np.concatenate([corner, corner + extent], 2)[:, 0],
        scores=rng.uniform(0.1, 1, number),
        keypoints=corner + extent * rng.uniform(0, 1, (number, POINTS, 2)),
        visibility=rng.uniform(0.2, 1, (number, POINTS)),
        embeddings=rng.normal(size=(number, 128)),
    )


def tracker(side: str) -> Case:
    """A frame of a crowd; the copy of the tracks that each call starts from is in both times."""
    rng = np.random.default_rng(0)
    start = tracks.OcclusionAwareTracks(gates=())
    scores = {"ours": tracks.tables, "upstream": loop_tables}[side]
    first, second = crowd(TRACKS, rng), crowd(DETECTIONS, rng)
    first["scores"] = np.ones(TRACKS)
    start.step(**first)
    for key, old in first.items():
        second[key][:TRACKS] = old  # they stand still; the others are new

    def run() -> np.ndarray:
        with patch.object(tracks, "tables", scores):
            return copy.deepcopy(start).step(**second)

    return Case(run, run)


def random_records() -> list[Record]:
    """People on random walks; one in twenty is not found, and at times identities mix."""
    rng = np.random.default_rng(0)
    records = []
    for video in range(VIDEOS):
        points = rng.uniform(0, 500, (PEOPLE, JOINTS, 2))
        for frame in range(FRAMES):
            points = points + rng.normal(0, 2, (PEOPLE, 1, 2))
            ids = np.arange(PEOPLE)
            if rng.random() < 0.2:
                ids = rng.permutation(ids)
            there = np.flatnonzero(rng.random(PEOPLE) < 0.95)
            records.append(
                Record(
                    *(video, frame, PEOPLE, np.arange(PEOPLE), points),
                    rng.random((PEOPLE, JOINTS)) < 0.9,
                    np.full(PEOPLE, 30.0),
                    ids[there],
                    points[there] + rng.normal(0, 5, (len(there), JOINTS, 2)),
                    rng.random((len(there), JOINTS)) < 0.9,
                )
            )
    return records


def loop_clear(frames: Sequence[FramePairs], *, limit: float, num_points: int) -> Clear:
    """Counts of one video, point by point."""
    return Clear(*np.array([_clear_of(frames, k, limit) for k in range(num_points)]).T)


def _clear_of(frames: Sequence[FramePairs], k: int, limit: float) -> list[float]:
    objects = matches = misses = wrong = switches = total = 0.0
    last: dict[int, int] = {}
    for frame in frames:
        true = [g for g in range(len(frame.true_ids)) if frame.true_has[k, g]]
        found = [p for p in range(len(frame.found_ids)) if frame.found_has[k, p]]
        made: list[tuple[int, int]] = []
        for g in true:
            for p in found:
                kept = last.get(int(frame.true_ids[g])) == int(frame.found_ids[p])
                free = all(p != other for _, other in made)
                if kept and free and frame.distance[k, g, p] <= limit:
                    made.append((g, p))
        left = [g for g in true if all(g != one for one, _ in made)]
        right = [p for p in found if all(p != one for _, one in made)]
        cost = np.full((len(left), len(right)), 1e6)
        for i, g in enumerate(left):
            for j, p in enumerate(right):
                if frame.distance[k, g, p] <= limit:
                    cost[i, j] = frame.distance[k, g, p]
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if cost[i, j] < 1e6:
                who, new = int(frame.true_ids[left[i]]), int(frame.found_ids[right[j]])
                switches += who in last and last[who] != new
                last[who] = new
                made.append((left[i], right[j]))
        objects, matches = objects + len(true), matches + len(made)
        misses, wrong = misses + len(true) - len(made), wrong + len(found) - len(made)
        total += sum(frame.distance[k, g, p] for g, p in made)
    return [objects, matches, misses, wrong, switches, total]


def loop_identities(frames: Sequence[FramePairs], *, limit: float, num_points: int) -> np.ndarray:
    """IDTP, true and found objects of one video, point by point."""
    counts = np.zeros((3, num_points))
    for k in range(num_points):
        shared: dict[tuple[int, int], int] = {}
        for frame in frames:
            for g, who in enumerate(frame.true_ids.tolist()):
                counts[1, k] += frame.true_has[k, g]
                for p, other in enumerate(frame.found_ids.tolist()):
                    both = frame.true_has[k, g] and frame.found_has[k, p]
                    if both and frame.distance[k, g, p] <= limit:
                        shared[who, other] = shared.get((who, other), 0) + 1
            counts[2, k] += sum(frame.found_has[k].tolist())
        names = [sorted({pair[side] for pair in shared}) for side in (0, 1)]
        table = np.array([[shared.get((a, b), 0) for b in names[1]] for a in names[0]])
        if shared:
            counts[0, k] = table[linear_sum_assignment(table, maximize=True)].sum()
    return counts


def metric(side: str) -> Case:
    """All numbers of :class:`PoseTrackMetric`, from records on."""
    records = random_records()
    one = posetrack_metric.PoseTrackMetric()

    def ours() -> dict[str, float]:
        return one.compute_metrics(records)

    def loops() -> dict[str, float]:
        with (
            patch.object(posetrack_metric, "clear_mot", loop_clear),
            patch.object(posetrack_metric, "identity_counts", loop_identities),
        ):
            return one.compute_metrics(records)

    run = {"ours": ours, "upstream": loops}[side]
    return Case(run, run)
