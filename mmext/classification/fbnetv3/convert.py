"""Weights of other code under our names: timm's b, d and g, and files of mobile-vision.

timm            https://github.com/huggingface/pytorch-image-models, weights ra2_in1k, Apache-2.0;
                trained with symmetric padding
mobile-vision   https://github.com/facebookresearch/mobile-vision, CC BY-NC 4.0: a user's own file,
                of which the averaged weights (model_ema) are taken where they are; trained with
                official padding
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmext.classification.fbnetv3.arch import ARCHS, FEATURES
from mmext.errors import BadInputError

# A pattern: what takes its place. Patterns name a whole prefix, so at most one fits.
MOBILE_VISION = {
    r"backbone\.stages\.xif0_0\.": "backbone.stem.",
    r"backbone\.stages\.xif6_0\.pw\.": "head.expand.",
    r"backbone\.stages\.xif6_0\.pwl\.conv\.": "head.features.",
    r"head\.conv\.": "head.fc.",
    r"backbone\.stages\.xif([1-5])_(\d+)\.pw\.": "backbone.stages.{stage}.{block}.expand.",
    r"backbone\.stages\.xif([1-5])_(\d+)\.dw\.": "backbone.stages.{stage}.{block}.depthwise.",
    r"backbone\.stages\.xif([1-5])_(\d+)\.se\.se\.0\.conv\.": (
        "backbone.stages.{stage}.{block}.se.squeeze."
    ),
    r"backbone\.stages\.xif([1-5])_(\d+)\.se\.se\.1\.": (
        "backbone.stages.{stage}.{block}.se.excite."
    ),
    r"backbone\.stages\.xif([1-5])_(\d+)\.pwl\.": "backbone.stages.{stage}.{block}.project.",
}
TIMM = {
    r"conv_stem\.": "backbone.stem.conv.",
    r"bn1\.": "backbone.stem.bn.",
    r"blocks\.6\.0\.conv\.": "head.expand.conv.",
    r"blocks\.6\.0\.bn1\.": "head.expand.bn.",
    r"conv_head\.": "head.features.",
    r"classifier\.": "head.fc.",
    # Blocks of the first stage widen nothing: their names count from the depthwise convolution.
    r"blocks\.(0)\.(\d+)\.conv_dw\.": "backbone.stages.{stage}.{block}.depthwise.conv.",
    r"blocks\.(0)\.(\d+)\.bn1\.": "backbone.stages.{stage}.{block}.depthwise.bn.",
    r"blocks\.(0)\.(\d+)\.conv_pw\.": "backbone.stages.{stage}.{block}.project.conv.",
    r"blocks\.(0)\.(\d+)\.bn2\.": "backbone.stages.{stage}.{block}.project.bn.",
    r"blocks\.([1-5])\.(\d+)\.conv_pw\.": "backbone.stages.{stage}.{block}.expand.conv.",
    r"blocks\.([1-5])\.(\d+)\.bn1\.": "backbone.stages.{stage}.{block}.expand.bn.",
    r"blocks\.([1-5])\.(\d+)\.conv_dw\.": "backbone.stages.{stage}.{block}.depthwise.conv.",
    r"blocks\.([1-5])\.(\d+)\.bn2\.": "backbone.stages.{stage}.{block}.depthwise.bn.",
    r"blocks\.([1-5])\.(\d+)\.se\.conv_reduce\.": "backbone.stages.{stage}.{block}.se.squeeze.",
    r"blocks\.([1-5])\.(\d+)\.se\.conv_expand\.": "backbone.stages.{stage}.{block}.se.excite.",
    r"blocks\.([1-5])\.(\d+)\.conv_pwl\.": "backbone.stages.{stage}.{block}.project.conv.",
    r"blocks\.([1-5])\.(\d+)\.bn3\.": "backbone.stages.{stage}.{block}.project.bn.",
}
SOURCES = {"conv_stem.weight": "timm", "backbone.stages.xif0_0.conv.weight": "mobile-vision"}


def convert(found: Mapping[str, Any]) -> tuple[dict[str, Tensor], str, str]:
    """Weights of an ``ImageClassifier`` of FBNetV3 and FBNetV3Head from a file of other code.

    Args:
        found: what the file holds: a state dict, or one under ``model_ema``, ``state_dict`` or
            ``model``.

    Returns:
        The weights, the architecture's name, and whose file it was.

    Raises:
        BadInputError: it is no FBNetV3 of these two, or lacks some of its tensors.
    """
    source = _state_dict(found)
    whose = next((who for name, who in SOURCES.items() if name in source), None)
    if whose is None:
        raise BadInputError(
            "expected weights of timm's or mobile-vision's FBNetV3, got names such as "
            f"{next(iter(source), 'none')!r}; convert only such files"
        )
    renamed = {_renamed(name, whose, source): tensor for name, tensor in source.items()}
    weights = {name: one for name, one in renamed.items() if name}
    if "head.fc.weight" in weights:  # mobile-vision's classifier is a convolution
        weights["head.fc.weight"] = weights["head.fc.weight"].flatten(1)
    return weights, _check(weights, whose), whose


def _state_dict(found: Mapping[str, Any]) -> dict[str, Tensor]:
    for key in ("model_ema", "state_dict", "model"):
        if isinstance(found.get(key), Mapping):
            found = found[key]
            break
    return {
        name.removeprefix("module."): one for name, one in found.items() if torch.is_tensor(one)
    }


def _renamed(name: str, whose: str, source: Mapping[str, Tensor]) -> str:
    """Our name of a tensor; empty if it has none."""
    for pattern, new in (TIMM if whose == "timm" else MOBILE_VISION).items():
        if (fits := re.match(pattern, name)) is None:
            continue
        if fits.lastindex:
            stage, block = int(fits[1]), int(fits[2])
            if whose == "mobile-vision":
                stage -= 1  # theirs counts the stem as a stage
            elif stage > 3:  # theirs cuts the stage at stride 16 in two
                first = {one.split(".")[2] for one in source if one.startswith("blocks.3.")}
                stage, block = stage - 1, block + (len(first) if stage == 4 else 0)
            new = new.format(stage=stage, block=block)
        return new + name[fits.end() :]
    return ""


def _check(weights: Mapping[str, Tensor], whose: str) -> str:
    """The architecture whose tensors these are, all of them and of its shapes."""
    # Here, since this module is read by commands that need no network.
    from mmext.classification.fbnetv3.backbone import FBNetV3
    from mmext.classification.fbnetv3.head import FBNetV3Head

    classes = len(weights["head.fc.weight"]) if "head.fc.weight" in weights else 1000
    missing: dict[str, list[str]] = {}
    for arch in ARCHS:
        with torch.device("meta"):
            net = FBNetV3(arch, out_indices=(4,)).state_dict(prefix="backbone.")
            net |= FBNetV3Head(classes, arch).state_dict(prefix="head.")
        missing[arch] = [
            name
            for name, one in net.items()
            if name not in weights or weights[name].shape != one.shape
        ]
        if not missing[arch] and len(net) == len(weights):
            return arch
    near = min(missing, key=lambda arch: len(missing[arch]))
    raise BadInputError(
        f"expected all tensors of one FBNetV3 ({', '.join(ARCHS)}) with a head of {FEATURES} "
        f"features, got {len(weights)} from a file of {whose}, of which {near} lacks "
        f"{len(missing[near])}, such as {next(iter(missing[near]), 'none')}; give the whole file "
        "of one of these networks"
    )
