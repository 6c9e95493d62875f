"""Finds ``mmcv._ext``: mmcv's own where it is installed and loads, else our stand-in.

The hosts import ``mmcv.ops`` long before a config's ``custom_imports``, so the wheel's
``mmext.pth`` puts a finder into ``sys.meta_path`` at Python's start. It compares names, and calls
:func:`find` for this one alone.
"""

import importlib.util
import logging
import sys
from collections.abc import Iterable
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "mmcv._ext"
STAND_IN = Path(__file__).with_name("extension.py")

logger = logging.getLogger("mmext")


def find(name: str, path: Iterable[str] | None) -> ModuleSpec | None:
    """Spec of ``mmcv._ext``, or None to leave it to the other finders.

    Args:
        name: module that is about to be imported.
        path: folders of the package mmcv.

    Raises:
        ImportError: ``MMEXT_OPS`` is none of its choices, or asks for what is not there.
    """
    from mmext.ops.switch import SWITCH, forced

    wish = forced()
    if name != NAME or wish == "off":
        return None
    own = PathFinder.find_spec(name, list(path) if path is not None else None)
    if own is None and wish == "mmcv":
        raise ImportError(
            f"{SWITCH}=mmcv: expected mmcv with its compiled extension, got an mmcv without; build "
            f"it (make setup OPS=mmcv), or unset {SWITCH}"
        )
    if own is None or wish in ("torch", "torchvision"):
        return importlib.util.spec_from_file_location(name, STAND_IN)
    if wish is None and isinstance(own.loader, ExtensionFileLoader):
        own.loader = _Loader(own.name, str(own.origin))
    return own


class _Loader(ExtensionFileLoader):
    """Loads mmcv's extension, or the stand-in if it was built for another torch."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            return super().create_module(spec)
        except ImportError as error:
            logger.warning("%s; mmext's operators serve instead", unfit(str(self.path), error))
            self.stand_in = importlib.util.spec_from_file_location(spec.name, STAND_IN)
            return importlib.util.module_from_spec(self.stand_in)  # type: ignore[arg-type]

    def exec_module(self, module: ModuleType) -> None:
        stand_in: Any = getattr(self, "stand_in", None)
        if stand_in is None:
            return super().exec_module(module)
        return stand_in.loader.exec_module(module)


def unfit(path: str, error: ImportError) -> str:
    """One sentence on an extension that does not load."""
    return (
        f"{path}: expected mmcv's extension to be built for the installed torch, got "
        f"{str(error).splitlines()[0]!r}; build it again (make setup OPS=mmcv), or install "
        "mmcv-lite==2.1.0 in its place"
    )


def install() -> None:
    """Put a finder in front, as ``mmext.pth`` does at Python's start; twice is once."""
    if not any(getattr(one, "MMEXT", False) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """What ``mmext.pth`` installs, for a Python started without it (mmext on PYTHONPATH alone)."""

    MMEXT = True

    @staticmethod
    def find_spec(
        name: str, path: Iterable[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        return find(name, path) if name == NAME else None
