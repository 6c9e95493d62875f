"""Hourglasses behind one another: each goes down four levels and up again, and draws maps."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.registry import MODELS


def norm_relu_conv(fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
    """A norm, ReLU and a convolution that keeps the size."""
    conv = nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2)
    return [nn.BatchNorm2d(fan_in), nn.ReLU(inplace=True), conv]


class Bottleneck(nn.Module):
    """Three convolutions, norms first, beside a short cut that changes channels where it must."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        half = max(fan_out // 2, 1)
        self.residual = nn.Sequential(
            *norm_relu_conv(fan_in, half, 1),
            *norm_relu_conv(half, half, 3),
            *norm_relu_conv(half, fan_out, 1),
        )
        same = fan_in == fan_out
        self.shortcut: nn.Module = (
            nn.Identity() if same else nn.Sequential(*norm_relu_conv(fan_in, fan_out, 1))
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D h w"]:
        """The sum of both."""
        # The first ReLU works in place on what its norm made, never on x.
        return self.residual(x) + self.shortcut(x)


class Hourglass(nn.Module):
    """Bottlenecks at this size, and beside them the same at half the size, ``depth`` times."""

    def __init__(self, channels: int, depth: int, blocks: int) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(*(Bottleneck(channels, channels) for _ in range(blocks)))

        self.skip, self.down, self.up = branch(), branch(), branch()
        self.inner: nn.Module = Hourglass(channels, depth - 1, blocks) if depth > 1 else branch()

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """As large as it came, having seen all of the picture."""
        small = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(small, scale_factor=2.0, mode="nearest")


class Stack(nn.Module):
    """One hourglass, its features and its maps; both come back into the next one's input."""

    def __init__(self, channels: int, num_keypoints: int, depth: int, blocks: int) -> None:
        super().__init__()
        self.hourglass = Hourglass(channels, depth, blocks)
        self.features = nn.Sequential(
            *(Bottleneck(channels, channels) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.maps = nn.Conv2d(channels, num_keypoints, 1)

    def forward(
        self, x: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B K h w"]]:
        """Features and maps."""
        features = self.features(self.hourglass(x))
        return features, self.maps(features)


@MODELS.register_module()
class StackedHourglass(BaseModule):
    """Maps of stride 4, one list entry a stack.

    Args:
        num_keypoints: K.
        width_mult: factor of all channels but K.
        num_stacks: hourglasses behind one another.
        blocks: bottlenecks of each branch.
        init_cfg: mmengine's; None starts as torch's layers do.
    """

    stride = 4
    DEPTH = 4

    def __init__(
        self,
        num_keypoints: int,
        width_mult: int | float = 1.0,
        num_stacks: int = 4,
        blocks: int = 2,
        init_cfg: Any | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_keypoints = num_keypoints
        narrow, middle, wide = (max(round(width_mult * one), 2) for one in (64, 128, 256))
        self.stem = nn.Sequential(
            nn.Conv2d(3, narrow, 7, stride=2, padding=3),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            Bottleneck(narrow, middle),
            nn.MaxPool2d(2),
            Bottleneck(middle, middle),
            Bottleneck(middle, wide),
        )
        self.stacks = nn.ModuleList(
            Stack(wide, num_keypoints, self.DEPTH, blocks) for _ in range(num_stacks)
        )
        again = range(num_stacks - 1)
        self.from_features = nn.ModuleList(nn.Conv2d(wide, wide, 1) for _ in again)
        self.from_maps = nn.ModuleList(nn.Conv2d(num_keypoints, wide, 1) for _ in again)

    def _refuse(self, x: Tensor) -> None:
        unit = self.stride * 2**self.DEPTH
        height, width = x.shape[2:]
        if height % unit or width % unit:
            raise ValueError(
                f"StackedHourglass: expected height and width divisible by {unit}, got {height} x "
                f"{width}; set size of FaceCrop to a multiple of it"
            )
        if self.training and len(x) * (height // unit) * (width // unit) == 1:
            raise ValueError(
                f"StackedHourglass: expected two pictures a batch or more to train at {unit} "
                "pixels, got one, whose deepest map is a single value without a variance; take a "
                "larger batch_size, drop_last=True, or larger pictures"
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B K h w"]]:
        """The maps of each stack.

        Raises:
            ValueError: a size that cannot be halved as often as needed, or one picture of 64 pixels
                in training, where norms have nothing to average.
        """
        self._refuse(x)
        x = self.stem(x)
        found = []
        for number, stack in enumerate(self.stacks):
            features, maps = stack(x)
            found.append(maps)
            if number < len(self.from_maps):
                x = x + self.from_features[number](features) + self.from_maps[number](maps)
        return found
