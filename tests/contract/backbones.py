"""Every registered backbone, built as its small config does, and narrow where the host allows."""

import inspect
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from tests.contract.parts import Part, all_parts, forget_files

NARROW = dict(base_channels=8)


def backbones() -> list[Part]:
    """Parts that stand in for a host's backbone: one of their bases is such a class."""
    return [
        part
        for part in all_parts()
        if any(".models.backbones" in base.__module__ for base in part.cls.__mro__)
    ]


def accepted(part: Part) -> set[str]:
    """Names of all arguments, those that are handed on to the host included."""
    return {
        name for base in part.cls.__mro__ for name in inspect.signature(base.__init__).parameters
    }


def small_cfg(part: Part) -> dict[str, Any]:
    """How the part's small config builds it, without a file of weights."""
    cfg = Config.fromfile(part.small_configs[0])
    found = next(_mentions(cfg.model.to_dict(), f"mmext.{part.name}"))
    forget_files(found)
    found.pop("init_cfg", None)
    return {**found, **NARROW} if "base_channels" in accepted(part) else found


def _mentions(cfg: Any, kind: str):
    if isinstance(cfg, dict) and cfg.get("type") == kind:
        yield cfg
    for value in (
        cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, list | tuple) else ()
    ):
        yield from _mentions(value, kind)


def built(part: Part, **changes: Any) -> nn.Module:
    """One backbone; equal weights in every call."""
    cfg = {**small_cfg(part), **changes}
    cfg.pop("type")
    torch.manual_seed(0)
    return part.cls(**cfg)


def trained(net: nn.Module) -> nn.Module:
    """The same with numbers in every tensor that no initialisation gives."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=g) + 0.5)
    return net


def frames(part: Part, size: int = 64) -> torch.Tensor:
    """What a backbone takes: images, clips of eight frames in a row, or a clip (B, C, T, H, W)."""
    g = torch.Generator().manual_seed(2)
    if part.paper[0] != "action":
        return torch.randn(2, 3, size, size, generator=g)
    flat = "num_segments" in accepted(part)
    return torch.randn(*((8, 3) if flat else (1, 3, 4)), size, size, generator=g)
