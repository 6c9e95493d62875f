"""Make the environment that all else runs in: torch, the hosts, mmext; wheels alone, by default.

``make setup`` calls this with the system's own Python, so it needs the standard library alone. What
can stop it is checked before anything is installed. A finished set-up leaves a hash of what it
depends on in ``.venv/mmext-setup``: a second call does nothing, and after a change uv alters what
differs. What was cut off is made anew, out of uv's cache and that of built wheels, so no download
and no build is repeated.

MMEXT_CUDA             OPS=mmcv: 1 builds CUDA operators, 0 does not; unset: 1 if nvidia-smi lists a
                       device
TORCH_CUDA_ARCH_LIST   the devices to build for, by default those that are present
MMEXT_CACHE            where the built mmcv wheels are kept, by default mmext in the user's cache
                       folder
MMEXT_INSTALLER        pip: install with pip where uv could be had, too
UV_*, PIP_*            where packages come from, as uv and pip read it (UV_TORCH_BACKEND=cpu:
                       PyTorch's own)
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mmext.doctor import at_import, facts, supported
from mmext.doctor.facts import OK, STAMP, TROUBLE, distributions
from mmext.doctor.machine_checks import device_archs

from . import ROOT, installer, mmcv_wheel
from .installer import PINS, REQUIREMENTS, Stop, call

STACKS = ("openmmlab", "onedl")


class Plan(NamedTuple):
    """What to set up: the choices of the command line, and what the machine adds to them."""

    torch: str
    stack: str
    venv: Path
    torchvision: str = "auto"
    ops: str = ""
    cuda: bool = False
    archs: str = ""

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.venv / "bin" / "python"

    @property
    def kind(self) -> str:
        """What one environment cannot be both of: families and editions write the same folders."""
        return f"Python {sys.version_info[0]}.{sys.version_info[1]}, {self.stack}, OPS={self.ops}"

    @property
    def mmcv(self) -> mmcv_wheel.Build:
        """The stack's mmcv as it is built."""
        name, version = next(
            pin for pin in self.pins().items() if re.fullmatch(r".*mmcv(-lite)?", pin[0])
        )
        return mmcv_wheel.Build(name.replace("-lite", ""), version, self.cuda, self.archs)

    def pins(self) -> dict[str, str]:
        """Name and version of what the stack adds to the shared pins."""
        return installer.versions((REQUIREMENTS / f"{self.stack}.txt").read_text())


def make_plan(args: argparse.Namespace, env: Mapping[str, str]) -> Plan:
    """Complete the command line with what the machine has."""
    wish = env.get("MMEXT_CUDA")
    present = "" if wish == "0" else device_archs()
    archs = env.get("TORCH_CUDA_ARCH_LIST") or present
    cuda = wish == "1" or bool(present)
    return Plan(
        args.torch,
        args.stack,
        Path(args.venv).absolute(),
        args.torchvision or "auto",
        args.ops,
        cuda,
        archs,
    )


def check(plan: Plan) -> None:
    """Check all that could stop this plan."""
    for one in (supported.check_python(sys.version_info[:2]), supported.check_torch(plan.torch)):
        if one.status == TROUBLE:
            raise Stop(one.sentence().replace("rm -rf .venv; ", ""))
        if one.status != OK:
            print(f"mmext: {one.sentence()}", flush=True)
    if not (find_spec("venv") and find_spec("ensurepip")):
        name = f"python3.{sys.version_info[1]}-venv"
        raise Stop(
            f"this Python cannot make virtual environments; install its package, on Debian {name}"
        )
    venv = plan.venv
    if venv.exists() and not (venv / STAMP).exists() and (not venv.is_dir() or any(venv.iterdir())):
        raise Stop(
            f"{venv} was not made by this set-up; remove it, or name another: make setup "
            "VENV=.venv-mmext"
        )
    if plan.ops:
        mmcv_wheel.check(plan.mmcv, plan.torch)


def check_disk(free: int, fetched: int, where: Path) -> None:
    """Expect room for downloads, which unpack to about twice their size, and mmext's own caches."""
    needed = 3 * fetched + 1_000_000_000
    if free < needed:
        raise Stop(
            f"the set-up needs {installer.describe(needed)} and {where} has {free / 1e9:.1f} GB "
            "free; make room, or name a folder elsewhere: make setup VENV=/elsewhere/venv"
        )


