"""DNL for action recognition: backbones with disentangled blocks where mmaction puts non-local ones.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      Each place of each frame attends to all places of all frames, and the clip to what matters to all.
Host      mmaction2: ResNet3dSlowOnly and ResNetTSM, at the places of their argument non_local
Deviates  The authors gave no code for videos; the places are mmaction's.
"""

from collections.abc import Mapping
from typing import Any

from mmaction.models.backbones import ResNet3dSlowOnly, ResNetTSM
from mmcv.cnn import NonLocal3d
from torch import nn

from mmext.layers.disentangled_non_local import DisentangledNonLocal3d
from mmext.registry import MODELS

BLOCK = dict(type="mmext.DisentangledNonLocal3d")
HOSTS_CFG = dict(zeros_init=True)
"""For the host's own blocks, which only show the places; with an empty one it makes none."""


def disentangle(backbone: nn.Module, cfg: Mapping[str, Any]) -> None:
    """Put a disentangled block of equal width in the place of each of mmcv's non-local blocks."""
    for module in list(backbone.modules()):
        if isinstance(block := getattr(module, "non_local_block", None), NonLocal3d):
            module.non_local_block = MODELS.build(BLOCK | dict(cfg) | dict(in_channels=block.in_channels))


def restart(backbone: nn.Module) -> None:
    """Give the blocks their own start again, unless a file may have held them.

    The host draws all convolutions anew, and opens all norms, where it starts from random weights.
    """
    if backbone.pretrained is None or backbone.pretrained2d:
        for module in backbone.modules():
            if isinstance(module, DisentangledNonLocal3d):
                module.init_weights()


@MODELS.register_module()
class ResNet3dSlowOnlyDNL(ResNet3dSlowOnly):
    """SlowOnly ResNet with disentangled non-local blocks.

    Checkpoints of mmaction's ResNet3dSlowOnly load, and those with non-local blocks lack ``conv_mask`` alone.

    Args:
        non_local: which blocks of each stage are followed by one, as in the host, for example
            ``((0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 0, 0))``.
        non_local_cfg: arguments of :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal3d`.
        host_cfg: every other argument of ``mmaction.ResNet3dSlowOnly``.
    """

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
        """Initialise as the host does; what a file does not hold is left at the block's own start."""
        super().init_weights(pretrained)
        restart(self)


@MODELS.register_module()
class ResNetTSMDNL(ResNetTSM):
    """ResNet with shifts in time (TSM) and disentangled non-local blocks over the frames of a clip.

    Checkpoints of mmaction's ResNetTSM load, and those with non-local blocks lack ``conv_mask`` alone.

    Args:
        depth: of the ResNet, 50 or more.
        non_local: which blocks of each stage are followed by one, as in ``mmext.ResNet3dSlowOnlyDNL``.
        non_local_cfg: arguments of :class:`mmext.layers.disentangled_non_local.DisentangledNonLocal3d`.
        host_cfg: every other argument of ``mmaction.ResNetTSM``.
    """

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

    def init_weights(self) -> None:
        """Initialise as the host does; what a file does not hold is left at the block's own start."""
        super().init_weights()
        restart(self)
