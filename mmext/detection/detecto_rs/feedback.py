"""Feedback for any backbone: it is added to the outputs of modules that are named in the config."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.detection.detecto_rs.initialisation import loads_of
from mmext.detection.detecto_rs.recursive import Levels, below_backbone
from mmext.registry import MODELS

LAYOUTS = ("NCHW", "NHWC", "NLC")


class Slot:
    """Feedback (B, C, H, W) on its way to one module; None if there is none."""

    value: Tensor | None = None


def add_feedback(
    slot: Slot, name: str, layout: str, module: nn.Module, args: Any, output: Any
) -> Any:
    """Forward hook: the module's output plus the feedback in the slot, in the output's layout."""
    if slot.value is None:
        return None
    if not torch.is_tensor(output) or output.ndim != len(layout):
        got = tuple(output.shape) if torch.is_tensor(output) else type(output).__name__
        raise ValueError(
            f"{name} must give a tensor laid out as {layout}, got {got}; set layout or another "
            "stage"
        )
    return output + in_layout(slot.value, output, name, layout)


def in_layout(feedback: Tensor, like: Tensor, name: str, layout: str) -> Tensor:
    """Feedback (B, C, H, W) as ``like`` is laid out, a row or column wider or narrower if need be.

    Raises:
        ValueError: the two are of different channels, or of sizes that differ by more than that.
    """
    if layout == "NLC":
        feedback = feedback.flatten(2).transpose(1, 2)
        fits = feedback.shape == like.shape
    else:
        channels_last = layout == "NHWC"
        size = like.shape[1:3] if channels_last else like.shape[2:]
        # Strides and paddings round in different ways, by a pixel at most.
        fits = like.shape[3 if channels_last else 1] == feedback.shape[1] and all(
            abs(a - b) <= 1 for a, b in zip(size, feedback.shape[2:], strict=True)
        )
        if fits and size != feedback.shape[2:]:
            feedback = F.interpolate(feedback, size=size, mode="nearest")
        feedback = feedback.permute(0, 2, 3, 1) if channels_last else feedback
    if not fits:
        raise ValueError(
            f"feedback {tuple(feedback.shape)} does not fit the output of {name}, "
            f"{tuple(like.shape)} as {layout}; name a module of the stage whose map has the same "
            "size, and its channels"
        )
    return feedback


@MODELS.register_module()
class RFPFeedback(BaseModule):
    """A backbone of any kind that takes feedback from ``mmext.RFP``, and hands on the image.

    What a module named in ``stages`` gives gets ``rfp_conv(feedback)`` added. These convolutions
    start at zero, so nothing changes at first. To place feedback before a residual block's last
    ReLU, as the paper does, name the residual branch's last norm (``layer2.0.bn3``).

    As the detector's backbone, without ``stages``, it only puts the image before the maps. Files of
    the backbone alone, or of a detector with it, load as they are.

    Args:
        backbone: config of the backbone.
        stages: a module's name for each map that the backbone gives, None where there is to be no
            feedback: ``(None, "stages.1.blocks.0", "stages.2.blocks.0", "stages.3.blocks.0")``.
        channels: channels of these modules' outputs, None where the name is.
        rfp_inplanes: channels of the feedback, ``len(aspp_dilations) * aspp_out_channels`` of the
            neck.
        layout: of these outputs: ``NCHW``, ``NHWC``, or ``NLC`` with L = H * W places in rows.
        output_img: put the image before the maps, for ``mmext.RFP``.
        init_cfg: of mmengine; the backbone has its own.

    Raises:
        ValueError: a module that does not exist or would be computed again without feedback, or
            entries of ``stages`` and ``channels`` that do not go together.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        *,
        stages: Sequence[str | None] = (),
        channels: Sequence[int | None] = (),
        rfp_inplanes: int | None = None,
        layout: str = "NCHW",
        output_img: bool = False,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
        check_stages(stages, channels, rfp_inplanes)
        self.backbone = MODELS.build(backbone)
        self.rfp_inplanes = rfp_inplanes
        self.output_img = output_img
        self.out_indices = tuple(range(len(stages)))
        self.level_channels = None  # known when the backbone has run
        self.rfp_stages = tuple(i for i, name in enumerate(stages) if name is not None)
        self.rfp_convs = nn.ModuleDict(
            {str(i): nn.Conv2d(rfp_inplanes or 0, channels[i] or 0, 1) for i in self.rfp_stages}
        )
        self._slots = {i: Slot() for i in self.rfp_stages}
        for i, slot in self._slots.items():
            # A function and a plain object, not a closure or self: copies of the model get copies
            # of both.
            find(self.backbone, str(stages[i])).register_forward_hook(
                partial(add_feedback, slot, str(stages[i]), layout)
            )
        self.register_load_state_dict_pre_hook(below_backbone)
        self.forget_feedback()

    def init_weights(self) -> None:
        """Start the backbone its own way, and feedback with no effect unless a file brings it."""
        with loads_of(self.rfp_convs) as loaded:
            super().init_weights()
        self.forget_feedback(loaded)

    @torch.no_grad()
    def forget_feedback(self, loaded: Collection[str] = ()) -> None:
        """Back to the start: feedback changes nothing.

        Args:
            loaded: keys of ``rfp_convs`` that a file brought; these stay.
        """
        for name, parameter in self.rfp_convs.named_parameters():
            if name not in loaded:
                parameter.zero_()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The backbone's maps, after the image itself with ``output_img``."""
        outs = tuple(self.backbone(x))
        return Levels((x, *outs), backbone=self) if self.output_img else outs

    def rfp_forward(self, x: Tensor, rfp_feats: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        """The backbone's maps with feedback.

        Args:
            x: the image.
            rfp_feats: feedback of each map's stage; that of stages which take none is not looked
                at.
        """
        with self._feeding(rfp_feats):
            return tuple(self.backbone(x))

    @contextmanager
    def _feeding(self, rfp_feats: Sequence[Tensor | None]) -> Iterator[None]:
        """Fill the slots, and empty them whatever happens."""
        try:
            for i, slot in self._slots.items():
                slot.value = self.rfp_convs[str(i)](rfp_feats[i])
            yield
        finally:
            for slot in self._slots.values():
                slot.value = None


def check_stages(
    stages: Sequence[str | None], channels: Sequence[int | None], rfp_inplanes: int | None
) -> None:
    """Refuse names without channels or channels without names, and both without feedback."""
    names = [name is not None for name in stages]
    if names != [c is not None for c in channels]:
        raise ValueError(
            "stages and channels must have one entry for each map, None where there is no "
            f"feedback, got {tuple(stages)} and {tuple(channels)}"
        )
    if any(names) != (rfp_inplanes is not None):
        raise ValueError(
            "stages with feedback and rfp_inplanes, its channels, go together, got "
            f"{tuple(stages)} and {rfp_inplanes}; give both or none"
        )


def find(backbone: nn.Module, name: str) -> nn.Module:
    """The module of that name, if feedback can be added to what it gives."""
    modules = dict(backbone.named_modules())
    if name not in modules:
        raise ValueError(
            f"{type(backbone).__name__} has no module {name!r}; its children are "
            f"{', '.join(child for child, _ in backbone.named_children())}"
        )
    # Checkpointed modules run a second time in backward, after the slots were emptied.
    parts = name.split(".")
    for i in range(len(parts)):
        above = ".".join(parts[:i])
        if getattr(modules[above], "with_cp", False) and above:
            raise ValueError(
                f"{above} has with_cp=True and is computed again for backward, when the feedback "
                f"of {name} is gone; set with_cp=False and step_cp=True in mmext.RFP"
            )
    return modules[name]
