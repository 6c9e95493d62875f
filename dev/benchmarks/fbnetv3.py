"""Rows of FBNetV3: against a backbone of equal cost, and what checkpointing saves in training."""

import importlib.util
import logging

import torch
from mmdet.models.backbones import MobileNetV2
from torch import Tensor, nn

from mmext.classification.fbnetv3.backbone import FBNetV3

from .cases import Case, train


def _case(net: nn.Module, x: Tensor) -> Case:
    """Forward of the last map without gradients; kept bytes are those of training."""

    def kept() -> Tensor:
        return net(x)[-1].mean()

    def run() -> Tensor:
        with torch.no_grad():
            return net(x)[-1]

    return Case(kept, run)


def forward(side: str) -> Case:
    """D at 224 x 224, batch 8, in evaluation, against timm's where it imports, else MobileNetV2.

    mmdet's MobileNetV2 has D's multiply-adds at a width of 1.45.
    """
    if side == "ours":
        net: nn.Module = FBNetV3("d")
    elif importlib.util.find_spec("timm"):
        import timm

        net = timm.create_model("fbnetv3_d", features_only=True, out_indices=(1, 2, 3, 4))
    else:
        logging.warning("timm is not there: mmdet's MobileNetV2 takes its place")
        net = MobileNetV2(widen_factor=1.45)
    net.eval()  # mmdet's backbones return nothing here
    return _case(net, torch.randn(8, 3, 224, 224))


def training(side: str) -> Case:
    """A at 224 x 224, batch 8, forward and backward; upstream is the same without ``with_cp``."""
    net = FBNetV3("a", with_cp=side == "ours").train()
    x = torch.randn(8, 3, 224, 224, requires_grad=True)
    return train(lambda: net(x)[-1].square().mean(), [x, *net.parameters()])
