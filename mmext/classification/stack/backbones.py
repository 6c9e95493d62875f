"""Two nets for small pictures that train on a CPU in minutes: what a study of a loss needs."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.registry import MODELS


@MODELS.register_module()
class MLPBackbone(BaseModule):
    """Linear layers with ReLU on the pixels of a picture.

    Args:
        in_shape: channels, height and width of the pictures; others are averaged to this size.
        widths: outputs of each layer.
        init_cfg: mmengine's; None starts as torch's layers do.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        widths: Sequence[int] = (128, 64),
        init_cfg: Any | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_shape = tuple(in_shape)
        sizes = [math.prod(in_shape), *widths]
        layers = [
            layer
            for fan_in, fan_out in itertools.pairwise(sizes)
            for layer in (nn.Linear(fan_in, fan_out), nn.ReLU(inplace=True))
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D"]]:
        """The last layer's outputs."""
        _, height, width = self.in_shape
        if x.shape[2:] != (height, width):
            x = F.adaptive_avg_pool2d(x, (height, width))
        return (self.layers(x.flatten(1)),)


@MODELS.register_module()
class SmallConvNet(BaseModule):
    """3 x 3 convolutions with a norm and ReLU; each after the first halves the map.

    Args:
        in_channels: of the pictures.
        channels: outputs of each convolution.
        norm_cfg: mmcv's setting of the norms; groups are a picture's own, no statistics of a batch.
        init_cfg: mmengine's; None starts as torch's layers do.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128),
        norm_cfg: Mapping[str, Any] = dict(type="GN", num_groups=8),
        init_cfg: Any | None = None,
    ) -> None:
        super().__init__(init_cfg)
        sizes = [in_channels, *channels]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(fan_in, fan_out, 3, 2 if index else 1, 1, bias=False),
                    build_norm_layer(dict(norm_cfg), fan_out)[1],
                    nn.ReLU(inplace=True),
                )
                for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes))
            )
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D h w"]]:
        """The last map."""
        return (self.layers(x),)
