"""Recursive feature pyramid: its maps go back into a backbone, which looks at the image again."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from mmdet.models.necks import FPN
from mmengine.model import ModuleList, constant_init, xavier_init
from torch import Tensor, nn

from mmext.detection.detecto_rs.aspp import ASPP
from mmext.detection.detecto_rs.recursive import Recursive
from mmext.detection.detecto_rs.stem_reuse import StemReuse
from mmext.layers.recompute import recomputed
from mmext.registry import MODELS

REUSE_STEM = ("auto", "never")


def fuse(
    new: Float[Tensor, "B C H W"], old: Float[Tensor, "B C H W"], logit: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B C H W"]:
    """``a * new + (1 - a) * old`` with ``a = sigmoid(logit)``, place by place.

    Example:
        >>> fuse(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).item()
        0.5
    """
    return torch.lerp(old, new, logit.sigmoid().to(new.dtype))


@MODELS.register_module()
class RFP(FPN):
    """FPN whose levels are fed back to a backbone, once for each step after the first.

    A step is: every level of a stage with feedback goes through ASPP into the next backbone, which
    starts from the image again; the same FPN reads its maps; and the new levels are mixed with the
    old ones, place by place. Right after initialisation from the same pretrained file the result is
    exactly the FPN's.

    Keys are those of ``mmdet.RFP``. The detector's backbone needs ``output_img=True``.

    Args:
        in_channels: channels of the backbone's maps.
        out_channels: channels of every level.
        num_outs: levels.
        rfp_steps: looks at the image, at least 2. The paper uses 2.
        rfp_backbone: config of the later steps' backbones, of which each step has its own:
            ``mmext.DetectoRS_ResNet``, ``mmext.DetectoRS_ResNeXt``, or any in
            ``mmext.RFPFeedback``. Its ``rfp_inplanes`` is
            ``len(aspp_dilations) * aspp_out_channels``. None with ``rfp_sharing``.
        aspp_out_channels: channels of each of ASPP's views.
        aspp_dilations: dilations of ASPP's views; the last one, 1, sees the mean.
        rfp_sharing: run the detector's own backbone in every step, as the authors' option of this
            name does. It takes ``rfp_inplanes`` then.
        reuse_stem: ``auto`` takes stem and first stage from the step before wherever that is exact:
            equal weights that are frozen or of one backbone, norms in eval mode. ``never`` always
            runs them.
        step_cp: keep no activations of the later steps, but compute them again for backward.
        fpn_cfg: every other argument of ``mmdet.FPN``, but no ``init_cfg``.

    Raises:
        ValueError: arguments, backbones and levels that do not fit together.
    """

    def __init__(
        self,
        in_channels: list[int],
        out_channels: int,
        num_outs: int,
        *,
        rfp_steps: int = 2,
        rfp_backbone: Mapping[str, Any] | None = None,
        aspp_out_channels: int = 64,
        aspp_dilations: Sequence[int] = (1, 3, 6, 1),
        rfp_sharing: bool = False,
        reuse_stem: str = "auto",
        step_cp: bool = False,
        **fpn_cfg: Any,
    ) -> None:
        if rfp_steps < 2:
            raise ValueError(
                f"rfp_steps must be at least 2, got {rfp_steps}; one step is mmdet.FPN"
            )
        if rfp_sharing != (rfp_backbone is None):
            raise ValueError(
                "expected either rfp_backbone or rfp_sharing=True, got "
                f"{'both' if rfp_sharing else 'none'}"
            )
        if reuse_stem not in REUSE_STEM:
            raise ValueError(f"reuse_stem must be one of {REUSE_STEM}, got {reuse_stem!r}")
        if fpn_cfg.pop("init_cfg", None) is not None:
            raise ValueError(
                "init_cfg must be None: RFP has parts that each start in a way of their own"
            )
        super().__init__(in_channels, out_channels, num_outs, **fpn_cfg)
        self.rfp_steps = rfp_steps
        self.rfp_sharing = rfp_sharing
        self.reuse_stem = reuse_stem
        self.step_cp = step_cp
        self.rfp_aspp = ASPP(out_channels, aspp_out_channels, aspp_dilations)
        self.feedback_channels = aspp_out_channels * len(aspp_dilations)
        self.rfp_weight = nn.Conv2d(out_channels, 1, 1)
        constant_init(self.rfp_weight, 0)
        # Built one by one from the config, so that each loads the pretrained file by itself.
        self.rfp_modules = ModuleList(
            MODELS.build(deepcopy(rfp_backbone)) for _ in range(0 if rfp_sharing else rfp_steps - 1)
        )
        for backbone in self.rfp_modules:
            self._check_backbone(backbone)
        self._stem_reuse = StemReuse()

    def init_weights(self) -> None:
        """Start the FPN as in the host, each backbone in its way; mix new and old half and half."""
        # The host's way would draw every convolution below this module anew.
        for conv in (*self.lateral_convs, *self.fpn_convs):
            xavier_init(conv.conv, distribution="uniform")
        for backbone in self.rfp_modules:
            backbone.init_weights()
        self.rfp_aspp.init_weights()
        constant_init(self.rfp_weight, 0)
        self.is_init = True

    def train(self, mode: bool = True) -> "RFP":
        """Switch the mode; weights may have been exchanged behind autograd's back, as EMA does."""
        self._stem_reuse.forget()
        super().train(mode)
        return self

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Levels after all steps.

        Args:
            inputs: the image, and the maps that the detector's backbone made of it.
        """
        image, *maps = inputs
        # Which backbone these maps are of: it may be asked to look again, or give its first stage's
        # map.
        first: Any = getattr(inputs, "backbone", None)
        self._check_inputs(maps, first)
        levels = super().forward(tuple(maps))  # the first look
        for i in range(self.rfp_steps - 1):
            backbone = first if self.rfp_sharing else self.rfp_modules[i]
            reuse = self.reuse_stem == "auto" and self._stem_reuse(first, backbone)
            # It sees the image alone, so it would be the same again.
            stage_1 = maps[0] if reuse else None
            if self.step_cp and torch.is_grad_enabled():
                levels = recomputed(
                    self.step, backbone, image, stage_1, levels, modules=(self, backbone)
                )
            else:
                levels = self.step(backbone, image, stage_1, levels)
        return levels

    def step(
        self, backbone: Recursive, image: Tensor, stage_1: Tensor | None, levels: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Look again with what the last look gave.

        Args:
            backbone: this step's.
            image: as the detector got it.
            stage_1: map of the backbone's first stage, if known.
            levels: result of the last step.
        """
        # One entry a stage; ASPP, which all levels share, makes feedback of its last pyramid level.
        feedback: list[Tensor | None] = [None] * (max(backbone.out_indices) + 1)
        for stage, level in self._feedback_levels(backbone).items():
            feedback[stage] = self.rfp_aspp(levels[level])
        known = {} if stage_1 is None else dict(stage_1=stage_1)
        maps = backbone.rfp_forward(image, feedback, **known)
        self._check_maps(maps)
        new_levels = super().forward(tuple(maps))
        return tuple(
            fuse(new, old, self.rfp_weight(new))
            for new, old in zip(new_levels, levels, strict=True)
        )

    def _feedback_levels(self, backbone: Recursive) -> dict[int, int]:
        """Which level goes into which of the backbone's stages, both counted from 0."""
        stages = backbone.out_indices[self.start_level : self.backbone_end_level]
        missing = [i + 1 for i in backbone.rfp_stages if i not in stages]
        if missing:
            raise ValueError(
                f"stages {missing} of {type(backbone).__name__} ask for feedback, but the pyramid "
                f"has levels of the stages {[i + 1 for i in stages]} only "
                f"(start_level={self.start_level}); set "
                f"stage_with_rfp={tuple(i in stages for i in range(max(backbone.out_indices) + 1))}"
            )
        return {i: stages.index(i) for i in backbone.rfp_stages}

    def _check_backbone(self, backbone: nn.Module) -> None:
        """Refuse a backbone that cannot take this pyramid's feedback."""
        kind = type(backbone).__name__
        if not isinstance(backbone, Recursive):
            raise ValueError(
                "a backbone with feedback must be one of mmext, got "
                f"{type(backbone).__module__}.{kind}; use mmext.DetectoRS_ResNet or "
                "mmext.DetectoRS_ResNeXt, or put it into mmext.RFPFeedback"
            )
        if not backbone.rfp_stages or backbone.rfp_inplanes != self.feedback_channels:
            raise ValueError(
                f"rfp_inplanes of {kind} must be {self.feedback_channels}, the channels of all of "
                f"ASPP's views, in at least one stage, got {backbone.rfp_inplanes} in "
                f"{len(backbone.rfp_stages)}"
            )
        if backbone.level_channels is not None and backbone.level_channels != self.in_channels:
            raise ValueError(
                f"maps of {kind} must have the pyramid's in_channels={self.in_channels}, got "
                f"{backbone.level_channels}; give both backbones the same depth, width and "
                "out_indices"
            )
        self._feedback_levels(backbone)

    def _check_maps(self, maps: Sequence[Tensor]) -> None:
        """Refuse maps that are not those that the pyramid was made for."""
        channels = [x.shape[1] for x in maps]
        if channels != self.in_channels:
            raise ValueError(
                f"expected maps of {self.in_channels} channels (in_channels of the neck), got "
                f"{channels}; give the neck the channels of its backbone's out_indices"
            )

    def _check_inputs(self, maps: Sequence[Tensor], first: Any) -> None:
        """Refuse what the detector's backbone hands over if it is not made for recursion."""
        if len(maps) == len(self.in_channels) - 1:
            raise ValueError(
                f"expected the image and {len(self.in_channels)} maps, got {len(maps) + 1} "
                "tensors; set output_img=True in the backbone"
            )
        self._check_maps(maps)
        if self.rfp_sharing:
            if first is None:
                raise ValueError(
                    "rfp_sharing=True needs a backbone of mmext that hands itself on, got bare "
                    "tensors; use mmext.DetectoRS_ResNet or mmext.RFPFeedback, with "
                    "output_img=True and rfp_inplanes"
                )
            self._check_backbone(first)
        elif first is not None and first.rfp_stages:
            raise ValueError(
                "the detector's backbone has rfp_inplanes, but its feedback convolutions would "
                "get none and no gradient; remove rfp_inplanes there, or set rfp_sharing=True in "
                "the neck"
            )
