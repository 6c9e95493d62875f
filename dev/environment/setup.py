"""Make the environment that everything else runs in: torch, the hosts, mmext; wheels alone, by default.

``make setup`` calls this with the system's own Python, so it needs the standard library alone. What can
stop it is checked before anything is installed. Each finished step leaves a hash of what it depends on in
``.venv/mmext-setup.json``: a second call does nothing, a changed pin repeats only its step, and after an
interruption the next call goes on (it starts ``.venv`` anew if something was cut off while writing there).

MMEXT_CUDA             OPS=mmcv: 1 builds CUDA operators, 0 does not; unset: 1 if nvidia-smi lists a device
TORCH_CUDA_ARCH_LIST   the devices to build for, by default those that are present
MMEXT_CACHE            where the built mmcv wheels are kept, by default mmext in the user's cache folder
MMEXT_INSTALLER        pip: install with pip where uv could be had, too
UV_*, PIP_*            where packages come from, as uv and pip read it (UV_TORCH_BACKEND=cpu: PyTorch's CPU builds)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Mapping, NamedTuple

from . import ROOT, installer, mmcv_wheel
from .installer import PINS, REQUIREMENTS, Installer, Stop, call  # isort: split

from mmext.doctor import at_import, supported
from mmext.doctor.facts import OK, TROUBLE, distributions
from mmext.doctor.machine_checks import device_archs

STACKS = ("openmmlab", "onedl")
STATE = "mmext-setup.json"


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
        name, version = next(pin for pin in self.pins().items() if re.fullmatch(r".*mmcv(-lite)?", pin[0]))
        return mmcv_wheel.Build(name.replace("-lite", ""), version, self.cuda, self.archs)

    def pins(self) -> dict[str, str]:
        """Name and version of what the stack adds to the shared pins."""
        return installer.versions((REQUIREMENTS / f"{self.stack}.txt").read_text())


class Step(NamedTuple):
    """One step; ``key`` is a hash of what its result depends on, ``writes`` tells whether it alters .venv."""

    name: str
    key: str
    run: Callable[[Plan, Installer], None]
    writes: bool = True


def make_plan(args: argparse.Namespace, env: Mapping[str, str]) -> Plan:
    """Complete the command line with what the machine has."""
    wish = env.get("MMEXT_CUDA")
    present = "" if wish == "0" else device_archs()
    archs = env.get("TORCH_CUDA_ARCH_LIST") or present
    cuda = wish == "1" or bool(present)
    return Plan(args.torch, args.stack, Path(args.venv).absolute(), args.torchvision or "auto", args.ops, cuda, archs)


def check(plan: Plan) -> None:
    """Check all that could stop this plan."""
    for one in (supported.check_python(sys.version_info), supported.check_torch(plan.torch)):
        if one.status == TROUBLE:
            raise Stop(one.sentence().replace("rm -rf .venv; ", ""))
        if one.status != OK:
            print(f"mmext: {one.sentence()}", flush=True)
    if not (find_spec("venv") and find_spec("ensurepip")):
        name = f"python3.{sys.version_info[1]}-venv"
        raise Stop(f"this Python cannot make virtual environments; install its package, on Debian {name}")
    venv = plan.venv
    if venv.exists() and not (venv / STATE).exists() and (not venv.is_dir() or any(venv.iterdir())):
        raise Stop(
            f"{venv} was not made by this set-up; remove it, or name another: make setup VENV=.venv-mmext"
        )
    if plan.ops:
        mmcv_wheel.check(plan.mmcv, plan.torch)


def check_disk(free: int, fetched: int, where: Path) -> None:
    """Expect room for the downloads, which unpack to about twice their size, and for mmext's own caches."""
    needed = 3 * fetched + 1_000_000_000
    if free < needed:
        raise Stop(
            f"the set-up needs {installer.describe(needed)} and {where} has {free / 1e9:.1f} GB free; make room, or "
            "name a folder elsewhere: make setup VENV=/elsewhere/venv"
        )


def install_packages(plan: Plan, tool: Installer) -> None:
    """Install torch, the hosts, and everything that they, the checks and the tests need."""
    built = plan.mmcv.name if plan.ops else ""
    hosts = [f"{name}=={version}" for name, version in plan.pins().items() if not built or name not in (built, f"{built}-lite")]
    wishes = installer.choices(plan.torch, plan.torchvision, plan.cuda)
    if tool.uv:
        lock = installer.make_lock(tool, wishes, "\n".join(hosts), plan.venv)
        size = installer.to_fetch(tool, lock)
        check_disk(shutil.disk_usage(plan.venv).free, size, plan.venv)
        print(f"  {installer.describe(size)} to download" if size else "  nothing to download", flush=True)
        tool.run("--no-deps", "-r", lock)
    else:
        installer.use_pip(tool, wishes[-2:], hosts)
    for sentence in installer.remarks(installed(plan), plan.torchvision):
        print(f"  {sentence}", flush=True)


def make_mmcv(plan: Plan, tool: Installer) -> None:
    """Build mmcv's wheel."""
    mmcv_wheel.make(plan.mmcv, tool)


