"""Rows of STM: the temporal convolution alone, and ResNet-50 with STM against mmaction2's with TSM.

The temporal convolution's other side is the usual writing: frames brought into the order
(B H W, C, T), a channel-wise ``conv1d``, and back.
"""

import torch
import torch.nn.functional as F
from mmaction.models.backbones import ResNetTSM
from torch import Tensor

from mmext.action.stm.backbone import ResNetSTM
from mmext.action.stm.shift import temporal_conv

from .cases import Case, train

SHAPE = (1, 8, 64, 56, 56)  # the first stage's, one clip


def _usual(x: Tensor, weight: Tensor) -> Tensor:
    B, T, C, H, W = x.shape
    rows = x.permute(0, 3, 4, 2, 1).reshape(-1, C, T)
    y = F.conv1d(rows, weight[:, None], padding=1, groups=C)
    return y.reshape(B, H, W, C, T).permute(0, 4, 3, 1, 2).contiguous()


def _temporal(side: str) -> tuple:
    return (
        {"ours": temporal_conv, "upstream": _usual}[side],
        torch.randn(SHAPE),
        torch.randn(SHAPE[2], 3),
    )


def temporal_inference(side: str) -> Case:
    """The target is a tenth of the usual writing's time."""
    convolve, x, weight = _temporal(side)

    def run() -> Tensor:
        with torch.no_grad():
            return convolve(x, weight)

    return Case(run, run)


def temporal_training(side: str) -> Case:
    """Forward and backward; the target is half of the usual writing's time."""
    convolve, x, weight = _temporal(side)
    leaves = [x.requires_grad_(), weight.requires_grad_()]
    grad = torch.randn(SHAPE)
    return train(lambda: (convolve(x, weight) * grad).sum(), leaves)


def backbone(side: str) -> Case:
    """8 frames of 224 x 224 through ResNet-50, inference; the target is 1.2 of TSM's time."""
    net = ResNetSTM(50) if side == "ours" else ResNetTSM(depth=50, num_segments=8, shift_div=8)
    net.eval()  # as they are built: mmaction2's TSM draws weights from a file alone
    x = torch.randn(8, 3, 224, 224)

    def run() -> Tensor:
        with torch.no_grad():
            return net(x)

    return Case(run, run)
