"""mmcv with its own compiled operators (``make setup OPS=mmcv``): built once, and kept.

The wheel is kept by Python, torch, CUDA and devices; pip's own cache stays out of it, since it
would give back a wheel that was built against another torch. mmcv's ``setup.py`` names a C++
standard that torch's headers have left behind, so that flag is taken out of it, and torch's build
names its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmext.doctor.machine_checks import COMPILERS, find_compiler, find_nvcc

from .installer import Installer, Stop, call

# CFLAGS take the place of Python's own, so all of them are said here; without -O3 the operators
# would not be optimised at all. What debuggers read would take as long to write as the code.
FLAGS = "-O3 -DNDEBUG -fwrapv -g0"
STANDARD = re.compile(r"(, *)?'-std=c\+\+17'")


class Build(NamedTuple):
    """What is built, and for what: mmcv's name and version, and the devices of CUDA operators."""

    name: str
    version: str
    cuda: bool = False
    archs: str = ""

    def folder(self, torch: str, cuda: str) -> Path:
        """Where the built wheel lies; ``torch`` with its local tag, ``cuda`` as torch calls it."""
        ops = f"cuda{cuda}-{re.sub('[; ]+', '_', self.archs)}" if self.cuda else "cpu"
        ops += FLAGS.split()[0]  # wheels that were built in another way are others
        python = f"cp{sys.version_info[0]}{sys.version_info[1]}-{sysconfig.get_platform()}"
        return cache(os.environ) / f"{self.name}-{self.version}-{python}-torch{torch}-{ops}"


def cache(env: Mapping[str, str]) -> Path:
    """Folder of the built wheels."""
    user = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(env.get("MMEXT_CACHE") or user / "mmext").absolute()


def check(build: Build, torch: str) -> None:
    """Check all that could stop a build, unless its wheel is there already."""
    if build.cuda and not build.archs:
        raise Stop(
            "MMEXT_CUDA=1 needs a device, or the list of devices to build for; try, for example, "
            "make setup OPS=mmcv MMEXT_CUDA=1 TORCH_CUDA_ARCH_LIST='8.0;9.0'"
        )
    likely = build.folder(f"{torch}*", "*")  # torch's local tag is known only when it is installed
    if not any(likely.parent.glob(likely.name)):
        check_compiler(os.environ, Path(sysconfig.get_path("include")), build.cuda)


def check_compiler(env: Mapping[str, str], include: Path, cuda: bool) -> None:
    """Expect a C++ compiler, Python's headers, and nvcc for CUDA operators."""
    without = "or leave it out: make setup needs no compiler"
    if find_compiler(env) is None:
        wanted = env.get("CXX") or ", ".join(COMPILERS)
        raise Stop(
            f"OPS=mmcv needs a C++ compiler and there is none ({wanted}); on Debian install g++, "
            f"{without}"
        )
    if not (include / "Python.h").exists():
        name = f"python3.{sys.version_info[1]}-dev"
        raise Stop(
            f"OPS=mmcv needs Python's headers and {include}/Python.h is missing; "
            f"on Debian install {name}, {without}"
        )
    if cuda and find_nvcc(env) is None:
        raise Stop(
            "mmcv's CUDA operators need nvcc and there is none; install the CUDA toolkit (and set "
            "CUDA_HOME) or build those for CPUs: make setup OPS=mmcv MMEXT_CUDA=0"
        )


def folder_of(build: Build, python: Path) -> Path:
    """Where the wheel for the installed torch is, or will be."""
    ask = "import torch; print(torch.__version__, torch.version.cuda)"
    told = subprocess.run([str(python), "-c", ask], capture_output=True, text=True)
    if told.returncode:
        raise Stop(
            f"torch cannot be imported here: {told.stderr.strip().splitlines()[-1]}; rm -rf the "
            "environment"
        )
    torch, cuda = told.stdout.split()
    if build.cuda and cuda == "None":
        raise Stop(
            f"torch {torch} has no CUDA; name a build that has (TORCH=...), "
            "or run make setup OPS=mmcv MMEXT_CUDA=0"
        )
    return build.folder(torch, cuda)


def make(build: Build, installer: Installer) -> Path:
    """Build the wheel, unless it is in the cache, where it appears only when complete."""
    folder = folder_of(build, installer.python)
    if folder.exists():
        return next(folder.glob("*.whl"))
    long = "half an hour on one core, less on more" if build.cuda else "eight minutes on two cores"
    print(
        f"mmext: mmcv from source: this takes about {long}, once (kept in {folder.parent})",
        flush=True,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
    env = variables(build, os.environ)
    how = ["-q", "--no-build-isolation", "--no-cache-dir", "--no-deps"]
    try:
        source = f"{build.name}=={build.version}"
        call(
            *installer.pip,
            "download",
            *how,
            "--no-binary",
            build.name,
            "-d",
            made / "source",
            source,
            env=env,
        )
        call(
            *installer.pip,
            "wheel",
            *how,
            "-w",
            made / "wheel",
            unpack(next((made / "source").iterdir())),
            env=env,
        )
        check_wheel(next((made / "wheel").glob("*.whl")))
        (made / "wheel").rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return next(folder.glob("*.whl"))


def unpack(archive: Path) -> Path:
    """Unpack mmcv's source and take the C++ standard out of its ``setup.py``."""
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as files:
        files.extractall(archive.parent, **safely)
    recipe = next(archive.parent.glob("*/setup.py"))
    recipe.write_text(STANDARD.sub("", recipe.read_text()))
    return recipe.parent


def variables(build: Build, env: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that steer mmcv's build."""
    steer = {"MMCV_WITH_OPS": "1", "FORCE_CUDA": str(int(build.cuda)), "MAX_JOBS": str(num_jobs())}
    steer["CFLAGS"] = f"{FLAGS} {env.get('CFLAGS', '')}".strip()
    steer["CXX"] = env.get("CXX") or find_compiler(env) or "c++"
    nvcc = find_nvcc(env)
    if build.cuda and nvcc:
        steer.update(
            TORCH_CUDA_ARCH_LIST=build.archs, CUDA_HOME=str(Path(nvcc).resolve().parent.parent)
        )
    if not build.cuda:
        # mmcv builds CUDA operators wherever torch sees a device.
        steer["CUDA_VISIBLE_DEVICES"] = ""
    return {**env, **steer}


def num_jobs(cores: int = 0, memory_gb: float = 0) -> int:
    """Compilers to run at once, by this machine's cores and memory: each takes up to 2 GB."""
    if not cores:
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    memory_gb = memory_gb or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(cores, int(memory_gb // 2)))


def check_wheel(wheel: Path) -> None:
    """Expect the compiled operators inside: a build that cannot make them succeeds without them."""
    if not any(name.startswith("mmcv/_ext") for name in zipfile.ZipFile(wheel).namelist()):
        raise Stop(
            f"{wheel.name} was built without mmcv/_ext, the compiled operators; see that "
            f"{sys.executable} has its headers and a compiler, then run make setup again"
        )
