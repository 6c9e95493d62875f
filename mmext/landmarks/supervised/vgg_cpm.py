"""VGG-16 up to its fourth block, and stages that refine one map a point: a pose machine."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.registry import MODELS

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))
"""Channels of VGG-16's convolutions; a pooling stands between two blocks."""


def conv_relu(fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
    """A convolution that keeps the size, and ReLU."""
    return [nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]


def vgg_trunk(wide: Callable[[int], int]) -> nn.Sequential:
    """VGG-16 up to its tenth convolution, numbered as ``torchvision.models.vgg16().features``."""
    layers: list[nn.Module] = []
    fan_in = 3
    for block in BLOCKS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for channels in map(wide, block):
            layers += conv_relu(fan_in, channels, 3)
            fan_in = channels
    return nn.Sequential(*layers)


class Stage(nn.Sequential):
    """Convolutions with ReLU of these kernels, then one to the maps, which has none.

    Args:
        channels: of each convolution's input, and of the last one's output.
        kernels: of each convolution.
    """

    def __init__(self, channels: Sequence[int], kernels: Sequence[int]) -> None:
        pairs = list(zip(itertools.pairwise(channels), kernels, strict=True))
        layers = [
            layer for (fan_in, out), kernel in pairs for layer in conv_relu(fan_in, out, kernel)
        ]
        super().__init__(*layers[:-1])


@MODELS.register_module()
class VGGCPM(BaseModule):
    """Maps of stride 8, one list entry a stage.

    Args:
        num_keypoints: K.
        width_mult: factor of all channels but K.
        num_stages: maps a point; each stage after the first sees features and the maps before.
        init_cfg: mmengine's; all weights are drawn with a deviation of 0.01 first, so a
            ``Pretrained`` start, such as torchvision's VGG-16, need not hold the stages.
    """

    stride = 8

    def __init__(
        self,
        num_keypoints: int,
        width_mult: int | float = 1.0,
        num_stages: int = 3,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        given = [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg or ())
        drawn = dict(type="Normal", layer="Conv2d", std=0.01, bias=0)
        super().__init__([drawn, *(dict(one) for one in given)])
        self.num_keypoints = num_keypoints

        def wide(channels: int) -> int:
            return max(round(channels * width_mult), 1)

        width = wide(128)
        self.features = vgg_trunk(wide)
        self.reduce = nn.Sequential(
            *conv_relu(wide(512), wide(256), 3), *conv_relu(wide(256), width, 3)
        )
        first = Stage([*[width] * 5, wide(512), num_keypoints], (3, 3, 3, 3, 1, 1))
        later = [
            Stage([width + num_keypoints, *[width] * 8, num_keypoints], (7, 7, 7, 3, 3, 3, 3, 1, 1))
            for _ in range(num_stages - 1)
        ]
        self.stages = nn.ModuleList([first, *later])

    def trunk_modules(self) -> tuple[nn.Module, ...]:
        """What comes before the stages and has lower rates: see :mod:`mmext.landmarks.groups`."""
        return self.features, self.reduce

    def forward(self, x: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B K h w"]]:
        """The maps of each stage."""
        features = self.reduce(self.features(x))
        maps = [self.stages[0](features)]
        for stage in itertools.islice(self.stages, 1, None):
            maps.append(stage(torch.cat([features, maps[-1]], 1)))
        return maps
