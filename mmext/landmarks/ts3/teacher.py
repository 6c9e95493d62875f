"""The teacher, a patch network that sees a picture with landmarks drawn, and what it is shown."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.registry import MODELS

LEAST_SIDE = 24
"""Of what it is shown: three halvings and two 4x4 layers leave one value of it."""


@MODELS.register_module()
class PatchTeacher(BaseModule):
    """A PatchGAN-shaped CNN: one value a patch, without a sigmoid; their mean is the quality.

    Args:
        in_channels: of the picture and the maps together: 3 + K.
        n_layers: layers of stride 2.
        width: channels of the first one; 64 is the authors'.
        init_cfg: mmengine's.
    """

    def __init__(
        self, in_channels: int, n_layers: int = 3, width: int = 64, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        channels = width
        for number in range(1, n_layers + 1):
            wider = width * min(2**number, 8)
            stride = 2 if number < n_layers else 1
            layers += [
                nn.Conv2d(channels, wider, 4, stride, 1),
                nn.InstanceNorm2d(wider),
                nn.LeakyReLU(0.2),
            ]
            channels = wider
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))

    def forward(self, shown: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 h w"]:
        """The patches' values."""
        if min(shown.shape[-2:]) < LEAST_SIDE:
            height, width = shown.shape[-2:]
            raise ValueError(
                f"PatchTeacher expected sides of {LEAST_SIDE} pixels or more, got {height} x "
                f"{width}; raise teacher_size"
            )
        return self.layers(shown)


def drawn(
    points: Float[Tensor, "B K 2"],
    *,
    input_size: tuple[int, int],
    size: tuple[int, int],
    sigma: float,
    like: Tensor,
) -> Float[Tensor, "B K h w"]:
    """Gaussians of height 1 at points, the same whoever has put the points.

    Args:
        points: in pixels of the input; a centre of a pixel is a whole number.
        input_size: height and width of the input.
        size: height and width of the maps.
        sigma: in pixels of the maps.
        like: a tensor of the wanted type.
    """

    def along(axis: int) -> Tensor:
        scale = size[axis] / input_size[axis]
        at = (points[..., 1 - axis] + 0.5) * scale - 0.5  # x runs along the width, axis 1
        cells = torch.arange(size[axis], device=points.device, dtype=points.dtype)
        return torch.exp(-(cells - at[..., None]).square() / (2 * sigma**2))

    # exp(-(dx^2 + dy^2) / 2 sigma^2) is a product: no map of distances is made
    return (along(0)[..., :, None] * along(1)[..., None, :]).to(like.dtype)


def shown(
    images: Float[Tensor, "B 3 H W"],
    points: Float[Tensor, "B K 2"],
    *,
    size: int,
    sigma: float,
) -> Float[Tensor, "B C h w"]:
    """What the teacher sees: the picture and its landmarks, at the teacher's size.

    Args:
        images: normalised.
        points: in pixels of the images.
        size: longer side of what is shown.
        sigma: of the Gaussians, in longer sides.
    """
    H, W = images.shape[-2:]
    scale = size / max(H, W)
    height, width = round(H * scale), round(W * scale)
    if (height, width) != (H, W):
        images = F.interpolate(
            images, (height, width), mode="bilinear", align_corners=False, antialias=scale < 1
        )
    maps = drawn(points, input_size=(H, W), size=(height, width), sigma=sigma * size, like=images)
    return torch.cat([images, maps], 1)
