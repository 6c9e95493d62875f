"""The bottleneck whose middle convolution gets the two branches of STM."""

from typing import Any

from mmaction.models.backbones import resnet
from torch import Tensor, nn

from mmext.action.stm.motion import ChannelMotion
from mmext.action.stm.shift import ChannelTemporalConv
from mmext.layers.recompute import recomputed
from mmext.layers.trained_start import note_loads

FUSES = ("post_act", "pre_act")


class Bottleneck(resnet.Bottleneck):
    """The host's bottleneck until :meth:`use_motion` adds a branch.

    Keys are the host's plus cstm and cmm.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cstm: nn.Module | None = None
        self.cmm: nn.Module | None = None
        self.fuse = "post_act"

    def use_motion(
        self,
        num_segments: int,
        *,
        cstm: dict[str, Any] | None,
        cmm: dict[str, Any] | None,
        fuse: str,
    ) -> None:
        """Add branches.

        Args:
            num_segments: T, frames of a clip.
            cstm: arguments of :class:`ChannelTemporalConv`; None for no such branch.
            cmm: arguments of :class:`ChannelMotion`; None for no such branch.
            fuse: where motion is added, after the 3x3 convolution's norm and ReLU or before them.
        """
        if cstm is not None:
            self.cstm = note_loads(ChannelTemporalConv(self.planes, num_segments, **cstm))
        if cmm is not None:
            motion = ChannelMotion(self.planes, num_segments, stride=self.conv2_stride, **cmm)
            self.cmm = note_loads(motion)
        self.fuse = fuse

    def forward(self, x: Tensor) -> Tensor:
        """The block on the frames of all clips, (B T, C, H, W)."""
        if self.with_cp and x.requires_grad:
            return self.relu(recomputed(self.before_relu, x, modules=(self,)))
        return self.relu(self.before_relu(x))

    def before_relu(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut."""
        out = self.conv3(self.spatiotemporal(self.conv1(x)))
        return out + (x if self.downsample is None else self.downsample(x))

    def spatiotemporal(self, x: Tensor) -> Tensor:
        """CSTM and the 3x3 convolution, plus CMM."""
        ordered = x if self.cstm is None else self.cstm(x)
        if self.cmm is None:
            return self.conv2(ordered)
        if self.fuse == "post_act":
            return self.conv2(ordered) + self.cmm(x)
        return self.conv2.activate(self.conv2.norm(self.conv2.conv(ordered) + self.cmm(x)))
