"""Scripted occlusions: two figures of points that cross, or meet and turn back, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmext.pose.fastpose.tracks import OcclusionAwareTracks

SIDE = np.array([40.0, 100.0])
"""Of a figure, pixels."""


@dataclass
class Frame:
    """What a detector would find, and who it really is."""

    boxes: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    embeddings: np.ndarray
    people: list[int]


def scene(seed: int, kind: str, frames: int = 40) -> list[Frame]:
    """Person 1 is behind person 0; hidden by more than 85 % it is not found at all."""
    rng = np.random.default_rng(seed)
    figure = rng.uniform(0.05, 0.95, (17, 2)) * SIDE
    # People are alike: cosine .2 between two of them, .84 between two views of one.
    own = np.linalg.qr(rng.normal(size=(16, 3)))[0].T
    looks = np.sqrt(0.2) * own[:1] + np.sqrt(0.8) * own[1:]
    speed, meeting = rng.uniform(1.5, 3), frames / 2 + rng.uniform(-3, 3)
    told = []
    for time in range(frames):
        left = speed * (time - meeting)
        if kind == "bounce":
            left = -abs(left)
        corners = np.array([[200 + left, 100.0], [200 - left, 104.0]])
        points = figure[None] + corners[:, None]
        front = corners[0]
        hidden = ((points[1] > front) & (points[1] < front + SIDE)).all(-1)
        visibility = np.stack([np.ones(17), 1.0 - hidden])
        flipped = rng.random(visibility.shape) < 0.05
        visibility = np.where(flipped, 1 - visibility, visibility)
        covered = hidden.mean()
        front_share = np.sqrt(covered)  # who stands in front fills the middle of the crop
        seen = np.array([looks[0], (1 - front_share) * looks[1] + front_share * looks[0]])
        seen = seen + rng.normal(scale=0.11, size=seen.shape)
        boxes = np.concatenate([corners, corners + SIDE], 1) + rng.normal(scale=1.5, size=(2, 4))
        people = [0, 1] if covered <= 0.85 else [0]
        people = rng.permutation(people).tolist()
        told.append(Frame(boxes[people], points[people], visibility[people], seen[people], people))
    return told


def switches(scenes: Sequence[list[Frame]], *, with_looks: bool = True, **options: Any) -> float:
    """How often a person's id is another than its last one, in the mean over scenes.

    All scenes are tracked at once, each as a class of its own, which nothing crosses.
    """
    tracks = OcclusionAwareTracks(**options)
    last: dict[tuple[int, int], int] = {}
    count = 0
    for frames in zip(*scenes, strict=True):
        who = [(place, one) for place, frame in enumerate(frames) for one in frame.people]
        parts = zip(
            *((f.boxes, f.keypoints, f.visibility, f.embeddings) for f in frames), strict=True
        )
        boxes, *looks = (np.concatenate(part) for part in parts)
        ids = tracks.step(
            boxes,
            np.ones(len(boxes)),
            *(looks if with_looks else ()),
            labels=[place for place, _ in who],
        )
        for person, identity in zip(who, ids.tolist(), strict=True):
            if identity >= 0:
                count += last.get(person, identity) != identity
                last[person] = identity
    return count / len(scenes)
