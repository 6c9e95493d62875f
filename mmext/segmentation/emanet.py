"""EMANet for segmentation: mmseg's head whose bases survive checkpointing, resuming, uneven ranks.

Paper     EMANet, Li et al. 2019, https://arxiv.org/abs/1907.13426
Idea      A map is rewritten as a mixture of a few bases found by expectation maximisation.
Host      mmseg.EMAHead: the same keys and outputs; mmext/layers/em_attention.py holds the
          mathematics
Deviates  See there. from_official reads the authors' files.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmseg.models.decode_heads import EMAHead as MMSegEMAHead
from torch import Tensor

from mmext.layers.em_bases import EMBases
from mmext.registry import MODELS

NAMES = {  # the authors' prefix: ours
    "fc0.": "decode_head.ema_in_conv.",
    "emau.mu": "decode_head.ema_module.bases",
    "emau.conv1.": "decode_head.ema_mid_conv.conv.",
    "emau.conv2.0.": "decode_head.ema_out_conv.conv.",
    "emau.conv2.1.": "decode_head.ema_out_conv.bn.",
    "fc1.0.": "decode_head.bottleneck.",
    "fc2.": "decode_head.conv_seg.",
    # Their backbone is a list: stem, norm, ReLU, pooling, four stages.
    "extractor.0.": "backbone.stem.",
    "extractor.1.": "backbone.stem.7.",
    "extractor.4.": "backbone.layer1.",
    "extractor.5.": "backbone.layer2.",
    "extractor.6.": "backbone.layer3.",
    "extractor.7.": "backbone.layer4.",
}


@MODELS.register_module()
class EMAHead(MMSegEMAHead):
    """Segmentation head with expectation-maximisation attention; loads mmseg's checkpoints as is.

    Args:
        ema_channels: channels of the attention.
        num_bases: bases that a map is rewritten with.
        num_stages: EM steps.
        concat_input: whether the classifier sees the backbone's map too; the authors' does not.
        momentum: weight of the new bases in the moving average.
        bases_update: ``mmseg`` or ``official``; see :class:`mmext.layers.em_bases.EMBases`, as
            for the two arguments that follow.
        renorm_bases: give the moving average length 1 again.
        temperature: divides the logits of the E-step.
        host_cfg: every other argument of ``mmseg.EMAHead``.
    """

    def __init__(
        self,
        *,
        ema_channels: int,
        num_bases: int,
        num_stages: int,
        concat_input: bool = True,
        momentum: float = 0.1,
        bases_update: str = "mmseg",
        renorm_bases: bool = False,
        temperature: float = 1.0,
        **host_cfg: Any,
    ) -> None:
        super().__init__(ema_channels, num_bases, num_stages, concat_input, momentum, **host_cfg)
        hosts = self.get_submodule("ema_module")
        # The same seed gives the start that mmseg's head has, in all of the model.
        with torch.random.fork_rng(devices=[]):
            self.ema_module = EMBases(
                ema_channels,
                num_bases,
                num_stages,
                momentum,
                bases_update=bases_update,
                renorm_bases=renorm_bases,
                temperature=temperature,
            )
        self.ema_module.bases.copy_(hosts.get_buffer("bases"))


def from_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the authors' weights the names of an mmseg model with ``mmext.EMAHead``.

    The model needs ``concat_input=False``, no auxiliary head, ``align_corners=True`` and a
    ``ResNetV1c`` with ``stem_channels=128`` and ``multi_grid=(2, 8, 16)``.

    Args:
        weights: state dict of their ``EMANet``, with or without ``module.`` before each name.

    Raises:
        ValueError: a name that their network does not have.
    """
    renamed = {}
    for key, tensor in weights.items():
        name = key.removeprefix("module.")
        ours = [(theirs, new) for theirs, new in NAMES.items() if name.startswith(theirs)]
        if not ours:
            raise ValueError(
                f"{key}: expected a name of the authors' EMANet (extractor, fc0, emau, fc1 or "
                "fc2), got another; give the state dict of their network"
            )
        theirs, new = ours[0]
        renamed[new + name.removeprefix(theirs)] = tensor
    return renamed
