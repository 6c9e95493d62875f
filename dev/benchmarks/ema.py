"""Row of EMANet: EM attention alone, the map of a crop of 513 at stride 8, forward, training mode.

Upstream is mmseg's module. Both run three steps with 64 bases on the same map from the same bases.
"""

import torch
from mmseg.models.decode_heads.ema_head import EMAModule
from torch import Tensor

from mmext.layers.em_bases import EMBases

from .cases import Case


def unit(side: str) -> Case:
    """(1, 512, 65, 65); the target is 0.7 of upstream's time."""
    start = EMBases(512)
    module = {"ours": start, "upstream": EMAModule(512, 64, 3, 0.1)}[side]
    module.bases.copy_(start.bases)
    module.train()
    x = torch.randn(1, 512, 65, 65)

    def run() -> Tensor:
        return module(x)

    return Case(run, run)
