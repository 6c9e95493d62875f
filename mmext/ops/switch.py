"""``MMEXT_OPS``, and whether the installed torchvision fits the installed torch."""

import functools
import importlib
import logging
import os

from mmext.doctor.supported import OPERATOR_SOURCES

SWITCH = "MMEXT_OPS"

TORCHVISION = {
    "nms": "nms",
    "roi_align": "roi_align",
    "deform_conv": "deform_conv2d",
    "modulated_deform_conv": "deform_conv2d",
}
"""Operators that torchvision serves, and its own names for them."""

logger = logging.getLogger("mmext")


def forced() -> str | None:
    """Value of ``MMEXT_OPS``; None leaves the choice to us.

    Raises:
        ImportError: it is none of the choices (an error of this kind, since an import asks).
    """
    value = os.environ.get(SWITCH) or None
    if value not in (None, *OPERATOR_SOURCES):
        raise ImportError(
            f"{SWITCH}={value}: expected one of {', '.join(OPERATOR_SOURCES)}, or nothing; change "
            "it, or unset it"
        )
    return value


@functools.cache
def torchvision_error() -> str | None:
    """Why torchvision cannot serve, or None where it can; said once if one is installed."""
    import torch

    try:
        importlib.import_module("torchvision")
        torch.ops.torchvision.nms  # noqa: B018  raises if it is not there
    except Exception as error:  # a build for another torch fails in several ways
        missing = isinstance(error, ModuleNotFoundError) and error.name == "torchvision"
        text = "not installed" if missing else str(error).strip().splitlines()[0]
        if not missing:
            logger.warning(
                "expected a torchvision of the same build as torch %s, got one that fails with "
                "%r; plain PyTorch serves its operators; install the torchvision that fits (mmext "
                "doctor names it), or uninstall it",
                torch.__version__,
                text,
            )
        if forced() == "torchvision":
            raise ImportError(
                f"{SWITCH}=torchvision: expected a torchvision that fits torch "
                f"{torch.__version__}, got: {text}; install it (mmext doctor names the version), "
                f"or unset {SWITCH}"
            ) from error
        return text
    return None


@functools.cache
def torchvision_serves(operator: str, device: str) -> bool:
    """Whether torchvision has an operator for a kind of device: a CPU build has none for CUDA."""
    if operator not in TORCHVISION or torchvision_error() is not None:
        return False
    import torch

    key = {"cpu": "CPU", "cuda": "CUDA"}.get(device)
    return key is not None and torch._C._dispatch_has_kernel_for_dispatch_key(
        f"torchvision::{TORCHVISION[operator]}", key
    )
