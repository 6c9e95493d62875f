"""Samples of tracked videos, as mmdet's models give them to a metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData

Person = tuple[int, np.ndarray]
"""An identity and its points (K, 3): x, y, and whether it is there or its score."""


def frame(
    true: Sequence[Person],
    found: Sequence[Person],
    number: int = 0,
    video: Any = 1,
    num_points: int = 3,
    **meta: Any,
) -> DetDataSample:
    """Heads are 30 wide and 40 high: PoseTrack's size of them is 30, half of it 15."""
    instances = [
        dict(
            bbox=[0, 0, 60, 80],
            bbox_label=0,
            ignore_flag=0,
            track_id=identity,
            keypoints=points,
            head_box=[0, 0, 30, 40],
        )
        for identity, points in true
    ]
    points = np.array([points for _, points in found]).reshape(-1, num_points, 3)
    sample = DetDataSample(
        metainfo=dict(
            video_id=video,
            frame_id=number,
            frame_number=number,
            ori_video_length=99,
            instances=instances,
            ignore_regions=[],
        )
        | meta
    )
    sample.pred_track_instances = InstanceData(
        bboxes=torch.zeros(len(found), 4),
        labels=torch.zeros(len(found), dtype=torch.long),
        scores=torch.ones(len(found)),
        instances_id=torch.tensor([identity for identity, _ in found], dtype=torch.long),
        keypoints=torch.from_numpy(points[..., :2]),
        keypoint_scores=torch.from_numpy(points[..., 2]),
    )
    return sample


def clip(frames: Sequence[DetDataSample]) -> dict[str, Any]:
    """Frames as mmengine hands them to a metric."""
    sample = TrackDataSample()
    sample.video_data_samples = list(frames)
    return sample.to_dict()


def person(left: float, missing: Sequence[int] = (), num_points: int = 3) -> np.ndarray:
    """Points in a row, 20 pixels apart."""
    points = np.stack([left + np.zeros(num_points), 20.0 * np.arange(num_points)], 1)
    there = np.array([[k not in missing] for k in range(num_points)], float)
    return np.concatenate([points, there], 1)
