"""ResNet with STM's branches in its residual blocks."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmaction.models.backbones import ResNet
from mmaction.models.backbones.resnet import make_res_layer
from mmcv.cnn import ConvModule
from mmengine.logging import print_log
from torch import Tensor, nn

from mmext.action.stm.blocks import FUSES, Bottleneck
from mmext.action.stm.motion import ChannelMotion
from mmext.action.stm.shift import ChannelTemporalConv
from mmext.layers.trained_start import initialise, thaw_random
from mmext.registry import MODELS

Where = Sequence[int | bool | Sequence[int | bool]]

TSMS_OWN = ("is_shift", "shift_div", "shift_place", "temporal_pool", "non_local", "non_local_cfg")
"""What a recipe of TSM's may say of its backbone, and this one has no use for."""


@MODELS.register_module()
class ResNetSTM(ResNet):
    """ResNet whose bottlenecks see motion and the order of frames, for ``mmaction.TSMHead``.

    Takes and gives frames as ``mmaction.ResNetTSM`` does, clip after clip: (B T, C, H, W). Files of
    torchvision's ResNets, and of mmaction2's TSN and TSM, load; what they lack starts as a shift
    (CSTM) and at random (CMM). Weights do not depend on T, so :func:`set_num_segments` may change
    it after training.

    Args:
        depth: 50, 101 or 152 as in the host; 14 (one block a stage) and 26 (two) are small nets.
        num_segments: T, frames of a clip.
        stm_stages: which stages have the branches, or one entry a block instead of a stage's.
        use_cstm: whether they mix over time.
        use_cmm: whether they look at motion. Without both it is the host's ResNet.
        cmm_reduction: channels divided by those inside the motion branch.
        fuse: ``post_act`` adds motion after the 3x3 convolution's norm and ReLU, ``pre_act`` before
            them.
        cmm_downsample: ``pool`` or ``strided``, how motion gets the size of a block with a stride.
        cmm_init: ``random``, ``delta`` (a clip that stands still has no motion) or ``zero_out``
            (none has).
        cmm_norm: whether the motion branch has a norm.
        temporal_init: ``shift`` or ``identity``.
        base_channels: channels of the first stage; ImageNet's nets have 64.
        host_cfg: every other argument of ``mmaction.ResNet``. Those of ``mmaction.ResNetTSM`` are
            taken too, so that its recipes need one word changed: ``pretrained2d=False`` as
            ``torchvision_pretrain=False``; what is said of TSM's shift, pooling and non-local
            blocks is ignored, and a line in the log names it.

    Raises:
        ValueError: a depth without bottlenecks, an option that does not exist, or frames that make
            no clips.
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        14: (Bottleneck, (1, 1, 1, 1)),
        26: (Bottleneck, (2, 2, 2, 2)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        *,
        num_segments: int = 8,
        stm_stages: Where = (1, 1, 1, 1),
        use_cstm: bool = True,
        use_cmm: bool = True,
        cmm_reduction: int = 16,
        fuse: str = "post_act",
        cmm_downsample: str = "pool",
        cmm_init: str = "random",
        cmm_norm: bool = True,
        temporal_init: str = "shift",
        base_channels: int = 64,
        **host_cfg: Any,
    ) -> None:
        if depth not in self.arch_settings:
            known = tuple(self.arch_settings)
            raise ValueError(
                f"depth of ResNetSTM must be one of {known}, got {depth}: STM needs bottlenecks"
            )
        if fuse not in FUSES:
            raise ValueError(f"fuse must be one of {FUSES}, got {fuse!r}")
        super().__init__(depth, **without_tsms(host_cfg))
        # The host has made plain stages by now; width and branches are changed in what it made, so
        # that its options (dilations, style, frozen stages, partial BN) keep their meaning.
        if base_channels != 64:
            set_width(self, base_channels)
        self._num_segments = num_segments
        norm = self.norm_cfg if cmm_norm else None
        motion = dict(
            reduction=cmm_reduction, downsample=cmm_downsample, init=cmm_init, norm_cfg=norm
        )
        cstm, cmm = dict(start=temporal_init) if use_cstm else None, motion if use_cmm else None
        for block in self._chosen(stm_stages):
            block.use_motion(num_segments, cstm=cstm, cmm=cmm, fuse=fuse)
        # Before loading, whoever loads: files of TSM's then fit without a converter.
        self._register_load_state_dict_pre_hook(_unwrap_shift, with_module=True)

    def _chosen(self, stm_stages: Where) -> Iterator[Bottleneck]:
        """Blocks that get the branches."""
        if len(stm_stages) < self.num_stages:
            raise ValueError(
                f"stm_stages must have one entry for each of the {self.num_stages} stages, got "
                f"{stm_stages}"
            )
        # Not strict: the default has four entries, and a net may have fewer stages.
        for name, chosen in zip(self.res_layers, stm_stages, strict=False):
            layer = getattr(self, name)
            each = [chosen] * len(layer) if isinstance(chosen, int) else chosen
            if len(each) != len(layer):
                raise ValueError(
                    f"stm_stages must have one entry for each of {name}'s {len(layer)} blocks, got "
                    f"{each}"
                )
            yield from (block for block, has in zip(layer, each, strict=True) if has)

    @property
    def num_segments(self) -> int:
        """T, frames of a clip."""
        return self._num_segments

    @num_segments.setter
    def num_segments(self, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"num_segments must be at least 1, got {frames}")
        self._num_segments = frames
        for branch in self._branches():
            branch.num_segments = frames

    def _branches(self) -> Iterator[ChannelTemporalConv | ChannelMotion]:
        return (m for m in self.modules() if isinstance(m, ChannelTemporalConv | ChannelMotion))

    def get(self, key: str, default: Any = None) -> Any:
        """Attribute as if this were its config: the host asks so when it tests in several goes."""
        return getattr(self, key, default)

    def init_weights(self) -> None:
        """Draw weights or load a file as the host does; what it lacks starts as said above."""
        initialise(self, super().init_weights)

    def _freeze_stages(self) -> None:
        """Freeze stages as the host does, without the branches that no file has held yet."""
        super()._freeze_stages()
        thaw_random(self)

    def train(self, mode: bool = True) -> "ResNetSTM":
        """Switch the mode as the host does, and return self, which the host forgets."""
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map of the last stage, or maps of those in ``out_indices``, of each frame."""
        frames = x.shape[0]
        if frames % self.num_segments:
            raise ValueError(
                f"frames of a batch must be clips of num_segments={self.num_segments}, got "
                f"{frames} frames; give backbone, head and the pipeline's sampling the same number "
                "of frames"
            )
        return super().forward(x)


