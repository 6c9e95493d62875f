"""Appearance: features of MobileNetV2 with ImageNet weights, less their mean."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from dev.evidence.occlusion.scenes import Frame
from dev.evidence.study import ROOT
from mmext.prepare import mobilenet_v2

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WEIGHTS = ROOT / mobilenet_v2.OUT


class Appearance(nn.Module):
    """Mean of the last maps over a crop, (N, 1280)."""

    def __init__(self, weights: Path | None = WEIGHTS) -> None:
        super().__init__()
        from mmdet.models.backbones import MobileNetV2

        self.net = MobileNetV2(out_indices=(7,))
        if weights:
            self.net.load_state_dict(torch.load(weights, weights_only=True))
        self.net.to(memory_format=torch.channels_last)
        self.net.eval()  # the host's returns nothing
        self.centre = np.zeros(1280)

    @torch.inference_mode()
    def forward(self, crops: UInt8[np.ndarray, "N S S 3"]) -> Float[np.ndarray, "N 1280"]:
        """Features, centred."""
        pictures = (torch.from_numpy(crops).float() - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
        (maps,) = self.net(pictures.permute(0, 3, 1, 2))
        return maps.mean((2, 3)).double().numpy() - self.centre

    def of(self, frames: Sequence[Frame]) -> list[Float[np.ndarray, "N 1280"]]:
        """Features of a whole scene at once, by frame."""
        crops = [one.crops() for one in frames]
        ends = np.cumsum([len(one) for one in crops])[:-1]
        return np.split(self(np.concatenate(crops)), ends)
