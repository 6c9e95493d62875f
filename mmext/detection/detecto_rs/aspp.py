"""Atrous spatial pyramid pooling: how a level of the pyramid becomes feedback."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from mmengine.model import kaiming_init
from torch import Tensor, nn


class ASPP(nn.Module):
    """Four views of a map side by side: its pixels, near and wide surroundings, and its mean.

    Args:
        in_channels: channels of the map.
        out_channels: channels of each view.
        dilations: one view each; 1 is a 1x1 convolution, the last one (1) sees the map's mean.

    Raises:
        ValueError: the last dilation is not 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilations: Sequence[int] = (1, 3, 6, 1)
    ) -> None:
        super().__init__()
        if not dilations or dilations[-1] != 1:
            raise ValueError(
                "aspp_dilations must end with 1, the view of the map's mean, got "
                f"{tuple(dilations)}; the paper uses (1, 3, 6, 1)"
            )
        self.aspp = nn.ModuleList(  # the name is that of the authors' checkpoints
            nn.Conv2d(in_channels, out_channels, 3, padding=d, dilation=d)
            if d > 1
            else nn.Conv2d(in_channels, out_channels, 1)
            for d in dilations
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Normal weights of sd ``sqrt(2 / (k * k * out_channels))``, as in the authors' code."""
        for conv in self.aspp:
            kaiming_init(conv, mode="fan_out", nonlinearity="relu", distribution="normal")

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Feedback for the backbone's stage of the same size."""
        *views, mean = self.aspp
        pooled = F.relu(mean(F.adaptive_avg_pool2d(x, 1))).expand(-1, -1, *x.shape[-2:])
        return torch.cat([*(F.relu(view(x), inplace=True) for view in views), pooled], 1)