def without_tsms(cfg: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``mmaction.ResNet`` from ``mmaction.ResNetTSM``'s; says which are ignored."""
    cfg = dict(cfg)
    ignored = {name: cfg.pop(name) for name in TSMS_OWN if name in cfg}
    if ignored:
        said = ", ".join(f"{name}={value!r}" for name, value in ignored.items())
        print_log(
            f"ResNetSTM ignores {said}: these are TSM's, and CSTM is its own way to mix frames",
            logger="current",
            level=logging.WARNING,
        )
    if not cfg.pop("pretrained2d", True):
        cfg["torchvision_pretrain"] = False
    return cfg


def set_num_segments(recognizer: Any, frames: int) -> None:
    """Let a trained recogniser take clips of another length: backbone and head together."""
    recognizer.backbone.num_segments = frames
    recognizer.cls_head.num_segments = frames


def set_width(backbone: ResNet, base_channels: int) -> None:
    """Build stem and stages of an ``mmaction.ResNet`` anew; the host has 64 channels hard-coded."""
    cfg = dict(conv_cfg=backbone.conv_cfg, norm_cfg=backbone.norm_cfg, act_cfg=backbone.act_cfg)
    backbone.conv1 = ConvModule(
        backbone.in_channels, base_channels, kernel_size=7, stride=2, padding=3, bias=False, **cfg
    )
    backbone.inplanes = base_channels
    for stage, name in enumerate(backbone.res_layers):
        planes = base_channels * 2**stage
        layer = make_res_layer(
            backbone.block,
            backbone.inplanes,
            planes,
            backbone.stage_blocks[stage],
            stride=backbone.strides[stage],
            dilation=backbone.dilations[stage],
            style=backbone.style,
            with_cp=backbone.with_cp,
            **cfg,
        )
        setattr(backbone, name, layer)
        backbone.inplanes = planes * backbone.block.expansion
    backbone.feat_dim = backbone.inplanes  # the host's note of the last stage's channels


def _unwrap_shift(backbone: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """TSM's files have the shift as the first convolution's wrapper: ``conv1.conv.net.weight``."""
    own = {f"{prefix}{name}" for name, _ in backbone.named_parameters()}
    wrapped = re.compile(re.escape(prefix) + r"layer\d+\.\d+\.conv1\.conv\.net\.")
    for key in [key for key in state_dict if wrapped.match(key) and key not in own]:
        state_dict[key.replace(".net.", ".")] = state_dict.pop(key)
