"""Rows of one switchable atrous convolution, forward and backward: 256 channels, ResNet-50's third stage.

Weights and inputs are the same for both sides, and no part is at its start. The counter of FLOPs sees
upstream's convolutions, but not its compiled kernel.
"""

import torch
from mmcv.ops import SAConv2d

from mmext.detection.detecto_rs.sac import SAC

from .cases import Case, train

CHANNELS = 256


def _layer(side: str, width: int, *, use_deform: bool) -> Case:
    cls = {"ours": SAC, "upstream": SAConv2d}[side]
    layer = cls(CHANNELS, CHANNELS, kernel_size=3, padding=1, bias=False, use_deform=use_deform)
    with torch.no_grad():
        for key, tensor in sorted(layer.state_dict().items()):  # by name, so that both draw the same
            noise = torch.randn(tensor.shape)
            tensor.copy_(noise.abs() + 0.1 if key == "weight_gamma" else 0.02 * noise)
    x = torch.randn(1, CHANNELS, 50, width, requires_grad=True)
    return train(lambda: layer(x).square().mean(), [x, *layer.parameters()])


def sac_layer(side: str) -> Case:
    """With deformable looks, as in the paper's models; on half of COCO's map, for upstream takes seconds."""
    return _layer(side, 42, use_deform=True)


def sac_plain_layer(side: str) -> Case:
    """Without deformation, the fast variant; the targets are 0.6 of the bytes and 0.8 of the time."""
    return _layer(side, 84, use_deform=False)
