"""Scores of every track with every detection of a frame, and whether the scene goes on.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (no public code)
Host      none: numpy alone
Deviates  The rule and its numbers are ours: of the paper only abstract and introduction were read.
Letters   M tracks; N detections
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mmext.pose.fastpose.similarity import appearance, area, iou, oks
from mmext.pose.fastpose.state import Detections, Tracks

CUT_SCORE = 0.1
"""Mean of the tracks' best S_geo below which the picture may be another scene's."""


@dataclass
class Tables:
    """Scores of every track with every detection, each (M, N)."""

    geo: np.ndarray  # S_geo
    app: np.ndarray  # S_app
    same: np.ndarray  # of one class
    score: np.ndarray  # S
    allowed: np.ndarray


def tables(
    tracks: Tracks,
    found: Detections,
    frame: int,
    *,
    moving: bool,
    sigmas: Sequence[float] | None = None,
) -> Tables:
    """How near and how alike all are; S is S_geo and all of one class are allowed, for now.

    Args:
        tracks: M of them.
        found: the detections of a frame.
        frame: its number.
        moving: whether boxes and poses go on at their velocity.
        sigmas: as in :func:`~mmext.pose.fastpose.similarity.oks`.
    """
    boxes, poses = tracks.predicted(frame, moving=moving)
    geo = iou(boxes, found.boxes)
    if poses.shape[1]:
        areas = (area(boxes)[:, None] + area(found.boxes)[None]) / 2
        alike = oks(poses, found.poses, tracks.visible, found.visible, areas, sigmas=sigmas)
        geo = np.maximum(alike, geo)
    same = tracks.labels[:, None] == found.labels[None]
    return Tables(geo, appearance(tracks.gallery, found.embeddings), same, geo, same)


def is_cut(
    table: Tables,
    tracks: Bool[np.ndarray, " M"],
    found: Bool[np.ndarray, " N"],
    *,
    lost_score: int | float,
) -> bool:
    """Whether neither places nor looks go on: then places mean nothing.

    Args:
        table: of the frame.
        tracks: those just seen whose looks are known. Without looks nobody could tell, and nothing
            but places is left to go by.
        found: detections that count.
        lost_score: r.
    """
    part = np.ix_(tracks, found)
    if not table.geo[part].size:
        return False
    # the best of each track: the mean over all pairs is low in every crowd
    near, alike = (
        np.where(table.same, one, 0)[part].max(1).mean() for one in (table.geo, table.app)
    )
    return bool(near < CUT_SCORE and alike < lost_score)
