"""OcclusionAwareTracker: identities for the detections of a video, in mmdet's tracking models.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      what is seen of a person decides what its appearance may do; the rule is in ``tracks``
Host      mmdet.BaseTracker: its interface, and none of its buffers
Deviates  see ``tracks``
Letters   N detections; K points; D numbers of an embedding
"""

from typing import Any

import numpy as np
import torch
from mmdet.models.trackers import BaseTracker
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmext.pose.fastpose.state import arguments_of
from mmext.pose.fastpose.tracks import OcclusionAwareTracks
from mmext.registry import MODELS


@MODELS.register_module()
class OcclusionAwareTracker(BaseTracker):
    """Tracks what any detector finds; poses and embeddings help where it gives them.

    Of ``pred_instances`` it reads ``bboxes``, ``scores`` and ``labels``, and where they are there
    ``keypoints`` (N, K, 2), ``keypoints_visible`` (N, K), or else ``keypoint_scores``, from 0 to 1,
    and ``embeddings`` (N, D).

    Args:
        **options: as in :class:`~mmext.pose.fastpose.tracks.OcclusionAwareTracks`.
    """

    def __init__(self, **options: Any) -> None:
        self.people = OcclusionAwareTracks(**options)
        self.own_sigmas = self.people.sigmas is not None
        self.video: Any = None
        super().__init__()  # this resets

    def reset(self) -> None:
        """Forget the video."""
        super().reset()
        self.people.reset()

    @property
    def empty(self) -> bool:
        """Whether nobody is remembered."""
        return self.people.tracks is None or not len(self.people.tracks)

    def track(self, data_sample: DetDataSample, **kwargs: Any) -> InstanceData:
        """Those of a frame's detections that have an identity, with ``instances_id``.

        Frames come in order; another ``video_id``, or a ``frame_id`` of 0, begins another video.

        Args:
            data_sample: with ``pred_instances`` in pixels of the original picture.
            **kwargs: what mmdet's models hand to trackers besides; not needed.
        """
        meta, found = data_sample.metainfo, data_sample.pred_instances
        if meta.get("video_id") != self.video or meta.get("frame_id") == 0:
            self.reset()
            self.video = meta.get("video_id")
        if not self.own_sigmas:
            self.people.sigmas = meta.get("sigmas")
        ids = self.people.step(
            **arguments_of(found), frame_id=meta.get("frame_number", meta.get("frame_id"))
        )
        known = torch.from_numpy(np.flatnonzero(ids >= 0)).to(found.bboxes.device)
        tracked = found[known]
        tracked.instances_id = torch.from_numpy(ids).to(known.device)[known]
        return tracked
