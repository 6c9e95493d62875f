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
from torch import Tensor, nn

from mmext.pose.fastpose.keypoint_head import KeypointRCNNHead


@MODELS.register_module()
class MeanPoseHead(KeypointRCNNHead):
    """Maps that are the same in every RoI: how often each point lies where in its box.

    Args:
        num_keypoints: points of an object.
        side: cells of a side of the maps.
        host_cfg: the keypoint head's arguments; its layers are not there.
    """

    def __init__(self, num_keypoints: int, *, side: int = 28, **host_cfg: Any) -> None:
        super().__init__(num_keypoints, **{**host_cfg, "num_convs": 0, "init_cfg": None})
        del self.deconv
        self.maps = nn.Parameter(torch.zeros(num_keypoints, side, side))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The maps (N, K, side, side), whatever the features (N, C, h, w) are."""
        return self.maps.expand(len(x), -1, -1, -1), x


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
