"""FBNetV3 without its head: maps of five stages for classifiers, detectors, segmentors, video."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, Sequential
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.classification.fbnetv3.arch import PADDINGS, architecture
from mmext.classification.fbnetv3.blocks import H_SWISH, InvertedResidual
from mmext.registry import MODELS


@MODELS.register_module()
class FBNetV3(BaseModule):
    """FBNetV3, A0 and A to G, as a backbone.

    Stage 0 has stride 2, stages 1 to 4 have 4, 8, 16 and 32. Stages behind the last one that is
    asked for are not built, so every parameter gets a gradient. Weights do not depend on
    ``padding``.

    Args:
        arch: ``a0``, ``a`` to ``g``, or a user's own as ``dict(stem=16, stages=[["2x k3 e1 16"],
            ...], head_expansion=6)``; arch.py says how rows are written.
        out_indices: stages whose maps are given.
        padding: ``same`` gives maps of ceil(size / stride) places, as detectors and segmentors
            expect; ``official`` pads less in some blocks, as the released networks do.
        drop_path_rate: share of images that skip the last residual block in training; it grows
            from 0 at the first block.
        frozen_stages: these stages and those before them do not learn; 0 freezes stem and stage 0,
            -1 none.
        norm_eval: whether norms keep their statistics in training.
        with_cp: forget activations inside of blocks and compute them again for backward.
        single_map: give the one map itself instead of a tuple, as mmaction2's 2D recognisers need.
        in_channels: of the images; 1 if they are grey.
        norm_cfg: mmcv's setting of the norms.
        init_cfg: as in mmengine.

    Raises:
        ValueError: an option that does not exist, or, in forward with official padding, an image
            so small that a map would be empty.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "a",
        out_indices: Sequence[int] = (1, 2, 3, 4),
        padding: str = "same",
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        single_map: bool = False,
        in_channels: int = 3,
        norm_cfg: Mapping[str, Any] = dict(type="BN"),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.arch = architecture(arch)
        _check(out_indices, padding, frozen_stages, single_map)
        self.out_indices = tuple(out_indices)
        self.padding = padding
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.single_map = single_map
        self.num_stages = max(self.out_indices) + 1
        self.smallest_side = self.arch.smallest_side(padding, self.num_stages)
        self.stem = ConvModule(
            in_channels,
            self.arch.stem,
            3,
            stride=2,
            padding=1,
            norm_cfg=dict(norm_cfg),
            act_cfg=H_SWISH,
            inplace=False,
        )
        stages = self.arch.blocks[: self.num_stages]
        last = max(1, sum(map(len, stages)) - 1)
        self.stages = ModuleList()
        for stage in stages:
            before = sum(map(len, self.stages))
            blocks = [
                InvertedResidual(
                    block,
                    padding=padding,
                    drop_path_rate=drop_path_rate * (before + i) / last,
                    with_cp=with_cp,
                    norm_cfg=norm_cfg,
                )
                for i, block in enumerate(stage)
            ]
            self.stages.append(Sequential(*blocks))
        # Now, too: a distributed wrapper counts what learns before train() is called.
        self._freeze()

    @staticmethod
    def out_channels(arch: str | Mapping[str, Any]) -> tuple[int, ...]:
        """Channels of the maps of the five stages, for the ``in_channels`` of what comes next.

        Example:
            >>> FBNetV3.out_channels("a")[1:]
            (24, 40, 120, 224)
        """
        return architecture(arch).out_channels

    def train(self, mode: bool = True) -> "FBNetV3":
        """Switch the mode; what is frozen stays in evaluation, and norms do with ``norm_eval``."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        frozen = [self.stem, *self.stages[: self.frozen_stages + 1]]
        for module in frozen if self.frozen_stages >= 0 else ():
            module.eval()
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        """Maps of the stages in ``out_indices``, or the one map with ``single_map``."""
        # Smaller sides give an empty map only with official padding.
        if self.smallest_side > 1 and min(x.shape[-2:]) < self.smallest_side:
            raise ValueError(
                f"images for this FBNetV3 with padding='official' must have sides of at least "
                f"{self.smallest_side} pixels, got {tuple(x.shape[-2:])}; resize them, or take "
                "padding='same'"
            )
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        found = tuple(maps[i] for i in self.out_indices)
        return found[0] if self.single_map else found


def _check(out_indices: Sequence[int], padding: str, frozen_stages: int, single_map: bool) -> None:
    if not out_indices or not all(i in range(5) for i in out_indices):
        raise ValueError(
            f"out_indices of FBNetV3 must be stages from 0 to 4, got {tuple(out_indices)}"
        )
    if padding not in PADDINGS:
        raise ValueError(f"padding of FBNetV3 must be one of {PADDINGS}, got {padding!r}")
    if frozen_stages not in range(-1, 5):
        raise ValueError(f"frozen_stages of FBNetV3 must be from -1 to 4, got {frozen_stages}")
    if single_map and len(out_indices) != 1:
        raise ValueError(
            f"single_map of FBNetV3 needs one index in out_indices, got {tuple(out_indices)}"
        )
