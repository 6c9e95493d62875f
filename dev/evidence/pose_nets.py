"""What FastPose's keypoint branch is compared with: a mean pose, and two nets instead of one.

Configs that run.py writes name it in ``custom_imports``; tools/train.py and tools/test.py find it
where PYTHONPATH names the repository's folder.
"""

from typing import Any

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import FasterRCNN
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

from mmext.pose.fastpose.keypoint_head import KeypointRCNNHead


@MODELS.register_module()
class MeanPoseHead(KeypointRCNNHead):
    """Says of every RoI that each point lies where it lay in the mean of those it trained on.

    The mean is reckoned, not learnt by steps: those of a few hundred iterations would not reach it.

    Args:
        num_keypoints: points of an object.
        host_cfg: the keypoint head's arguments; its layers are not there.
    """

    def __init__(self, num_keypoints: int, **host_cfg: Any) -> None:
        super().__init__(num_keypoints, **{**host_cfg, "num_convs": 0, "init_cfg": None})
        del self.deconv
        self.register_buffer("total", torch.zeros(num_keypoints, 2))
        self.register_buffer("count", torch.zeros(num_keypoints))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Empty maps (N, K, 0, 0), whatever the features (N, C, h, w) are."""
        return x.new_zeros(len(x), self.num_keypoints, 0, 0), x

    def loss_by_feat(
        self, maps: Tensor, keypoints: Tensor, labelled: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        """Take labelled points (N, K, 2) of RoIs (N, 4) into the mean; nothing is left to learn."""
        corner, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
        places = ((keypoints - corner) / extent.clamp(min=1e-6)).where(labelled[..., None], 0.0)
        self.total += places.sum(0)
        self.count += labelled.sum(0)
        return dict(loss_keypoint=maps.sum())

    def predict_by_feat(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The mean pose in each RoI (N, 4), as sure as can be."""
        corner, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
        mean: Any = self.total / self.count.clamp(min=1)[:, None]
        return corner + mean * extent, maps.new_ones(maps.shape[:2])


@MODELS.register_module()
class TwoNets(FasterRCNN):
    """A detector and a pose net beside it, trained at once; no layer is shared.

    Args:
        host_cfg: the detector's arguments. The pose net's backbone and neck are made like its own.
    """

    def __init__(self, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        self.pose_backbone = MODELS.build(host_cfg["backbone"])
        self.pose_neck = MODELS.build(host_cfg["neck"])

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Levels of the detector, then those of the pose net."""
        of_pose = self.pose_neck(self.pose_backbone(batch_inputs))
        return *super().extract_feat(batch_inputs), *of_pose


@MODELS.register_module()
class FirstLevelsRPNHead(RPNHead):
    """RPNHead that leaves the pose net's levels alone."""

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Scores and deltas of the detector's levels."""
        return super().forward(x[: self.prior_generator.num_levels])


@MODELS.register_module()
class LastLevelsRoIExtractor(SingleRoIExtractor):
    """SingleRoIExtractor that takes the pose net's levels."""

    @property
    def num_inputs(self) -> int:
        """Levels of both nets."""
        return 2 * len(self.featmap_strides)

    def forward(
        self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Features of the RoIs, (N, C, h, w)."""
        return super().forward(feats[len(self.featmap_strides) :], rois, roi_scale_factor)
