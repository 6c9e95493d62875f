"""Residual blocks that add feedback before their last ReLU and may use switchable convolutions."""

from typing import Any

import torch
from mmcv.cnn import build_conv_layer
from mmdet.models.backbones import resnet, resnext
from torch import Tensor, nn

from mmext.detection.residual import basic_sum, bottleneck_sum
from mmext.layers.recompute import recomputed


class TakesFeedback(nn.Module):
    """``relu(residual + identity + rfp_conv(feedback))``; without feedback it is the host's block.

    The host's forward runs through to the ReLU, so the two kinds of block say in
    :meth:`before_relu` what comes before it.
    """

    SAC_CONVS: tuple[str, ...]
    LAST_NORM: str

    rfp_conv: nn.Conv2d  # in the first block of a stage with feedback
    relu: nn.Module
    with_cp: bool

    def use_sac(self, sac: dict[str, Any]) -> None:
        """Make the 3x3 convolutions switchable."""
        for name in self.SAC_CONVS:
            conv = getattr(self, name)
            shape = dict(
                stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups
            )
            switchable = build_conv_layer(
                sac, conv.in_channels, conv.out_channels, conv.kernel_size, bias=False, **shape
            )
            setattr(self, name, switchable)

    def take_feedback(self, channels: int) -> None:
        """Add the convolution for feedback of so many channels, which changes nothing yet."""
        width = getattr(self, self.LAST_NORM).num_features
        self.rfp_conv = nn.Conv2d(channels, width, 1)
        self.forget_feedback()

    @torch.no_grad()
    def forget_feedback(self) -> None:
        """Back to the start: feedback changes nothing."""
        for parameter in getattr(self, "rfp_conv", nn.Identity()).parameters():
            parameter.zero_()

    def before_relu(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor, feedback: Tensor | None = None) -> Tensor:
        """The block on ``x``, with the pyramid's feedback if there is any."""
        if self.with_cp and x.requires_grad:
            out = recomputed(self.before_relu, x, modules=(self,))
        else:
            out = self.before_relu(x)
        if feedback is not None:
            out = out + self.rfp_conv(feedback)
        return self.relu(out)


class BasicBlock(TakesFeedback, resnet.BasicBlock):
    """Two 3x3 convolutions, both switchable (depths 18 and 34)."""

    SAC_CONVS = ("conv1", "conv2")
    LAST_NORM = "norm2"
    before_relu = basic_sum


class Bottleneck(TakesFeedback, resnet.Bottleneck):
    """1x1, 3x3 and 1x1 convolutions, the 3x3 one switchable (depths 50 and more)."""

    SAC_CONVS = ("conv2",)
    LAST_NORM = "norm3"
    before_relu = bottleneck_sum


class ResNeXtBottleneck(TakesFeedback, resnext.Bottleneck):
    """A bottleneck whose 3x3 convolution works in groups."""

    SAC_CONVS = Bottleneck.SAC_CONVS
    LAST_NORM = Bottleneck.LAST_NORM
    before_relu = Bottleneck.before_relu
