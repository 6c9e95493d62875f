"""Operators and machine: who serves what, compiler, devices, room; also asked before a set-up.

The standard library alone, and no syntax that an old Python cannot read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from .facts import OK, TROUBLE, WARN, Finding, Machine, complete, fresh
from .supported import TORCH

COMPILERS = ("c++", "g++", "clang++")


def check_operators(m: Machine) -> Finding:
    """Expect that somebody serves each of mmcv's operators, and say who and why."""
    name, error = "operators", m.errors.get("operators")
    if m.version("mmcv") is None or "mmext" not in m.importable:
        missing = (
            "mmcv" if m.version("mmcv") is None else "mmext, which serves them without a compiler,"
        )
        return Finding(name, TROUBLE, f"{missing} is not installed", complete())
    if error:
        return Finding(name, TROUBLE, f"nobody serves them: {error}", fresh())
    alone = [operator for operator, source in m.served.items() if not source]
    if alone:
        detail = f"nobody serves {', '.join(alone)}"
        return Finding(
            name, WARN, detail, f"mmcv's own, for a model that needs them: {fresh(OPS='mmcv')}"
        )
    sources = [
        f"{source} serves {', '.join(operators)}"
        for source, operators in by_source(m.served).items()
    ]
    return Finding(name, OK, "; ".join([*sources, reason(m)]))


def by_source(served: Mapping[str, str]) -> dict[str, list[str]]:
    """Operators of each source."""
    found: dict[str, list[str]] = {}
    for operator, source in served.items():
        found.setdefault(source, []).append(operator)
    return found


def reason(m: Machine) -> str:
    """Why these sources: what would come before them is missing, unfit, or not wanted."""
    if m.wanted:
        return f"MMEXT_OPS={m.wanted} asks for it"
    extension, torchvision = m.errors.get("mmcv._ext"), m.errors.get("torchvision")
    told = (
        "mmcv has no extension of its own"
        if "mmcv/_ext" not in m.parts
        else "mmcv has its own extension"
    )
    if extension and "mmcv/_ext" in m.parts:
        told = f"mmcv's own extension does not load ({extension})"
    if "mmcv" in m.served.values():
        return told
    if m.version("torchvision") is None:
        return f"{told}, torchvision is not installed"
    return f"{told}, torchvision {'does not load' if torchvision else 'is there'}"


def check_extension(m: Machine) -> Finding:
    """An extension of mmcv that was built for another torch has symbols that nobody defines."""
    name, error = "mmcv's extension", m.errors.get("mmcv._ext")
    if "mmcv/_ext" not in m.parts:
        return Finding(name, OK, "none, and none is needed")
    if error:
        detail = f"expected one that was built for torch {m.version('torch')}, got: {error}"
        return Finding(
            name,
            TROUBLE,
            detail,
            f"{fresh()} (wheels alone), or {fresh(OPS='mmcv')} (builds it anew)",
        )
    return Finding(name, OK, "loads")


def check_cuda(m: Machine) -> Finding:
    """Expect that torch and the operators run on the devices that are there."""
    if not m.devices:
        return Finding("CUDA", OK, "no device")
    seen = f"device of capability {', '.join(m.devices)}"
    if m.facts.get("torch_cuda", "None") == "None":
        return Finding(
            "CUDA",
            WARN,
            f"{seen}, but torch is a CPU build",
            f"{fresh(TORCH='...')}, naming a CUDA build",
        )
    archs = m.facts.get("torch_archs", "").split()
    strange = [device for device in m.devices if not has_kernels(device, archs)]
    if strange:
        detail = (
            f"torch has no kernels for capability {', '.join(strange)}, only for {' '.join(archs)}"
        )
        return Finding("CUDA", TROUBLE, detail, f"{fresh(TORCH=TORCH)}")
    error = m.errors.get("operators on CUDA")
    if error:
        detail = f"{seen}, but the operators do not run on it: {error}"
        return Finding("CUDA", TROUBLE, detail, f"{fresh()}, or MMEXT_OPS=torch in the environment")
    return Finding("CUDA", OK, seen)


def has_kernels(device: str, archs: list[str]) -> bool:
    """Whether code built for ``archs`` runs on a device.

    ``sm_90`` is machine code, ``compute_90`` is compiled on demand.
    """
    major, minor = (int(part) for part in device.split("."))
    for arch in archs:
        kind, _, digits = re.sub(r"[a-z]$", "", arch).partition("_")
        built = (int(digits[:-1]), int(digits[-1]))
        if built <= (major, minor) and (kind == "compute" or built[0] == major):
            return True
    return False


def check_pip_cache(m: Machine) -> Finding:
    """A wheel that pip built is kept by it, and taken again for any torch."""
    if m.cached:
        detail = (
            f"pip would reuse {', '.join(m.cached)} whatever the torch, and with or without ops"
        )
        return Finding(
            "pip's cache", WARN, detail, "pip cache remove mmcv; pip cache remove onedl_mmcv"
        )
    return Finding("pip's cache", OK, "holds no mmcv")


def check_disk(m: Machine) -> Finding:
    """Expect some room."""
    if m.free_gb < 4:
        return Finding(
            "disk", WARN, f"{m.free_gb:.1f} GB free", "make room: an environment takes 2 to 8 GB"
        )
    return Finding("disk", OK, f"{m.free_gb:.0f} GB free")


def find_compiler(env: Mapping[str, str]) -> str | None:
    """The C++ compiler: ``$CXX`` if set, else the first one on the path."""
    candidates = env["CXX"].split()[:1] if env.get("CXX") else COMPILERS
    return next((name for name in candidates if shutil.which(name, path=env.get("PATH"))), None)


def find_nvcc(env: Mapping[str, str]) -> str | None:
    """The CUDA compiler: of ``$CUDA_HOME`` if set, else on the path, else where toolkits lie."""
    if env.get("CUDA_HOME"):
        return shutil.which(os.path.join(env["CUDA_HOME"], "bin", "nvcc"))
    return shutil.which("nvcc", path=env.get("PATH")) or shutil.which("/usr/local/cuda/bin/nvcc")


def device_archs() -> str:
    """Compute capabilities of the devices, as TORCH_CUDA_ARCH_LIST wants them; empty if none."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ";".join(sorted(set(re.findall(r"^\d+\.\d+$", out, flags=re.M))))


CHECKS = (check_operators, check_extension, check_cuda, check_pip_cache, check_disk)
