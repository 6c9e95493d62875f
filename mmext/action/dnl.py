"""DNL for action recognition: backbones with disentangled blocks where mmaction has non-local ones.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      Each place of each frame attends to all places of all frames, and the clip to what matters
          to all.
Host      mmaction2: ResNet3dSlowOnly and ResNetTSM, at the places of their argument non_local
Deviates  The authors gave no code for videos; the places are mmaction's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.models.backbones import ResNet3dSlowOnly, ResNetTSM, resnet, resnet3d
from mmcv.cnn import NonLocal3d
from mmengine.model import initialize
from torch import nn

from mmext.layers import disentangled_non_local  # noqa: F401  registers the block
from mmext.layers.recompute import Recomputed
from mmext.layers.trained_start import in_order, initialise, note_loads, thaw_random
from mmext.registry import MODELS

BLOCK = dict(type="mmext.DisentangledNonLocal3d")
HOSTS_CFG = dict(zeros_init=True)
"""For the host's own blocks, which only show the places; with an empty one it makes none."""


class Bottleneck(Recomputed, resnet.Bottleneck):
    """TSM's residual block."""


class BasicBlock3d(Recomputed, resnet3d.BasicBlock3d):
    """SlowOnly's residual block of depths 18 and 34."""


class Bottleneck3d(Recomputed, resnet3d.Bottleneck3d):
    """SlowOnly's residual block of depths 50 and more."""


def disentangle(backbone: nn.Module, cfg: Mapping[str, Any]) -> None:
    """Put a disentangled block of equal width in the place of each of mmcv's non-local blocks."""
    for module in list(backbone.modules()):
        if isinstance(block := getattr(module, "non_local_block", None), NonLocal3d):
            ours = MODELS.build(BLOCK | dict(cfg) | dict(in_channels=block.in_channels))
            module.non_local_block = note_loads(ours)


@MODELS.register_module()
class ResNet3dSlowOnlyDNL(ResNet3dSlowOnly):
    """SlowOnly ResNet with disentangled non-local blocks.

    Checkpoints of mmaction's ResNet3dSlowOnly load, and those with non-local blocks lack
    ``conv_mask`` alone. What a file lacks has the block's own start. ``init_cfg`` is looked at too,
    where the host knows ``pretrained`` only.

    Args:
        non_local: which blocks of each stage are followed by one, as in the host, for example
            ``((0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 0, 0))``.
        non_local_cfg: arguments of
            :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal3d`.
        host_cfg: every other argument of ``mmaction.ResNet3dSlowOnly``.
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        18: (BasicBlock3d, (2, 2, 2, 2)),
        34: (BasicBlock3d, (3, 4, 6, 3)),
        50: (Bottleneck3d, (3, 4, 6, 3)),
        101: (Bottleneck3d, (3, 4, 23, 3)),
        152: (Bottleneck3d, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        *,
        non_local: Any = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        **host_cfg: Any,
    ) -> None:
        super().__init__(non_local=non_local, non_local_cfg=HOSTS_CFG, **host_cfg)
        disentangle(self, non_local_cfg or {})

    def init_weights(self, pretrained: str | None = None) -> None:
        """Initialise as the host does; what a file lacks is left at the block's own start."""

        def by_host() -> None:
            super(ResNet3dSlowOnlyDNL, self).init_weights(pretrained)
            if self.pretrained is None and self.init_cfg:
                initialize(self, in_order(self.init_cfg))

        initialise(self, by_host)

    def _freeze_stages(self) -> None:
        """Freeze stages as the host does, without the blocks that no file has held yet."""
        super()._freeze_stages()
        thaw_random(self)

    def train(self, mode: bool = True) -> "ResNet3dSlowOnlyDNL":
        """Switch the mode as the host does, and return self, which the host forgets."""
        super().train(mode)
        return self


@MODELS.register_module()
class ResNetTSMDNL(ResNetTSM):
    """ResNet with shifts in time (TSM) and disentangled non-local blocks over the frames of a clip.

    Checkpoints of mmaction's ResNetTSM load, and those with non-local blocks lack ``conv_mask``
    alone. What a file lacks has the block's own start.

    Args:
        depth: of the ResNet; blocks need 50 or more.
        non_local: which blocks of each stage are followed by one, as in
            ``mmext.ResNet3dSlowOnlyDNL``.
        non_local_cfg: arguments of
            :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal3d`.
        host_cfg: every other argument of ``mmaction.ResNetTSM``.
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        18: (resnet.BasicBlock, (2, 2, 2, 2)),
        34: (resnet.BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    non_local_stages: Sequence[Any]

    def __init__(
        self,
        depth: int,
        *,
        non_local: Any = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        **host_cfg: Any,
    ) -> None:
        super().__init__(depth, non_local=non_local, non_local_cfg=HOSTS_CFG, **host_cfg)
        disentangle(self, non_local_cfg or {})
        if self.pretrained is None:
            self.pretrained2d = False  # else the host looks for a file without a name

    def make_non_local(self) -> None:
        """Show places; the host's constructor calls this, and knows no number for a whole stage."""
        self.non_local_stages = tuple(
            (has,) * blocks if isinstance(has, int) else has
            for has, blocks in zip(self.non_local_stages, self.stage_blocks, strict=True)
        )
        super().make_non_local()

    def init_weights(self) -> None:
        """Initialise as the host does; what a file lacks is left at the block's own start."""
        initialise(self, super().init_weights)

    def _freeze_stages(self) -> None:
        """Freeze stages as the host does, without the blocks that no file has held yet."""
        super()._freeze_stages()
        thaw_random(self)

    def train(self, mode: bool = True) -> "ResNetTSMDNL":
        """Switch the mode as the host does, and return self, which the host forgets."""
        super().train(mode)
        return self
