"""TSM in the net of STM's evidence. mmaction2's own class cannot build it: it has one width.

Configs that run.py writes name it in ``custom_imports``; tools/train.py and tools/test.py find it
where PYTHONPATH names the repository's folder.
"""

from typing import Any

from mmaction.models.backbones.resnet_tsm import TemporalShift
from mmaction.registry import MODELS

from mmext.action.stm.backbone import ResNetSTM
from mmext.action.stm.blocks import Bottleneck


@MODELS.register_module()
class ShiftedResNet(ResNetSTM):
    """ResNet without STM's branches, with mmaction2's shift before each block's first convolution.

    Args:
        depth: as in ``mmext.ResNetSTM``.
        shift_div: channels divided by those that are shifted one way.
        host_cfg: every other argument of ``mmext.ResNetSTM``.
    """

    def __init__(self, depth: int, *, shift_div: int = 8, **host_cfg: Any) -> None:
        super().__init__(depth, use_cstm=False, use_cmm=False, **host_cfg)
        for block in self.modules():
            if isinstance(block, Bottleneck):
                block.conv1.conv = TemporalShift(block.conv1.conv, self.num_segments, shift_div)
