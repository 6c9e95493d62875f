"""Inverted residual blocks of FBNetV3."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule, constant_init, kaiming_init
from torch import Tensor, nn

from mmext.classification.fbnetv3.arch import Block
from mmext.layers.recompute import recomputed

H_SWISH = dict(type="HSwish")


class SqueezeExcite(BaseModule):
    """Scales channels by what the whole map says: pooled, squeezed, h-swish, and a hard sigmoid.

    Args:
        channels: M, of the map.
        squeezed_channels: Q, in between.
    """

    def __init__(self, channels: int, squeezed_channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeezed_channels, 1)
        self.act = nn.Hardswish()
        self.excite = nn.Conv2d(squeezed_channels, channels, 1)
        self.gate = nn.Hardsigmoid()  # relu6(x + 3) / 6
        self.init_weights()

    def init_weights(self) -> None:
        """Start the first convolution as all others; the second one keeps PyTorch's start."""
        kaiming_init(self.squeeze)

    def forward(self, x: Float[Tensor, "B M H W"]) -> Float[Tensor, "B M H W"]:
        """The map with its channels scaled."""
        return x * self.gate(self.excite(self.act(self.squeeze(self.pool(x)))))


class InvertedResidual(BaseModule):
    """Widen, filter each channel alone, scale channels, narrow; added to the input where it fits.

    In a residual block the last norm starts at 0, so that the block starts as the identity.

    Args:
        block: its sizes.
        padding: ``same`` or ``official``.
        drop_path_rate: share of the images of a batch that skip a residual block in training.
        with_cp: forget activations and compute them again for backward.
        norm_cfg: mmcv's setting of the norms.
    """

    def __init__(
        self,
        block: Block,
        *,
        padding: str = "same",
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.is_residual = block.is_residual
        self.with_cp = with_cp
        M = block.inner_channels
        cfg = dict(norm_cfg=dict(norm_cfg), act_cfg=H_SWISH, inplace=False)
        # Where nothing would be widened the released networks have no first convolution.
        self.expand = ConvModule(block.in_channels, M, 1, **cfg) if block.in_channels != M else None
        self.depthwise = ConvModule(
            M,
            M,
            block.kernel,
            stride=block.stride,
            padding=block.padding(padding),
            groups=M,
            **cfg,
        )
        self.se = SqueezeExcite(M, block.squeezed_channels) if block.has_se else None
        self.project = ConvModule(M, block.out_channels, 1, **cfg | dict(act_cfg=None))
        self.drop_path = DropPath(drop_path_rate) if self.is_residual else None
        self._start_as_identity()

    def init_weights(self) -> None:
        """Draw the convolutions' weights, and let a residual block start as the identity."""
        super().init_weights()
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        if self.is_residual:
            constant_init(self.project.norm, 0)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """The block's map, of half the size where its stride is 2."""
        if self.with_cp and x.requires_grad:
            return recomputed(self._all_kept, x, modules=(self,))
        return self._all_kept(x)

    def _all_kept(self, x: Tensor) -> Tensor:
        out = x if self.expand is None else self.expand(x)
        out = self.depthwise(out)
        if self.se is not None:
            out = self.se(out)
        out = self.project(out)
        return out if self.drop_path is None else x + self.drop_path(out)