def stamp(plan: Plan) -> str:
    """What a finished set-up leaves: what it made, and a hash of all that this depends on."""
    files = [REQUIREMENTS / f"{name}.txt" for name in (plan.stack, *PINS)]
    files += [ROOT / "pyproject.toml", ROOT / "setup.py"]
    files += [ROOT / "mmext" / "version.py", ROOT / "mmext" / "start.pth"]
    files += [ROOT / "dev" / "environment" / "prove.py"]
    built = plan.mmcv.folder(plan.torch, "").name if plan.ops else ""
    texts = [plan.torch, plan.torchvision, built, *(path.read_text() for path in files)]
    return f"{plan.kind}\n{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()}\n"


def make_venv(plan: Plan) -> None:
    """Make the environment from scratch, unless it is whole and of this kind."""
    mark = plan.venv / STAMP
    if mark.exists() and plan.python.exists() and mark.read_text().splitlines()[:1] == [plan.kind]:
        mark.write_text("unfinished")
        return
    print(f"mmext: making {plan.venv}", flush=True)
    shutil.rmtree(plan.venv, ignore_errors=True)
    plan.venv.mkdir(parents=True)
    mark.write_text("unfinished")
    call(sys.executable, "-m", "venv", plan.venv)


def install(plan: Plan) -> None:
    """Install torch, the hosts, what they, checks and tests need, this checkout; then prove it."""
    tool = installer.find(plan.python, os.environ)
    left_out = {plan.mmcv.name, f"{plan.mmcv.name}-lite"} if plan.ops else set()
    hosts = [f"{name}=={version}" for name, version in plan.pins().items() if name not in left_out]
    wishes = installer.choices(plan.torch, plan.torchvision, plan.cuda)
    if tool.uv:
        words = installer.resolve(tool, wishes, hosts, plan.venv)
        size = installer.to_fetch(tool, words, plan.venv)
        check_disk(shutil.disk_usage(plan.venv).free, size, plan.venv)
        print(f"mmext: {installer.describe(size) if size else 'nothing'} to download", flush=True)
        tool.run(*words)
    else:
        installer.use_pip(tool, wishes[-2:], hosts)
    found = distributions(site_packages(plan))
    if "torchvision" in found and (plan.torchvision == "none" or not installer.fits(found)):
        # What pip took all the same, or is left.
        call(*tool.pip, "uninstall", "-q", "-y", "torchvision")
        del found["torchvision"]
    for sentence in installer.remarks(found, plan.torchvision):
        print(f"mmext: {sentence}", flush=True)
    if plan.ops:
        tool.run("--no-deps", "--force-reinstall", mmcv_wheel.make(plan.mmcv, tool))
    tool.run("--no-deps", "--no-build-isolation", "-e", ROOT)
    flags = [
        *(["--cuda"] if plan.cuda and device_archs() else []),
        *(["--extension"] if plan.ops else []),
    ]
    call(plan.python, ROOT / "dev" / "environment" / "prove.py", *flags)


def site_packages(plan: Plan) -> list[str]:
    """Where the environment's packages are."""
    return [str(path) for path in plan.venv.glob("lib/python3*/site-packages")]


def set_up(plan: Plan) -> None:
    """Make what is not made yet, and say that it is there, unless somebody has damaged it since."""
    facts.OURS = True  # cures are for the environment that is made, not for the one that runs this
    mark, done = plan.venv / STAMP, stamp(plan)
    if not (mark.exists() and plan.python.exists() and mark.read_text() == done):
        check(plan)
        make_venv(plan)
        install(plan)
        mark.write_text(done)
    troubles = at_import.troubles(at_import.look(site_packages(plan), sys.version_info[:2]))
    if troubles:
        raise Stop(f"{plan.venv} is set up, but was changed since; {'; '.join(troubles)}")
    print(f"mmext is set up in {plan.venv}")


def main() -> None:
    """Read the command line and set up, or say in one sentence why not."""
    parser = argparse.ArgumentParser(description="Make the environment that mmext runs in.")
    parser.add_argument("--torch", default=supported.TORCH, help="version of torch")
    parser.add_argument(
        "--torchvision", default="auto", help="auto, none, or a version: the pair, literally"
    )
    parser.add_argument(
        "--stack", default="openmmlab", choices=STACKS, help="official packages or the forks"
    )
    parser.add_argument(
        "--ops", default="", choices=("", "mmcv"), help="mmcv: build its own compiled operators"
    )
    parser.add_argument("--venv", default=".venv", help="folder of the environment")
    try:
        set_up(make_plan(parser.parse_args(), os.environ))
    except Stop as stop:
        sys.exit(f"mmext set-up: {stop}")
    except KeyboardInterrupt:
        sys.exit("mmext set-up: interrupted; run make setup again, it goes on where it was")


if __name__ == "__main__":
    main()
