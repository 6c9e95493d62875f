"""Rows of mmcv's operators: its compiled extension is upstream, torchvision or plain PyTorch ours.

They need an environment with mmcv's extension and a torchvision that fits: see ``make test-ops``.
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from .cases import Case, train


def _operators(side: str, source: str) -> None:
    """Choose who serves mmcv's operators, before mmcv asks."""
    os.environ["MMEXT_OPS"] = source if side == "ours" else "mmcv"
    from mmext.ops import finder

    finder.install()


def _nms(side: str, source: str, number: int) -> Case:
    """Greedy NMS at 0.7, as in a proposal network: clusters of boxes on an image of 1344 x 800."""
    _operators(side, source)
    from mmcv.ops import nms

    middle = torch.rand(number // 20, 1, 2) * torch.tensor([1344, 800])
    corner = (middle + torch.randn(number // 20, 20, 2) * 8).flatten(0, 1)
    boxes = torch.cat([corner, corner + torch.rand(len(corner), 2) * 60 + 60], dim=1)
    scores = torch.rand(len(boxes))

    def run() -> Tensor:
        return nms(boxes, scores, 0.7)[1]

    return Case(run, run)


def _roi_align(side: str, source: str) -> Case:
    """512 regions of 7 x 7 bins on 256 channels, forward and backward, stride 8."""
    _operators(side, source)
    from mmcv.ops import roi_align

    x = torch.randn(1, 256, 100, 168, requires_grad=True)
    corner = torch.rand(512, 2) * torch.tensor([1000.0, 600.0])
    rois = torch.cat([torch.zeros(512, 1), corner, corner + torch.rand(512, 2) * 200 + 20], dim=1)
    return train(lambda: roi_align(x, rois, 7, 1 / 8, 0, "avg", True).sum(), [x])


def _modulated_deform_conv(side: str, source: str) -> Case:
    """The 3 x 3 convolution of ResNet-50's third stage at 800 x 1344, forward and backward."""
    _operators(side, source)
    from mmcv.ops import modulated_deform_conv2d

    leaves = [
        torch.randn(1, 128, 100, 168),
        torch.randn(1, 18, 100, 168),
        torch.rand(1, 9, 100, 168),
        torch.randn(128, 128, 3, 3) * 0.03,
    ]
    leaves = [one.requires_grad_() for one in leaves]
    return train(lambda: modulated_deform_conv2d(*leaves, None, 1, 1).square().mean(), leaves)


def _row(build: Callable[..., Case], source: str, *more: int) -> Callable[[str], Case]:
    return lambda side: build(side, source, *more)


nms_1000_torchvision = _row(_nms, "torchvision", 1000)
nms_1000_torch = _row(_nms, "torch", 1000)
nms_20000_torchvision = _row(_nms, "torchvision", 20000)
nms_20000_torch = _row(_nms, "torch", 20000)
roi_align_torchvision = _row(_roi_align, "torchvision")
roi_align_torch = _row(_roi_align, "torch")
deform_conv_torchvision = _row(_modulated_deform_conv, "torchvision")
deform_conv_torch = _row(_modulated_deform_conv, "torch")
