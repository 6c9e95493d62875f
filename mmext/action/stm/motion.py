"""Channel-wise motion (CMM): what is new in the next frame, from features of few channels."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

INITS = ("random", "delta", "zero_out")
DOWNSAMPLES = ("pool", "strided")


def change(
    now: Float[Tensor, "B T C H W"], seen: Float[Tensor, "B S C H W"]
) -> Float[Tensor, "B T C H W"]:
    """``seen_{t+1} - now_t``, and 0 for the last frame, which no other follows.

    Args:
        now: the features of each frame.
        seen: those of all frames but the first, after the convolution K.
    """
    return torch.cat([seen - now[:, :-1], torch.zeros_like(now[:, :1])], 1)


class ChannelMotion(nn.Module):
    """Reduce channels, take each frame from the next after a channel-wise 3x3 convolution, expand.

    Nothing in it has a bias or an activation, so the last frame's motion is exactly 0. A clip that
    stands still has no motion only while K is a delta: a random K blurs.

    Args:
        channels: C.
        num_segments: T, frames of a clip. It may be changed at any time.
        reduction: C divided by the channels inside, of which there is at least one.
        stride: of the block's 3x3 convolution, whose size the result has.
        downsample: ``pool`` takes the largest value at full size, ``strided`` moves K in steps.
        init: ``random`` as in the paper; ``delta`` makes K look at the one place; ``zero_out``
            starts with no motion at all, so that the block starts as if this branch were not there.
        norm_cfg: the norm after the reduction; None for none.

    Raises:
        ValueError: an unknown ``downsample`` or ``init``.
    """

    def __init__(
        self,
        channels: int,
        num_segments: int,
        *,
        reduction: int = 16,
        stride: int = 1,
        downsample: str = "pool",
        init: str = "random",
        norm_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (("init", init, INITS), ("downsample", downsample, DOWNSAMPLES)):
            if value not in known:
                raise ValueError(f"cmm_{name} must be one of {known}, got {value!r}")
        inside = max(1, channels // reduction)
        self.num_segments, self.init = num_segments, init
        self.stride = stride if downsample == "strided" else 1
        self.reduce = nn.Conv2d(channels, inside, 1, bias=False)
        self.bn = nn.Identity() if norm_cfg is None else build_norm_layer(dict(norm_cfg), inside)[1]
        self.dw = nn.Conv2d(
            inside, inside, 3, stride=self.stride, padding=1, groups=inside, bias=False
        )
        self.expand = nn.Conv2d(inside, channels, 1, bias=False)
        # DEVIATION: the draft drops an odd border here, where the 3x3 convolution keeps it.
        pools = downsample == "pool" and stride > 1
        self.pool = nn.MaxPool2d(stride, stride, ceil_mode=True) if pools else nn.Identity()
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start anew; the norm stays as it is."""
        for conv in (self.reduce, self.dw, self.expand):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        if self.init == "delta":
            nn.init.zeros_(self.dw.weight)
            self.dw.weight[:, :, 1, 1] = 1
        if self.init == "zero_out":
            nn.init.zeros_(self.expand.weight)

    def forward(self, x: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT C H2 W2"]:
        """Motion of each frame to the next one of its clip."""
        features = self.bn(self.reduce(x))
        clips = features.reshape(-1, self.num_segments, *features.shape[1:])
        ahead = self.num_segments - 1
        # With one frame a clip this is an empty batch, which keeps every parameter in the graph.
        seen = self.dw(clips[:, 1:].flatten(0, 1))
        # The number of clips is inferred, since in an export it may be another one; that of an
        # empty batch cannot be.
        seen = seen.reshape(-1 if ahead else clips.shape[0], ahead, *seen.shape[1:])
        motion = change(clips[..., :: self.stride, :: self.stride], seen)
        return self.pool(self.expand(motion.flatten(0, 1)))
