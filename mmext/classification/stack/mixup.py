"""Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412): pictures of a batch, mixed."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import ImgDataPreprocessor

from mmext.classification.stack.samples import targets
from mmext.registry import MODELS


@MODELS.register_module()
class MixupDataPreprocessor(ImgDataPreprocessor):
    """mmengine's preprocessor, which mixes each training picture with another one of its batch.

    A batch has one share for all its pictures, drawn from Beta(alpha, alpha). Samples get their
    mixed labels as ``gt_score``; losses must take scores, as ``mmext.CrossEntropyLoss`` does.

    Args:
        num_classes: how many there are.
        alpha: 0 mixes nothing, 1 draws shares evenly.
        **host_cfg: of ``ImgDataPreprocessor``: ``mean``, ``std``, and so on.
    """

    def __init__(self, num_classes: int, alpha: float = 0.2, **host_cfg: Any) -> None:
        super().__init__(**host_cfg)
        if alpha < 0:
            raise ValueError(f"alpha must be 0 or more, got {alpha}; change it")
        self.num_classes, self.alpha = num_classes, alpha

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise and stack; in training, mix."""
        data = super().forward(data, training)
        if not training or not self.alpha:
            return data
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        inputs, samples = data["inputs"], data["data_samples"]
        other = torch.randperm(len(inputs)).to(inputs.device)
        own = targets(samples)
        own = own if own.is_floating_point() else F.one_hot(own, self.num_classes).float()
        # Of new samples: a data set that lies in memory gives the same ones in every epoch.
        mixed = [sample.new() for sample in samples]
        for sample, score in zip(mixed, own.lerp(own[other], 1 - share), strict=True):
            sample.gt_score = score
        return {**data, "inputs": inputs.lerp(inputs[other], 1 - share), "data_samples": mixed}
