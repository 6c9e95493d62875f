"""One place knows which Python, torch and torchvision mmext runs on, and which two go together."""

from __future__ import annotations

import os
import re
import sys

from .facts import OK, TROUBLE, WARN, Finding, fresh, numbers

PYTHONS = ((3, 10), (3, 13))
TORCHES = ((2, 4), (2, 14))
"""The oldest, and the newest that was tested."""
OPERATOR_SOURCES = ("mmcv", "torchvision", "torch", "off")
"""What ``MMEXT_OPS`` may say."""
TORCH = "2.14.1"
"""What a set-up takes by default."""


def check_python(version: tuple[int, ...]) -> Finding:
    """Expect a Python that the hosts run on."""
    got = ".".join(map(str, version[:2]))
    if PYTHONS[0] <= tuple(version[:2]) <= PYTHONS[1]:
        return Finding("Python", OK, got)
    return Finding(
        "Python",
        TROUBLE,
        f"expected {_range(PYTHONS)}, got {got}",
        f"{fresh(PYTHON='python3.12')}, or another of them",
    )


def check_torch(version: str) -> Finding:
    """Expect a torch that is new enough; one that is newer than the tested ones is only doubted."""
    cure = f"{fresh(TORCH=TORCH)}"
    found = re.fullmatch(r"\d+\.\d+(\.\d+)?((a|b|rc|\.dev)\d+)?(\+[\w.]+)?", version)
    if not found or numbers(version)[:2] < TORCHES[0]:
        expected = f"expected a version from {_dotted(TORCHES[0])} on, such as {TORCH}"
        return Finding("torch", TROUBLE, f"{expected}, got {version!r}", cure)
    if numbers(version)[:2] > TORCHES[1] or found[2]:
        return Finding(
            "torch",
            WARN,
            f"expected {_range(TORCHES)}, which are tested, got {version}",
            f"{cure} if it fails",
        )
    return Finding("torch", OK, version)


def torchvision_for(torch: str) -> str:
    """Series of torchvision that is made for a torch.

    >>> torchvision_for("2.14.1"), torchvision_for("2.4.0+cpu")
    ('0.29', '0.19')
    """
    return f"0.{numbers(torch)[1] + 15}"


def is_cpu_build(version: str) -> bool:
    """Whether a version's local tag says so, as in ``2.13.0+cpu``."""
    return version.partition("+")[2].startswith("cpu")


def untagged_is_cuda() -> bool:
    """Whether a build without a local tag is for CUDA, as on Linux and Windows with x86."""
    # The module platform takes long to import.
    machine = os.uname().machine if hasattr(os, "uname") else "AMD64"
    return sys.platform != "darwin" and machine in ("x86_64", "AMD64")


def check_pair(torch: str, torchvision: str) -> Finding:
    """Expect the torchvision built together with this torch; both versions with local tags."""
    tag = "+cpu" if is_cpu_build(torch) else ""
    wanted = f"{torchvision_for(torch)}.*{tag}"
    if numbers(torchvision)[:2] != numbers(wanted.replace("*", "0"))[:2]:
        detail = f"expected {wanted} beside torch {torch}, got {torchvision}"
    elif untagged_is_cuda() and is_cpu_build(torch) != is_cpu_build(torchvision):
        detail = f"expected the same build as torch {torch}, got {torchvision}"
    else:
        return Finding("torchvision", OK, f"{torchvision}, made for torch 2.{numbers(torch)[1]}")
    cure = "pip uninstall -y torchvision (plain PyTorch then serves its operators)"
    if not tag:
        cure = f"pip install --no-deps 'torchvision=={wanted}', or {cure}"
    return Finding("torchvision", TROUBLE, detail, cure)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _range(ends: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    return f"{_dotted(ends[0])} to {_dotted(ends[1])}"
