"""How a backbone with feedback and switchable convolutions starts: what is new changes nothing yet.

Whatever a weights file holds is loaded; whatever it lacks because the paper added it starts as the
identity. So a network from a classifier's weights computes what the classifier's backbone computes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmdet.models.backbones import ResNet
from mmengine.logging import print_log
from mmengine.model import constant_init, kaiming_init
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.detection.detecto_rs.blocks import TakesFeedback
from mmext.engine import checkpoint
from mmext.errors import BadInputError, some

PLAIN = ("weight", "bias", "running_mean", "running_var")
"""Tensors that a plain network's layer has; those of other names are new in this one."""


def initialise(backbone: ResNet, file: str | None = None, prefix: str | None = None) -> None:
    """Draw random weights, make what is new an identity, load ``file`` over it, and log one line.

    Args:
        backbone: one of ours.
        file: a path or address that mmengine reads; None for random weights.
        prefix: of the backbone's weights in the file, for example ``backbone.`` of a detector's.

    Raises:
        BadInputError: the file is of another architecture.
    """
    draw(backbone)
    make_identities(backbone)
    known: set[str] = set()
    if file is not None:
        known = load(backbone, file, prefix)
    new = {name: kind for name, kind in identities(backbone) if not any(k.startswith(name) for k in known)}
    kinds = ", ".join(f"{list(new.values()).count(kind)} {kind}" for kind in sorted(set(new.values())))
    print_log(
        f"{type(backbone).__name__} starts from {file or 'random weights'}; {len(new)} new layers keep their "
        f"identity init{f' ({kinds})' if new else ''}",
        logger="current",
    )


def plain_layers(backbone: ResNet) -> Iterator[tuple[str, Any]]:
    """Name and module of the convolutions and norms that a plain network has too."""
    for name, module in backbone.named_children():
        if not name.startswith("layer"):  # the stem
            yield from module.named_modules(prefix=name)
    for stage in backbone.res_layers:
        for i, block in enumerate(getattr(backbone, stage)):
            for name, module in block.named_children():
                if name == "downsample":
                    yield from module.named_modules(prefix=f"{stage}.{i}.{name}")
                elif name != "rfp_conv":
                    yield f"{stage}.{i}.{name}", module


def draw(backbone: ResNet) -> None:
    """Random convolutions, and norms that pass on what they get or, at a block's end, nothing."""
    for _, module in plain_layers(backbone):
        if isinstance(module, nn.Conv2d):
            kaiming_init(module)
        elif isinstance(module, (_BatchNorm, nn.GroupNorm)):
            constant_init(module, 1)
        if hasattr(module, "weight_gamma"):
            # A standardised convolution that loads a plain weight sets its statistics so as to act like it.
            module.load_state_dict({"weight": module.weight.data.clone()}, strict=False)
    for block in blocks(backbone):
        if backbone.zero_init_residual:
            constant_init(getattr(block, block.LAST_NORM), 0)


def blocks(backbone: ResNet) -> Iterator[TakesFeedback]:
    """All residual blocks."""
    for stage in backbone.res_layers:
        yield from getattr(backbone, stage)


def identities(backbone: ResNet) -> Iterator[tuple[str, str]]:
    """What starts as an identity: how its keys begin, and what kind of layer it belongs to."""
    for name, module in backbone.named_modules():
        if is_sac(module):
            yield f"{name}.switch.", "SAC"
        elif name.endswith(".rfp_conv"):
            yield f"{name}.", "rfp_conv"


def is_sac(module: nn.Module) -> bool:
    """Whether it is a switchable convolution, mmcv's or ours."""
    return hasattr(module, "weight_diff") and hasattr(module, "switch")


@torch.no_grad()
def make_identities(backbone: ResNet) -> None:
    """Feedback changes nothing, switches choose the plain convolution, offsets point nowhere."""
    for block in blocks(backbone):
        block.forget_feedback()
        offset = getattr(getattr(block, "conv2", None), "conv_offset", None)
        if offset is not None:
            constant_init(offset, 0)
    for module in backbone.modules():
        if is_sac(module):
            module.weight_diff.zero_()
            for name, child in module.named_children():
                constant_init(child, 0, bias=1 if name == "switch" else 0)


def load(backbone: ResNet, file: str, prefix: str | None) -> set[str]:
    """Load a file, and tell which of its keys were used."""
    weights = read(file, prefix)
    own = backbone.state_dict()
    needed = {
        f"{name}.{key}"
        for name, module in plain_layers(backbone)
        for key in module.state_dict()
        if key in PLAIN
    }
    children = tuple(f"{name}." for name, _ in backbone.named_children())
    wrong = {
        "missing": sorted(needed - weights.keys()),
        "unknown": sorted(k for k in weights.keys() - own.keys() if k.startswith(children)),
        "of another shape": sorted(
            f"{k} {tuple(weights[k].shape)} instead of {tuple(own[k].shape)}"
            for k in weights.keys() & own.keys()
            if weights[k].shape != own[k].shape
        ),
    }
    if any(wrong.values()):
        got = ", ".join(f"{len(keys)} {what} ({some(keys, 2)})" for what, keys in wrong.items() if keys)
        raise BadInputError(
            f"{file}: expected the weights of a {type(backbone).__name__} of depth {backbone.depth} with "
            f"base_channels={backbone.base_channels}, got {got}; give a file of the same architecture"
            + (", or prefix='backbone.' for a detector's" if prefix is None else "")
        )
    known = weights.keys() & own.keys()
    backbone.load_state_dict({key: weights[key] for key in known}, strict=False)
    return set(known)


def read(file: str, prefix: str | None) -> dict[str, Tensor]:
    """The tensors of a checkpoint, those below ``prefix`` if there is one."""
    remote = "://" in file
    content: Mapping[str, Any] = (
        CheckpointLoader.load_checkpoint(file, map_location="cpu") if remote else checkpoint.read(file)
    )
    weights = content.get("state_dict", content)
    weights = {checkpoint.MODULE_PREFIX.sub("", k): v for k, v in weights.items() if torch.is_tensor(v)}
    if prefix is None:
        return weights
    prefix = prefix if prefix.endswith(".") else f"{prefix}."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
