"""Expectation-maximisation attention: a map is rewritten as a mixture of a few bases, found by EM.

Paper     EMANet, Li et al. 2019, https://arxiv.org/abs/1907.13426
Idea      The map plus what its bases say of it (:mod:`mmext.layers.em_bases`).
Host      mmcv's building blocks: a plug-in layer for the ResNets of mmdet and mmseg, a part of
          mmseg's head
Deviates  see there, and :class:`EMAUnit2d`
Letters   B images, C channels, H W map, K bases
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmext.layers.em_bases import EMBases
from mmext.registry import MODELS


@MODELS.register_module()
class EMAUnit2d(nn.Module):
    """Expectation-maximisation attention plug-in: the map plus its reconstruction, through a norm.

    DEVIATION: the paper's unit ends with a ReLU and starts active. As a plug-in it stands before
    the host's own ReLU and starts as an identity, so that pretrained backbones start as they are.

    ``torch.compile`` breaks its graph once at each unit in training, for the state of the bases
    (see :class:`~mmext.layers.em_bases.EMBases`), and not in evaluation.

    Args:
        in_channels: channels of the map; the output has as many.
        num_bases: K.
        num_stages: EM steps.
        momentum: weight of the new bases in the moving average.
        bases_update: see :class:`~mmext.layers.em_bases.EMBases`.
        renorm_bases: likewise.
        temperature: likewise.
        norm_cfg: norm behind the last convolution.
    """

    _abbr_ = "ema_unit"

    def __init__(
        self,
        in_channels: int,
        *,
        num_bases: int = 64,
        num_stages: int = 3,
        momentum: float = 0.1,
        bases_update: str = "mmseg",
        renorm_bases: bool = False,
        temperature: float = 1.0,
        norm_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # From positive features to any; it gets no gradient, since what EM gives carries none.
        self.ema_mid_conv = nn.Conv2d(in_channels, in_channels, 1).requires_grad_(False)
        self.ema_module = EMBases(
            in_channels,
            num_bases,
            num_stages,
            momentum,
            bases_update=bases_update,
            renorm_bases=renorm_bases,
            temperature=temperature,
        )
        self.ema_out_conv = nn.Conv2d(in_channels, in_channels, 1, bias=False)
        norm_cfg = norm_cfg or dict(type="BN", requires_grad=True)
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the convolutions as the authors do; the norm starts closed."""
        for conv in (self.ema_mid_conv, self.ema_out_conv):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / conv.out_channels))
        assert self.ema_mid_conv.bias is not None  # for the type checker
        nn.init.zeros_(self.ema_mid_conv.bias)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Add the reconstruction."""
        with torch.no_grad():  # no gradient comes back from EM
            features = self.ema_mid_conv(x)
        rebuilt = F.relu(self.ema_module(features, in_graph=True))
        return x + self.norm(self.ema_out_conv(rebuilt))
