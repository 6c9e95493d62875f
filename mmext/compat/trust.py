"""Which files may run code: none, until a person says so.

Trust    ``MMEXT_TRUST=old/epoch_12.pth,old/scores.pkl`` names the files (or folders) that you trust
         as you trust a program; ``all`` stands for every file. Each use is logged as a warning.
Hosts    a guarded function of torch is shared by everybody, so its guard acts for the hosts alone
         and leaves what your own code asks for to you.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from mmext.compat.repair import logger
from mmext.errors import BadInputError

SWITCH = "MMEXT_TRUST"

HOSTS = ("mmengine", "mmcv", "mmdet", "mmseg", "mmaction")
BETWEEN = ("torch", "numpy", "mmext", "contextlib")
"""Packages that may stand between a host and a guarded function: torch.hub fetches, then loads."""

FILE_NAMES = ("filename", "file", "weights", "checkpoint")
"""What the hosts call the argument that holds a file's name."""


class UntrustedFileError(BadInputError):
    """A file that wants to run code, or holds code that the host would run."""


def refusal(file: str, got: str, advice: str) -> UntrustedFileError:
    """The one sentence that a person reads."""
    return UntrustedFileError(
        f"{file}: refused before anything of it ran, expected data, got {got}; {advice}, or set "
        f"{SWITCH}={file} if you trust it as you trust a program"
    )


def is_trusted(file: str) -> bool:
    """Say whether a person trusts ``file``, and warn that it may run code."""
    entries = {entry.strip() for entry in os.environ.get(SWITCH, "").split(",")} - {""}
    path = _resolved(file)
    by_path = any(path.is_relative_to(_resolved(entry)) for entry in entries)
    if "all" not in entries and file not in entries and not by_path:
        return False
    logger.warning("%s may run code: it is trusted through %s", file, SWITCH)
    return True


def _resolved(file: str) -> Path:
    return Path(file).expanduser().resolve()


def asked_by_host() -> bool:
    """Say whether a host called the guarded function, directly or through torch."""
    outer = (frame for frame in _callers() if _package(frame) not in BETWEEN)
    return _package(next(outer, None)) in HOSTS


def name_of(file: Any = None) -> str:
    """Name of a file, or of what the host is reading if it hands over no more than bytes."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    if isinstance(name := getattr(file, "name", None), str):
        return name
    found = []
    for frame in _callers():
        if _package(frame) in HOSTS:
            if "temp_config_file" in frame.f_locals:  # mmengine reads a copy of the config
                return str(frame.f_locals["filename"])
            found += [frame.f_locals[name] for name in FILE_NAMES if name in frame.f_locals]
    return next((os.fspath(one) for one in found if isinstance(one, str | os.PathLike)), "a file")


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _package(frame: FrameType | None) -> str:
    return "" if frame is None else str(frame.f_globals.get("__name__", "")).partition(".")[0]
