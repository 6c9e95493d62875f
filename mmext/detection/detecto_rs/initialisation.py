"""How a backbone with feedback and switchable convolutions starts: what is new changes nothing yet.

Whatever a weights file holds is loaded; whatever it lacks because the paper added it starts as the
identity. So a network from a classifier's weights computes what the classifier's backbone computes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmdet.models.backbones import ResNet
from mmengine.logging import print_log
from mmengine.model import constant_init, initialize, kaiming_init
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.detection.detecto_rs.blocks import TakesFeedback
from mmext.engine import checkpoint
from mmext.errors import BadInputError, some
from mmext.layers.trained_start import names_a_file

PLAIN = ("weight", "bias", "running_mean", "running_var")
"""Tensors that a plain network's layer has; those of other names are new in this one."""


Cfgs = list[dict[str, Any]]


def parse(init_cfg: Any, pretrained: str | None = None) -> tuple[Cfgs, Cfgs]:
    """What ``init_cfg`` asks for: first those that draw weights, then those that load files.

    Args:
        init_cfg: of mmengine: None, a dict, or a list of dicts, whose types are names or classes.
        pretrained: a file; a short form.

    Raises:
        ValueError: it is nothing of these, or both are given.
    """
    if init_cfg is not None and pretrained is not None:
        raise ValueError(
            f"expected init_cfg or pretrained, got both: {init_cfg!r} and {pretrained!r}; keep "
            "init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    if pretrained is not None:
        init_cfg = dict(type="Pretrained", checkpoint=pretrained)
    cfgs = [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg or []
    if isinstance(cfgs, str) or not all(isinstance(one, Mapping) and "type" in one for one in cfgs):
        raise ValueError(
            f"init_cfg must be None, a dict or a list of dicts with a type, got {init_cfg!r}; a "
            "file goes into dict(type='Pretrained', checkpoint=...)"
        )
    files = [dict(one) for one in cfgs if names_a_file(one)]
    for one in files:
        if "checkpoint" not in one:
            raise ValueError(
                f"init_cfg of type 'Pretrained' must have a checkpoint, a file, got {one}"
            )
    return [dict(one) for one in cfgs if not names_a_file(one)], files


@contextmanager
def loads_of(module: nn.Module) -> Iterator[set[str]]:
    """Collect the names of ``module``'s tensors that any loading within brings, at whatever depth.

    So a trained start is told from a random one, whoever loads it: the module, its parents or its
    children.
    """
    found: set[str] = set()

    def note(
        name: str, one: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any
    ) -> None:
        for key, value in {**one._parameters, **one._buffers}.items():
            given = state_dict.get(prefix + key)
            if value is not None and given is not None and given.shape == value.shape:
                found.add(f"{name}.{key}" if name else key)

    hooks = [
        one.register_load_state_dict_pre_hook(partial(note, name))
        for name, one in module.named_modules()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def initialise(backbone: ResNet, others: Cfgs, files: Cfgs) -> set[str]:
    """Draw random weights, make what is new an identity, load files over it, and log one line.

    Args:
        backbone: one of ours.
        others: configs of mmengine's initialisers, which draw over the usual random weights.
        files: configs with ``checkpoint``, a path or address that mmengine reads, and perhaps
            ``prefix`` of the backbone's weights in the file, for example ``backbone.`` of a
            detector's.

    Returns:
        The keys that the files brought.

    Raises:
        BadInputError: a file is of another architecture.
    """
    # In this order: statistics are read off the weights as they are drawn, what is new comes to
    # rest after everything that draws, and files come last, so that nothing that they bring is
    # drawn over.
    draw(backbone)
    initialize(backbone, others)
    adopt_statistics(backbone)
    make_identities(backbone)
    known: set[str] = set()
    for file in files:
        known |= load(backbone, file["checkpoint"], file.get("prefix"))
    new = {
        name: kind
        for name, kind in identities(backbone)
        if not any(k.startswith(name) for k in known)
    }
    start = some(file["checkpoint"] for file in files) if files else "random weights"
    kinds = ", ".join(
        f"{list(new.values()).count(kind)} {kind}" for kind in sorted(set(new.values()))
    )
    print_log(
        f"{type(backbone).__name__} starts from {start}; {len(new)} new layers keep their identity "
        f"init{f' ({kinds})' if new else ''}",
        logger="current",
    )
    return known


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
    for block in blocks(backbone):
        if backbone.zero_init_residual:
            constant_init(getattr(block, block.LAST_NORM), 0)


def adopt_statistics(backbone: ResNet) -> None:
    """Let standardised convolutions, mmcv's and ours, act as plain ones with the drawn weights."""
    for _, module in plain_layers(backbone):
        if hasattr(module, "weight_gamma"):
            # One that loads a plain weight sets its statistics so.
            module.load_state_dict({"weight": module.weight.data.clone()}, strict=False)


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


def additions(backbone: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and value of parameters that the paper adds: feedback, all of a SAC but its weight."""
    for name, module in backbone.named_modules():
        if name.endswith(".rfp_conv") or is_sac(module):
            plain = () if name.endswith(".rfp_conv") else ("weight", "bias")
            for key, parameter in module.named_parameters():
                if key not in plain:
                    yield f"{name}.{key}", parameter


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
    # What a plain network of this architecture holds must be there; what the paper added may be
    # missing.
    needed = {
        f"{name}.{key}"
        for name, module in plain_layers(backbone)
        for key in module.state_dict()
        if key in PLAIN
    }
    # A classifier's head may be left over; keys below our own children that nobody knows may not.
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
        got = ", ".join(
            f"{len(keys)} {what} ({some(keys, 2)})" for what, keys in wrong.items() if keys
        )
        raise BadInputError(
            f"{file}: expected the weights of a {type(backbone).__name__} of depth "
            f"{backbone.depth} with base_channels={backbone.base_channels}, got {got}; give a file "
            "of the same architecture"
            + (", or prefix='backbone.' for a detector's" if prefix is None else "")
        )
    known = weights.keys() & own.keys()
    backbone.load_state_dict({key: weights[key] for key in known}, strict=False)
    return set(known)


def read(file: str, prefix: str | None) -> dict[str, Tensor]:
    """The tensors of a checkpoint, those below ``prefix`` if there is one."""
    # Addresses are mmengine's to fetch, through mmext.compat's safe reader; files are read by ours.
    remote = "://" in file
    content: Mapping[str, Any] = (
        CheckpointLoader.load_checkpoint(file, map_location="cpu")
        if remote
        else checkpoint.read(file)
    )
    weights = content.get("state_dict", content)
    weights = {
        checkpoint.MODULE_PREFIX.sub("", k): v for k, v in weights.items() if torch.is_tensor(v)
    }
    if prefix is None:
        return weights
    prefix = prefix if prefix.endswith(".") else f"{prefix}."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
