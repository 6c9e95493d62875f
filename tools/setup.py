"""Make the environment that everything else runs in: torch, mmcv with its ops, the hosts, mmext.

``make setup`` calls this with the system's own Python, so it needs the standard library alone. What can
stop it is checked before anything is installed. Each finished step leaves a hash of what it depends on in
``.venv/mmext-setup.json``: a second call does nothing, a changed pin repeats only its step, and after an
interruption the next call goes on (it starts ``.venv`` anew if something was cut off while writing there).

MMEXT_CUDA             1 builds mmcv's CUDA ops, 0 does not; unset: 1 if nvidia-smi lists a device
TORCH_CUDA_ARCH_LIST   the devices to build for, by default those that are present
MMEXT_CACHE            where the built mmcv wheels are kept, by default mmext in the user's cache folder
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import setup_checks as checks
from setup_checks import Stop

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
STACKS = ("openmmlab", "onedl")
BUILD_TOOLS = ("setuptools", "wheel", "ninja", "psutil", "packaging")
STATE = "mmext-setup.json"


@dataclass(frozen=True)
class Plan:
    """What to set up: the choices of the command line, and what the machine adds to them."""

    torch: str
    stack: str
    venv: Path
    cuda: bool = False
    archs: str = ""

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.venv / "bin" / "python"

    @property
    def mmcv(self) -> tuple[str, str]:
        """Name and version of the stack's mmcv."""
        return next(item for item in hosts(self.stack).items() if item[0].endswith("mmcv"))

    def wheel_folder(self, torch: str, cuda: str) -> Path:
        """Where the built wheel is kept; ``torch`` with its local tag, ``cuda`` as torch calls it."""
        ops = f"cuda{cuda}-{re.sub('[; ]+', '_', self.archs)}" if self.cuda else "cpu"
        python = f"cp{sys.version_info[0]}{sys.version_info[1]}-{sysconfig.get_platform()}"
        return cache(os.environ) / f"{'-'.join(self.mmcv)}-{python}-torch{torch}-{ops}"


class Step(NamedTuple):
    """One step; ``key`` is a hash of what its result depends on, ``writes`` tells whether it alters .venv."""

    name: str
    key: str
    run: Callable[[Plan], None]
    writes: bool = True


def make_plan(args: argparse.Namespace, env: Mapping[str, str]) -> Plan:
    """Complete the command line with what the machine has."""
    wish = env.get("MMEXT_CUDA")
    present = "" if wish == "0" else checks.device_archs()
    archs = env.get("TORCH_CUDA_ARCH_LIST") or present
    return Plan(args.torch, args.stack, Path(args.venv).absolute(), wish == "1" or bool(present), archs)


def hosts(stack: str) -> dict[str, str]:
    """Name and version of each host of a stack."""
    return pins((REQUIREMENTS / f"{stack}.txt").read_text())


def pins(text: str) -> dict[str, str]:
    """Read the ``name==version`` lines of a requirements file."""
    return dict(re.findall(r"^([\w.-]+)==([\w.+]+)", text, flags=re.M))


def cache(env: Mapping[str, str]) -> Path:
    """Folder of the built wheels."""
    user = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(env.get("MMEXT_CACHE") or user / "mmext").absolute()


def check(plan: Plan) -> None:
    """Check all that could stop this plan."""
    checks.check_python(sys.version_info)
    checks.check_torch(plan.torch)
    checks.check_venv(plan.venv, STATE)
    if plan.cuda:
        checks.check_archs(plan.archs)
    likely = plan.wheel_folder(f"{plan.torch}*", "*")  # torch's local tag is known only when it is installed
    if not any(likely.parent.glob(likely.name)):
        checks.check_compiler(os.environ, Path(sysconfig.get_path("include")))
        if plan.cuda:
            checks.check_nvcc(checks.find_nvcc(os.environ))
    if not plan.python.exists():
        where = next(folder for folder in plan.venv.parents if folder.exists())
        needed = checks.DISK_GB["cuda" if plan.cuda else "cpu"]
        checks.check_disk(shutil.disk_usage(where).free / 1e9, needed, where)


def call(*command: object, env: Mapping[str, str] | None = None) -> None:
    """Run a command that speaks for itself; stop with a sentence if it fails."""
    words = [str(word) for word in command]
    if subprocess.run(words, env=env, cwd=ROOT).returncode:
        raise Stop(
            f"failed: {' '.join(words)}; the lines above say why: mend that, then run make setup again"
        )


def pip(plan: Plan, verb: str, *words: object, env: Mapping[str, str] | None = None) -> None:
    """Run pip of the environment: all that it says for a person, only its errors for a log."""
    quiet = () if sys.stdout.isatty() else ("-qq",)
    call(plan.python, "-m", "pip", "--disable-pip-version-check", verb, *quiet, *words, env=env)


def install_torch(plan: Plan) -> None:
    """Install torch, and what mmcv is built with."""
    pip(plan, "install", "-c", REQUIREMENTS / "shared.txt", f"torch=={plan.torch}", *BUILD_TOOLS)


def built_wheel_folder(plan: Plan) -> Path:
    """Where the wheel for the installed torch is, or will be."""
    ask = "import torch; print(torch.__version__, torch.version.cuda)"
    told = subprocess.run([plan.python, "-c", ask], capture_output=True, text=True)
    if told.returncode:
        raise Stop(f"torch {plan.torch} cannot be imported here: {told.stderr.strip().splitlines()[-1]}")
    torch, cuda = told.stdout.split()
    if plan.cuda and cuda == "None":
        raise Stop(
            f"torch {torch} has no CUDA; name a build that has (TORCH=...), or run make setup MMEXT_CUDA=0"
        )
    return plan.wheel_folder(torch, cuda)


