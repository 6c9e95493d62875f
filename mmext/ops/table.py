"""Table of operators: which functions of ``mmcv._ext`` we serve, from which source, which is taken.

A function is registered under its operator's name with the names that mmcv calls it by
(``roi_align_forward``). mmcv passes tensors to be written into, and calls backward by itself, so
these functions are adapters: they call a formula and copy. They run outside of autocast, which has
no business with positions and indices.
"""

import functools
import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

import torch

from mmext.ops import switch

logger = logging.getLogger("mmext")

MODULES = (
    "nms",
    "boxes",
    "roi_align",
    "roi_pool",
    "deform_roi_pool",
    "deform_conv",
    "deform_attention",
    "focal_loss",
    "masked_conv",
    "carafe",
    "tin_shift",
    "psa_mask",
    "sync_bn",
    "info",
)
"""Modules of this package that register functions."""

_functions: dict[str, dict[str, Callable]] = {}
_operator_of: dict[str, str] = {}
_logged: set[str] = set()


def serves(operator: str, *names: str, source: str = "torch") -> Callable[[Callable], Callable]:
    """Register a function under the names that mmcv calls it by (by default the operator's own)."""

    def register(function: Callable) -> Callable:
        for name in names or (operator,):
            _functions.setdefault(name, {})[source] = _outside_autocast(function)
            _operator_of[name] = operator
        return function

    return register


def _outside_autocast(function: Callable) -> Callable:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        device = next((one.device.type for one in args if isinstance(one, torch.Tensor)), "cpu")
        # mmcv's autograd functions call backward by themselves: nothing in here may be recorded.
        with torch.no_grad(), torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return run


def load() -> None:
    """Import every module that registers functions."""
    for module in MODULES:
        importlib.import_module(f"mmext.ops.{module}")


def operator(name: str) -> Callable:
    """What ``mmcv._ext`` holds under ``name``: the chosen source's function, or one that refuses.

    The choice waits for the first call: importing torchvision takes a second, and it may lack an
    operator on a device.
    """
    if name not in _functions:
        return functools.partial(_refuse, name)

    def run(*args: Any, **kwargs: Any) -> Any:
        device = next((one.device.type for one in args if isinstance(one, torch.Tensor)), "cpu")
        source = choose(name, device)
        # Once an operator, not once a function: forward and backward come from one source.
        if _operator_of[name] not in _logged:
            _logged.add(_operator_of[name])
            logger.info("mmcv's operator %s is served by %s", _operator_of[name], source)
        return _functions[name][source](*args, **kwargs)

    return run


def choose(name: str, device: str) -> str:
    """Source of a function on a kind of device, ``torchvision`` or ``torch``."""
    if "torchvision" not in _functions[name] or switch.forced() == "torch":
        return "torch"
    return "torchvision" if switch.torchvision_serves(_operator_of[name], device) else "torch"


def _refuse(name: str, *_: Any, **__: Any) -> None:
    raise NotImplementedError(
        f"expected mmcv's compiled operator {name!r}, got neither mmcv's extension nor an operator "
        "of mmext of that name (no model of mmdet, mmseg or mmaction2 uses it); build mmcv with "
        "its extension: make setup OPS=mmcv, or pip install --no-build-isolation mmcv==2.1.0"
    )


def sources(device: str = "cpu") -> dict[str, str]:
    """Source of every operator that we know: ``mmcv``, ``torchvision`` or ``torch``.

    Args:
        device: kind of device to ask for, ``cpu`` or ``cuda``.

    Raises:
        ImportError: mmcv is not installed, or ``MMEXT_OPS=off`` and it has no extension.
    """
    load()
    extension = importlib.import_module("mmcv._ext")
    if not is_ours(extension):  # mmcv's own serves all that it has
        return dict.fromkeys(sorted(set(_operator_of.values())), "mmcv")
    return {
        one: choose(name, device)
        for name, one in sorted(_operator_of.items(), key=lambda item: item[1])
    }


def is_ours(extension: Any = None) -> bool:
    """Whether the ``mmcv._ext`` that is imported is our stand-in."""
    extension = extension or sys.modules.get("mmcv._ext")
    return getattr(extension, "SERVED_BY", None) == "mmext"