def install_mmcv(plan: Plan, tool: Installer) -> None:
    """Install the built wheel."""
    tool.run("--no-deps", *mmcv_wheel.folder_of(plan.mmcv, plan.python).glob("*.whl"))


def install_mmext(plan: Plan, tool: Installer) -> None:
    """Install this checkout, editable."""
    tool.run("--no-deps", "--no-build-isolation", "-e", ROOT)


def prove(plan: Plan, tool: Installer) -> None:
    """Run an operator and build a model of each host."""
    cuda = ["--cuda"] if plan.cuda and device_archs() else []
    call(plan.python, ROOT / "dev" / "environment" / "prove.py", *cuda)


def steps(plan: Plan) -> list[Step]:
    """All steps, in order."""

    def key(*parts: object) -> str:
        texts = (part.read_text() if isinstance(part, Path) else str(part) for part in parts)
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]

    locks = [REQUIREMENTS / f"{name}.txt" for name in (plan.stack, *PINS)]
    packages = key(plan.torch, plan.torchvision, plan.kind, *locks)
    package = [ROOT / "pyproject.toml", ROOT / "setup.py", ROOT / "mmext" / "version.py"]
    mmcv = key(plan.mmcv.folder(plan.torch, "").name) if plan.ops else ""
    own = [Step("mmcv's wheel", mmcv, make_mmcv, writes=False), Step("mmcv", mmcv, install_mmcv)]
    proof = key(packages, mmcv, ROOT / "dev" / "environment" / "prove.py")  # of the hosts, not of mmext
    return [
        Step("torch, hosts and pinned packages", packages, install_packages),
        *(own if plan.ops else []),
        Step("mmext", key(*package), install_mmext),
        Step("proof", proof, prove, writes=False),
    ]


def load(plan: Plan) -> dict[str, str]:
    """Read which steps are done; nothing is, if the environment cannot be trusted or is of another kind."""
    path = plan.venv / STATE
    state = json.loads(path.read_text()) if path.exists() and plan.python.exists() else {}
    return state if state.get("kind") == plan.kind and "writing" not in state else {}


def save(plan: Plan, state: dict[str, str]) -> None:
    """Write it, in one piece."""
    fresh = plan.venv / f"{STATE}.new"
    fresh.write_text(json.dumps(state, indent=1))
    fresh.replace(plan.venv / STATE)


def make_venv(plan: Plan, state: dict[str, str]) -> None:
    """Make the environment from scratch."""
    shutil.rmtree(plan.venv, ignore_errors=True)
    plan.venv.mkdir(parents=True)
    save(plan, {"writing": "venv"})
    call(sys.executable, "-m", "venv", plan.venv)
    state["kind"] = plan.kind


def packages_folder(plan: Plan) -> list[str]:
    """Where the environment's packages are."""
    return [str(path) for path in plan.venv.glob("lib/python3*/site-packages")]


def installed(plan: Plan) -> dict[str, str]:
    """Name and version of everything in the environment."""
    return distributions(packages_folder(plan))


def finish(plan: Plan) -> None:
    """Say that the environment is there, unless somebody has damaged it since."""
    troubles = at_import.troubles(at_import.look(packages_folder(plan), sys.version_info[:2]))
    if troubles:
        raise Stop(f"{plan.venv} is set up, but was changed since; {'; '.join(troubles)}")
    print(f"mmext is set up in {plan.venv}")


def set_up(plan: Plan) -> None:
    """Do the steps that are not done."""
    state = load(plan)
    todo = [step for step in steps(plan) if state.get(step.name) != step.key]
    if not todo:
        return finish(plan)
    check(plan)
    if not state:
        print(f"mmext: making {plan.venv}", flush=True)
        make_venv(plan, state)
    tool = installer.find(plan.python, os.environ)
    for number, step in enumerate(todo, start=1):
        print(f"mmext: step {number} of {len(todo)}: {step.name}", flush=True)
        save(plan, {**state, **({"writing": step.name} if step.writes else {})})
        step.run(plan, tool)
        state[step.name] = step.key
        save(plan, state)
    return finish(plan)


def main() -> None:
    """Read the command line and set up, or say in one sentence why not."""
    parser = argparse.ArgumentParser(description="Make the environment that mmext runs in.")
    parser.add_argument("--torch", default=supported.TORCH, help="version of torch")
    parser.add_argument("--torchvision", default="auto", help="auto, none, or a version: the pair, literally")
    parser.add_argument("--stack", default="openmmlab", choices=STACKS, help="official packages or the forks")
    parser.add_argument("--ops", default="", choices=("", "mmcv"), help="mmcv: build its own compiled operators")
    parser.add_argument("--venv", default=".venv", help="folder of the environment")
    try:
        set_up(make_plan(parser.parse_args(), os.environ))
    except Stop as stop:
        sys.exit(f"mmext set-up: {stop}")
    except KeyboardInterrupt:
        sys.exit("mmext set-up: interrupted; run make setup again, it goes on where it was")


if __name__ == "__main__":
    main()
