"""ResNet and ResNeXt that take feedback from the pyramid and may use switchable convolutions."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mmdet.models.backbones import ResNet
from mmdet.models.layers import ResLayer
from torch import Tensor, nn

from mmext.detection.detecto_rs.blocks import BasicBlock, Bottleneck, ResNeXtBottleneck
from mmext.detection.detecto_rs.initialisation import additions, initialise, is_sac, parse
from mmext.detection.detecto_rs.recursive import Levels
from mmext.registry import MODELS


@MODELS.register_module()
class DetectoRS_ResNet(ResNet):  # noqa: N801  the host's name
    """ResNet that can add feedback in a stage's first block, and make 3x3 convolutions switchable.

    Its keys are those of ``mmdet.DetectoRS_ResNet``, so the model zoo's files load. Whatever the
    paper adds to a ResNet starts as an identity, with a pretrained file and without.

    DEVIATION: with ``avg_down`` the shortcuts are laid out as in mmdet's ResNetV1d, whose weights
    then load.
    DEVIATION: ``frozen_stages`` leaves what the paper adds free as long as no file of ``init_cfg``
    brought it; frozen at its identity it could never do anything.

    Args:
        depth: 18, 34, 50, 101 or 152.
        sac: config of the switchable convolution, for example
            ``dict(type="mmext.SAC", use_deform=True)``.
        stage_with_sac: which stages use it. The paper's are the last three.
        rfp_inplanes: channels of the feedback; None for a backbone that takes none.
        stage_with_rfp: which stages take feedback. Default: all but the first.
        output_img: put the image before the maps, for ``mmext.RFP``.
        pretrained: weights to start from; a short form of ``init_cfg``.
        init_cfg: of mmengine: None for random weights, a dict or a list of them, for example
            ``dict(type="Pretrained", checkpoint=..., prefix="backbone.")``; the prefix is optional.
            Files are loaded last.
        host_cfg: every other argument of ``mmdet.ResNet``.

    Raises:
        ValueError: a depth or a stage that does not exist, stages with feedback of unknown width,
            or an ``init_cfg`` that is none.
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        *,
        sac: Mapping[str, Any] | None = None,
        stage_with_sac: Sequence[bool] = (False, False, False, False),
        rfp_inplanes: int | None = None,
        stage_with_rfp: Sequence[bool] | None = None,
        output_img: bool = False,
        pretrained: str | None = None,
        init_cfg: Any = None,  # of any kind: what is none of mmengine's gets a sentence
        **host_cfg: Any,
    ) -> None:
        if depth not in self.arch_settings:
            raise ValueError(
                f"depth of {type(self).__name__} must be one of {tuple(self.arch_settings)}, got "
                f"{depth}"
            )
        num_stages = host_cfg.get("num_stages", 4)
        # The host's constructor calls make_res_layer, which reads these.
        self.sac = dict(sac) if sac is not None else None
        if sac is None and any(stage_with_sac):
            raise ValueError(
                f"stage_with_sac={tuple(stage_with_sac)} needs sac, a convolution's config, got "
                "None"
            )
        self.stage_with_sac = stages_with(stage_with_sac, num_stages, "sac")
        self.rfp_inplanes = rfp_inplanes
        self.stage_with_rfp = feedback_stages(stage_with_rfp, rfp_inplanes, num_stages)
        self.output_img = output_img
        self.brought: frozenset[str] = frozenset()  # keys that a file has brought
        parse(init_cfg, pretrained)  # refuses what is none before anything is built
        super().__init__(depth, **host_cfg)
        self.pretrained, self.init_cfg = pretrained, init_cfg

    def make_res_layer(self, **stage_cfg: Any) -> ResLayer:
        """One stage; the host makes them in order."""
        stage = len(self.res_layers)
        layer = ResLayer(**stage_cfg)
        if self.stage_with_sac[stage]:
            if stage_cfg["dcn"] is not None:
                raise ValueError(
                    f"layer{stage + 1} can use dcn or sac, got both; sac has use_deform=True"
                )
            for block in layer:
                block.use_sac(self.sac)
        if self.stage_with_rfp[stage]:
            layer[0].take_feedback(self.rfp_inplanes)
        return layer

    def init_weights(self) -> None:
        """Load the pretrained file or draw weights; what the paper adds starts as an identity."""
        self.brought = frozenset(initialise(self, *parse(self.init_cfg, self.pretrained)))
        self._freeze_stages()
        self.is_init = True

    def _freeze_stages(self) -> None:
        """Freeze as the host does, but no addition of the paper's that has not been trained."""
        kept = {p: p.requires_grad for name, p in additions(self) if name not in self.brought}
        super()._freeze_stages()
        for parameter, wanted in kept.items():
            parameter.requires_grad_(wanted)

    def train(self, mode: bool = True) -> "DetectoRS_ResNet":
        """Switch the mode as the host does, and return self, which the host forgets."""
        super().train(mode)
        return self

    @property
    def rfp_stages(self) -> tuple[int, ...]:
        """Stages that take feedback, counted from 0."""
        return tuple(i for i, takes in enumerate(self.stage_with_rfp) if takes)

    @property
    def level_channels(self) -> list[int]:
        """Channels of each map that it gives."""
        return [self.base_channels * 2**i * self.block.expansion for i in self.out_indices]

    def stem_and_stage_1(self) -> list[nn.Module]:
        """Stem and first stage, which see the image alone unless the first stage takes feedback."""
        stem = [self.stem] if self.deep_stem else [self.conv1, self.norm1]
        return [*stem, self.maxpool, self.layer1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``, after the image itself with ``output_img``."""
        outs = self._stages(x, ())
        return Levels((x, *outs), backbone=self) if self.output_img else outs

    def rfp_forward(
        self, x: Tensor, rfp_feats: Sequence[Tensor | None], stage_1: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Maps of the stages, with feedback.

        Args:
            x: the image.
            rfp_feats: feedback of each stage; that of stages which take none is not looked at.
            stage_1: what stem and first stage make of the image, if that is known already.
        """
        return self._stages(x, rfp_feats, stage_1)

    def _stages(
        self, x: Tensor, feedback: Sequence[Tensor | None], stage_1: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Stem and stages, or all that comes after ``stage_1``."""
        if stage_1 is None:
            self._check_size(x)
            x = self.maxpool(
                self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
            )
        outs = []
        for i, name in enumerate(self.res_layers):
            layer = getattr(self, name)
            if i == 0 and stage_1 is not None:  # known from the step before
                x = stage_1
            elif feedback and self.stage_with_rfp[i]:
                first, *others = layer  # feedback enters in the stage's first block alone
                x = first(x, feedback[i])
                for block in others:
                    x = block(x)
            else:
                x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _check_size(self, x: Tensor) -> None:
        """Refuse what mmcv's switchable convolution cannot pad; ours can."""
        if self.sac is not None and min(x.shape[-2:]) < self.least_size:
            raise ValueError(
                f"images must be at least {self.least_size} pixels high and wide, got "
                f"{tuple(x.shape[-2:])}: {self.sac['type']} pads by reflection, for which its maps "
                "need 3 pixels; pad the images, or use type='mmext.SAC', which takes smaller ones"
            )

    @cached_property
    def least_size(self) -> int:
        """Pixels that an image needs in height and width for the stages' padding by reflection."""
        least, stride = 1, 4  # stem and pooling halve the image twice
        for name, factor in zip(self.res_layers, self.strides, strict=True):
            stride *= factor
            if any(
                is_sac(m) and not type(m).__module__.startswith("mmext.")
                for m in getattr(self, name).modules()
            ):
                least = 2 * stride + 1  # whose map has a third pixel
        return least


@MODELS.register_module()
class DetectoRS_ResNeXt(DetectoRS_ResNet):  # noqa: N801  the host's name
    """ResNeXt that can add feedback in a stage's first block, and make 3x3 convolutions switchable.

    Args:
        depth: 50, 101 or 152.
        groups: groups of the 3x3 convolutions.
        base_width: channels of a group in the first stage, at ``base_channels=64``.
        host_cfg: every other argument of ``mmext.DetectoRS_ResNet``.
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        depth: (ResNeXtBottleneck, DetectoRS_ResNet.arch_settings[depth][1])
        for depth in (50, 101, 152)
    }

    def __init__(
        self, depth: int, *, groups: int = 1, base_width: int = 4, **host_cfg: Any
    ) -> None:
        self.groups = groups
        self.base_width = base_width
        super().__init__(depth, **host_cfg)

    def make_res_layer(self, **stage_cfg: Any) -> ResLayer:
        """One stage of grouped bottlenecks."""
        groups = dict(
            groups=self.groups, base_width=self.base_width, base_channels=self.base_channels
        )
        return super().make_res_layer(**groups, **stage_cfg)


def feedback_stages(
    asked: Sequence[bool] | None, channels: int | None, num_stages: int
) -> tuple[bool, ...]:
    """Which stages take feedback: those asked for, or all but the first; none without its width."""
    if channels is None:
        if asked is not None and any(asked):
            raise ValueError(
                f"stage_with_rfp={tuple(asked)} needs rfp_inplanes, the channels of the feedback, "
                "got None; give the pyramid's, usually 256"
            )
        return (False,) * num_stages
    return stages_with(
        (False, *(True,) * (num_stages - 1)) if asked is None else asked, num_stages, "rfp"
    )


def stages_with(asked: Sequence[bool], num_stages: int, what: str) -> tuple[bool, ...]:
    """One answer a stage; stages beyond the last one may only be said not to have it.

    Raises:
        ValueError: it asks for a stage that does not exist, or says too little.
    """
    if asked and (len(asked) < num_stages or any(asked[num_stages:])):
        raise ValueError(
            f"stage_with_{what} must have one entry for each of the {num_stages} stages, got "
            f"{tuple(asked)}"
        )
    return tuple(bool(x) for x in asked[:num_stages]) or (False,) * num_stages
