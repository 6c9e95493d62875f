"""The trackers that are compared, and how often each confuses two objects in a scene.

Counted   switches   an object's identity is another than its last one
          clear      the same among detections of which 70 % or more of the points are seen, so that
                     who leaves hidden ones without an identity gains nothing by it
          unnamed    detections without an identity
          idtp, true, found   sums of IDF1
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dev.evidence.occlusion.scenes import Frame
from mmext.pose.fastpose.scoring import FramePairs, clear_mot, identity_counts
from mmext.pose.fastpose.tracks import OcclusionAwareTracks

R = 0.3
"""Least likeness to find a lost object again, of every arm that looks at appearance."""
WITHOUT, OURS = "re-ID without gates", "all gates"
MEMORY, VELOCITY, JOINT = "IoU with memory", "constant velocity", "all gates, one joint assignment"
ARMS: dict[str, dict[str, Any]] = {
    MEMORY: dict(looks=False, gates=(), recent_frames=30, motion="none"),
    VELOCITY: dict(looks=False, gates=(), recent_frames=30),
    WITHOUT: dict(gates=(), lost_score=R),
    OURS: dict(lost_score=R),
    "reading only": dict(gates=("reading",), lost_score=R),
    "gallery only": dict(gates=("gallery",), lost_score=R),
    "birth only": dict(gates=("birth",), lost_score=R),
    JOINT: dict(lost_score=R, passes=False),
}
"""Options of :class:`OcclusionAwareTracks`; ``looks`` is whether it gets points and features."""
COUNTED = ("switches", "clear", "unnamed", "idtp", "true", "found")
CLEAR = 0.7

Looks = Sequence[np.ndarray]
"""Features of each frame's detections."""


def identities(
    frames: Sequence[Frame], features: Looks, *, looks: bool = True, **options: Any
) -> list[np.ndarray]:
    """What a tracker says of each frame's detections; -1 for nothing."""
    tracks = OcclusionAwareTracks(**options)
    return [
        tracks.step(
            frame.boxes,
            np.ones(len(frame.boxes)),
            keypoints=frame.points if looks else None,
            visibility=frame.visible if looks else None,
            embeddings=feature if looks else None,
        )
        for frame, feature in zip(frames, features, strict=True)
    ]


def pairs(true: np.ndarray, ids: np.ndarray) -> FramePairs:
    """A frame: every detection lies on its own object alone."""
    known = ids >= 0
    apart = np.where(true[:, None] == true[known][None], 0.0, np.inf)[None]
    there = np.ones((1, len(true)), bool), np.ones((1, int(known.sum())), bool)
    return FramePairs(true, ids[known], apart, *there)


def counts(frames: Sequence[Frame], told: Sequence[np.ndarray]) -> list[int]:
    """The numbers of :data:`COUNTED` of a scene."""
    people = [one.people for one in frames]
    clear = [one.visible.mean(1) >= CLEAR for one in frames]
    seen = [pairs(*both) for both in zip(people, told, strict=True)]
    plain = [
        pairs(true[part], ids[part]) for true, ids, part in zip(people, told, clear, strict=True)
    ]
    switches = [int(clear_mot(one, limit=0.5).switches[0]) for one in (seen, plain)]
    unnamed = sum(int((ids < 0).sum()) for ids in told)
    return [*switches, unnamed, *identity_counts(seen, limit=0.5)[:, 0].astype(int).tolist()]


def compare(
    frames: Sequence[Frame], features: Looks, arms: Mapping[str, Mapping[str, Any]] = ARMS
) -> dict[str, list[int]]:
    """Each arm's counts of a scene, all with the same detections."""
    return {
        name: counts(frames, identities(frames, features, **options))
        for name, options in arms.items()
    }
