"""KeypointRCNNHead: where each keypoint of a RoI lies. VisibilityHead: whether it can be seen.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmdet.FCNMaskHead's layout: convolutions, one deconvolution, maps over the RoI
Letters   N RoIs, C channels, K points; h w cells of the features, of the maps twice as many; those
          that loss and decoding look at are ``scale`` times as large again
"""

from itertools import pairwise

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.functional import all_reduce_mean, at_least_float32, reduce_loss
from mmext.pose.fastpose.keypoints import cell_cross_entropy, decode_keypoints, encode_keypoints
from mmext.registry import MODELS

KAIMING = dict(type="Kaiming", layer=["Conv2d", "ConvTranspose2d"])


@MODELS.register_module()
class KeypointRCNNHead(BaseModule):
    """Keypoint branch of Mask R-CNN: for each point a softmax over the cells of its RoI.

    Args:
        num_keypoints: points of an object.
        in_channels: channels of a RoI's features; in an ``MTNRoIHead`` those of its extractor.
        num_convs: 3x3 convolutions before the deconvolution.
        conv_channels: their channels.
        scale: how many times the maps are enlarged, bilinearly, for the loss and for decoding.
        loss_weight: factor of the loss.
        init_cfg: as in mmengine's modules.
    """

    def __init__(
        self,
        num_keypoints: int,
        *,
        in_channels: int = 256,
        num_convs: int = 8,
        conv_channels: int = 512,
        scale: int = 2,
        loss_weight: int | float = 1.0,
        init_cfg: dict | list[dict] | None = KAIMING,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_keypoints, self.conv_channels = num_keypoints, conv_channels
        self.scale, self.factor = scale, loss_weight
        widths = [in_channels, *[conv_channels] * num_convs]
        self.convs = nn.ModuleList(
            ConvModule(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.deconv = nn.ConvTranspose2d(widths[-1], num_keypoints, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, K, 2 h, 2 w) of logits, and the features (N, C, h, w) that they come from.

        The maps are those before the last enlargement, which loss and decoding do on their own.
        """
        for conv in self.convs:
            x = conv(x)
        return self.deconv(x), x

    def loss_by_feat(
        self, maps: Tensor, keypoints: Tensor, labelled: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        """Return ``loss_keypoint``: the mean over all labelled points of all ranks in their RoIs.

        Args:
            maps: (N, K, 2 h, 2 w) logits.
            keypoints: (N, K, 2), pixels.
            labelled: (N, K), whether a person said where the point is.
            boxes: (N, 4), RoIs, xyxy.
        """
        size = (maps.shape[2] * self.scale, maps.shape[3] * self.scale)
        cell, valid = encode_keypoints(
            at_least_float32(keypoints), labelled, at_least_float32(boxes), size
        )
        loss = cell_cross_entropy(maps, cell, valid, scale=self.scale)  # (N, K)
        return dict(loss_keypoint=self.factor * mean_over(loss, valid))

    def predict_by_feat(self, maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, K, 2) in the pixels of the RoIs (N, 4), and peaks (N, K) in [0, 1]."""
        return decode_keypoints(maps, boxes, scale=self.scale)


@MODELS.register_module()
class VisibilityHead(BaseModule):
    """Whether each keypoint of a RoI is visible, or hidden: one layer on the mean of the features.

    Args:
        num_keypoints: points of an object.
        in_channels: channels of the keypoint head's features; in an ``MTNRoIHead`` its own.
        loss_weight: factor of the loss.
        init_cfg: as in mmengine's modules.
    """

    def __init__(
        self,
        num_keypoints: int,
        *,
        in_channels: int = 512,
        loss_weight: int | float = 0.25,
        init_cfg: dict | list[dict] | None = dict(type="Normal", layer="Linear", std=0.01),  # noqa: B006
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_keypoints, self.factor = num_keypoints, loss_weight
        self.fc = nn.Linear(in_channels, num_keypoints)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, K) of being visible, from features (N, C, h, w)."""
        return self.fc(features.mean((2, 3)))

    def loss_by_feat(self, logits: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Return ``loss_visibility``: the mean over all labelled points of all ranks.

        Args:
            logits: (N, K).
            visible: (N, K), COCO's 0 not labelled, 1 hidden, 2 visible.
        """
        logits, labelled = at_least_float32(logits), visible > 0
        loss = F.binary_cross_entropy_with_logits(
            logits, (visible == 2).to(logits.dtype), reduction="none"
        )
        return dict(loss_visibility=self.factor * mean_over(loss, labelled))


def mean_over(loss: Tensor, counted: Tensor) -> Tensor:
    """Mean of what counts over all ranks together; 0 with a graph where there is nothing.

    Args:
        loss: any shape.
        counted: of the same shape, whether a value counts.
    """
    count = all_reduce_mean(counted.sum().to(loss.dtype))
    # Not a least count of 1, since each rank divides by the mean of the ranks' counts.
    return reduce_loss(
        loss.flatten(), counted.flatten().to(loss.dtype), avg_factor=count + (count == 0)
    )