def build_mmcv(plan: Plan) -> None:
    """Build mmcv's wheel from source, unless it is in the cache, where it appears only when complete.

    pip's own cache stays out of it: it would give back a wheel that was built against another torch.
    """
    folder = built_wheel_folder(plan)
    if folder.exists():
        return
    name, version = plan.mmcv
    long = "half an hour on one core, less on more" if plan.cuda else "seven minutes on two cores"
    print(f"  from source, with its ops: this takes about {long}, once (kept in {folder.parent})", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
    try:
        how = ("--no-build-isolation", "--no-cache-dir", "--no-deps", "--no-binary", name, "-w", made)
        pip(plan, "wheel", *how, f"{name}=={version}", env=build_env(plan, os.environ))
        checks.check_wheel(next(made.glob("*.whl")))
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def build_env(plan: Plan, env: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that steer mmcv's build."""
    steer = {"MMCV_WITH_OPS": "1", "FORCE_CUDA": str(int(plan.cuda)), "MAX_JOBS": str(checks.num_jobs())}
    steer["CXX"] = env.get("CXX") or checks.find_compiler(env) or "c++"
    nvcc = checks.find_nvcc(env)
    if plan.cuda and nvcc:
        steer.update(TORCH_CUDA_ARCH_LIST=plan.archs, CUDA_HOME=str(Path(nvcc).resolve().parent.parent))
    if not plan.cuda:
        steer["CUDA_VISIBLE_DEVICES"] = ""  # mmcv builds CUDA ops wherever torch sees a device
    return {**env, **steer}


def install_mmcv(plan: Plan) -> None:
    """Install the built wheel, after removing the other stack's hosts: they share their folders."""
    others = {name for stack in STACKS for name in hosts(stack)} - set(hosts(plan.stack))
    pip(plan, "uninstall", "-y", *sorted(others))
    pip(plan, "install", "--no-deps", "--force-reinstall", *built_wheel_folder(plan).glob("*.whl"))


def install_packages(plan: Plan) -> None:
    """Install the other hosts and everything that they, the checks and the tests need."""
    pinned = [f"{name}=={version}" for name, version in hosts(plan.stack).items() if name != plan.mmcv[0]]
    files = ("-r", REQUIREMENTS / "shared.txt", "-r", REQUIREMENTS / "dev.txt")
    pip(plan, "install", "--no-deps", "--no-build-isolation", *pinned, *files)


def install_mmext(plan: Plan) -> None:
    """Install this checkout, editable."""
    pip(plan, "install", "--no-deps", "--no-build-isolation", "-e", ROOT)


def prove(plan: Plan) -> None:
    """Run an op and build a model of each host."""
    cuda = ["--cuda"] if plan.cuda and checks.device_archs() else []
    # mmaction2 refuses the mmcv of the forks at its first import.
    without = ["--without", "mmaction"] if plan.stack == "onedl" else []
    call(plan.python, ROOT / "tools" / "prove.py", *cuda, *without)


def steps(plan: Plan) -> list[Step]:
    """All steps, in order."""

    def key(*parts: object) -> str:
        texts = (part.read_text() if isinstance(part, Path) else str(part) for part in parts)
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]

    mmcv = key(plan.wheel_folder(plan.torch, "").name)
    locks = [REQUIREMENTS / f"{name}.txt" for name in (plan.stack, "shared", "dev")]
    package = [ROOT / "pyproject.toml", ROOT / "setup.py", ROOT / "mmext" / "version.py"]
    first = [
        Step("torch", key(plan.torch), install_torch),
        Step("mmcv's wheel", mmcv, build_mmcv, writes=False),
        Step("mmcv", mmcv, install_mmcv),
        Step("hosts and pinned packages", key(*locks), install_packages),
        Step("mmext", key(*package), install_mmext),
    ]
    proof = key(*(step.key for step in first[:-1]), ROOT / "tools" / "prove.py")  # of the hosts, not of mmext
    return [*first, Step("proof", proof, prove, writes=False)]


def load(plan: Plan) -> dict[str, str]:
    """Read which steps are done; nothing is, if the environment cannot be trusted."""
    path = plan.venv / STATE
    state = json.loads(path.read_text()) if path.exists() and plan.python.exists() else {}
    return state if state.get("python") == f"{sys.version_info[:2]}" and "writing" not in state else {}


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
    state["python"] = f"{sys.version_info[:2]}"


def set_up(plan: Plan) -> None:
    """Do the steps that are not done."""
    state = load(plan)
    todo = [step for step in steps(plan) if state.get(step.name) != step.key]
    if not todo:
        print(f"mmext is set up in {plan.venv}")
        return
    check(plan)
    if not state:
        print(f"mmext: making {plan.venv}", flush=True)
        make_venv(plan, state)
    for number, step in enumerate(todo, start=1):
        print(f"mmext: step {number} of {len(todo)}: {step.name}", flush=True)
        save(plan, {**state, **({"writing": step.name} if step.writes else {})})
        step.run(plan)
        state[step.name] = step.key
        save(plan, state)
    print(f"mmext is set up in {plan.venv}")


def main() -> None:
    """Read the command line and set up, or say in one sentence why not."""
    parser = argparse.ArgumentParser(description="Make the environment that mmext runs in.")
    parser.add_argument("--torch", required=True, help="version of torch")
    parser.add_argument("--stack", required=True, choices=STACKS, help="official packages or the forks")
    parser.add_argument("--venv", required=True, help="folder of the environment")
    try:
        set_up(make_plan(parser.parse_args(), os.environ))
    except Stop as stop:
        sys.exit(f"mmext set-up: {stop}")
    except KeyboardInterrupt:
        sys.exit("mmext set-up: interrupted; run make setup again, it goes on where it was")


if __name__ == "__main__":
    main()
