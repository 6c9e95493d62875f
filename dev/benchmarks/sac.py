"""Rows of one switchable atrous convolution, forward and backward, at sizes of a ResNet-50.

Weights and inputs are the same for both sides, and no part is at its start. The counter of FLOPs
sees upstream's convolutions, but not its compiled kernel.
"""

import torch
from mmcv.ops import SAConv2d

from mmext.detection.detecto_rs.sac import SAC

from .cases import Case, train


def _layer(
    side: str, channels: int, height: int, width: int, *, stride: int = 1, deform: bool
) -> Case:
    cls = {"ours": SAC, "upstream": SAConv2d}[side]
    shape = dict(kernel_size=3, stride=stride, padding=1, bias=False)
    layer = cls(channels, channels, **shape, use_deform=deform)
    layer.to(torch.get_default_device())  # mmcv makes some weights on the CPU whatever is asked
    with torch.no_grad():
        # By name, so that both draw the same.
        for key, tensor in sorted(layer.state_dict().items()):
            noise = torch.randn(tensor.shape)
            tensor.copy_(noise.abs() + 0.1 if key == "weight_gamma" else 0.02 * noise)
    x = torch.randn(1, channels, height, width, requires_grad=True)
    return train(lambda: layer(x).square().mean(), [x, *layer.parameters()])


def sac_layer(side: str) -> Case:
    """With deformable looks, as in the paper's models.

    On half of COCO's map, for upstream takes seconds.
    """
    return _layer(side, 256, 50, 42, deform=True)


def sac_plain_layer(side: str) -> Case:
    """Without deformation, the fast variant, in the second stage on half of COCO's map."""
    return _layer(side, 128, 50, 84, deform=False)


def sac_plain_strided(side: str) -> Case:
    """The same where the third stage begins."""
    return _layer(side, 256, 50, 84, stride=2, deform=False)


def sac_plain_deep(side: str) -> Case:
    """The same further on, in the third stage, where the convolutions take nearly all time."""
    return _layer(side, 256, 25, 42, deform=False)
