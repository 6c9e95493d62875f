"""What can stop a set-up, checked before anything is installed; each check ends in one sentence for a person.

Used by ``tools/setup.py`` with the system's own Python: the standard library alone, and no syntax that an
old Python cannot read, since telling its owner so is one of the checks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

PYTHONS = ((3, 10), (3, 12))
TORCHES = ((2, 4), (2, 13))
COMPILERS = ("c++", "g++", "clang++")
DISK_GB = {"cpu": 4, "cuda": 10}
"""Free space that torch, the hosts and the build need."""


class Stop(Exception):  # noqa: N818 - it is no error of the program
    """The set-up cannot go on; the message is one sentence that says what to do."""


def check_python(version: tuple[int, ...]) -> None:
    """Expect a Python that both stacks run on."""
    if not PYTHONS[0] <= tuple(version[:2]) <= PYTHONS[1]:
        got = ".".join(map(str, version[:2]))
        raise Stop(
            f"mmext needs Python 3.10 to 3.12, got {got}; name another one: make setup PYTHON=python3.11"
        )


def check_torch(torch: str) -> None:
    """Expect a complete torch version within the supported range."""
    found = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)?(\+\w+)?", torch)
    if not found or not TORCHES[0] <= (int(found[1]), int(found[2])) <= TORCHES[1]:
        raise Stop(f"mmext needs torch 2.4 to 2.13, got {torch!r}; name another one: make setup TORCH=2.13.0")


def check_venv(venv: Path, mark: str) -> None:
    """Expect the venv module with pip inside, and a folder that is ours: new, empty, or with our ``mark``."""
    if not (find_spec("venv") and find_spec("ensurepip")):
        name = f"python3.{sys.version_info[1]}-venv"
        raise Stop(f"this Python cannot make virtual environments; install its package, on Debian {name}")
    if venv.exists() and not (venv / mark).exists() and (not venv.is_dir() or any(venv.iterdir())):
        raise Stop(
            f"{venv} was not made by this set-up; remove it, or name another: make setup VENV=.venv-mmext"
        )


def check_compiler(env: Mapping[str, str], include: Path) -> None:
    """Expect a C++ compiler and Python's headers, which mmcv's ops are built with."""
    if find_compiler(env) is None:
        wanted = env.get("CXX") or ", ".join(COMPILERS)
        raise Stop(f"mmcv's ops need a C++ compiler and there is none ({wanted}); install one, on Debian g++")
    if not (include / "Python.h").exists():
        name = f"python3.{sys.version_info[1]}-dev"
        raise Stop(
            f"mmcv's ops need Python's headers and {include}/Python.h is missing; on Debian install {name}"
        )


def check_nvcc(nvcc: str | None) -> None:
    """Expect the CUDA compiler where CUDA ops are wanted."""
    if nvcc is None:
        raise Stop(
            "mmcv's CUDA ops need nvcc and there is none; install the CUDA toolkit (and set CUDA_HOME), or "
            "build the CPU ops: make setup MMEXT_CUDA=0"
        )


def check_archs(archs: str) -> None:
    """Expect to know the devices that CUDA ops are built for."""
    if not archs:
        raise Stop(
            "MMEXT_CUDA=1 needs a device, or the list of devices to build for; try, for example, "
            "make setup MMEXT_CUDA=1 TORCH_CUDA_ARCH_LIST='8.0;9.0'"
        )


def check_disk(free_gb: float, needed_gb: float, where: Path) -> None:
    """Expect room for torch and the build."""
    if free_gb < needed_gb:
        raise Stop(
            f"the set-up needs about {needed_gb} GB and {where} has {free_gb:.1f} GB free; make room, or "
            "name a folder elsewhere: make setup VENV=/elsewhere/venv"
        )


def check_wheel(wheel: Path) -> None:
    """Expect the compiled ops inside: a build that could not make them succeeds without them."""
    if not any(name.startswith("mmcv/_ext") for name in zipfile.ZipFile(wheel).namelist()):
        raise Stop(
            f"{wheel.name} was built without mmcv/_ext, the compiled ops; see that {sys.executable} has its "
            "headers and a compiler, then run make setup again"
        )


def find_compiler(env: Mapping[str, str]) -> str | None:
    """The C++ compiler: ``$CXX`` if set, else the first one on the path."""
    candidates = env["CXX"].split()[:1] if env.get("CXX") else COMPILERS
    return next((name for name in candidates if shutil.which(name, path=env.get("PATH"))), None)


def find_nvcc(env: Mapping[str, str]) -> str | None:
    """The CUDA compiler: of ``$CUDA_HOME`` if set, else on the path, else where toolkits are put."""
    if env.get("CUDA_HOME"):
        return shutil.which(os.path.join(env["CUDA_HOME"], "bin", "nvcc"))
    return shutil.which("nvcc", path=env.get("PATH")) or shutil.which("/usr/local/cuda/bin/nvcc")


def device_archs() -> str:
    """Compute capabilities of the devices, as TORCH_CUDA_ARCH_LIST wants them; empty without a device."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ";".join(sorted(set(re.findall(r"^\d+\.\d+$", out, flags=re.M))))


def num_jobs(cores: int = 0, memory_gb: float = 0) -> int:
    """Compilers to run at once, by this machine's cores and memory: each takes up to 2 GB."""
    if not cores:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_gb = memory_gb or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(cores, int(memory_gb // 2)))
