"""Look at the environment, name every trouble that can be seen, and say what cures it.

Run ``python tools/doctor.py`` with the Python that has the trouble, also where the hosts are missing or
broken. The exit code is 1 if there is a trouble; a warning leaves it 0. ``doctor_checks.py`` has the checks.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from doctor_checks import CHECKS
from doctor_facts import HOSTS, NEEDS, OK, TROUBLE, WARN, Finding, Machine
from setup_checks import device_archs, find_compiler

NUMPY_NAMES = ("float", "Inf", "trapz", "in1d")


def look() -> Machine:
    """Collect the facts; what can crash is asked in a process of its own."""
    errors, facts = probe_apart()
    return Machine(
        python=sys.version_info[:3],
        versions=distributions(),
        importable=frozenset(
            name for name in ("mmext", "pkg_resources", *NEEDS) if importlib.util.find_spec(name)
        ),
        errors=errors,
        facts=facts,
        devices=tuple(arch for arch in device_archs().split(";") if arch),
        compiler=find_compiler(os.environ),
        free_gb=shutil.disk_usage(sys.prefix).free / 1e9,
        cached=cached_by_pip(),
        drn_missing=drn_missing(),
    )


def distributions() -> dict[str, str]:
    """Name (lower case, hyphens) and version of everything that is installed."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name:  # a half-removed package has none
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one.version)
    return found


def drn_missing() -> bool:
    """Whether mmaction2 is installed without the folder that its own import needs."""
    spec = importlib.util.find_spec("mmaction")
    places = [
        Path(place, "models", "localizers") for place in (spec and spec.submodule_search_locations) or ()
    ]
    return any(place.exists() and not (place / "drn" / "drn.py").exists() for place in places)


def cached_by_pip() -> tuple[str, ...]:
    """Wheels of mmcv that pip built and kept."""
    command = [sys.executable, "-m", "pip", "cache", "list", "*mmcv*"]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    return tuple(re.findall(r"^ - (\S*mmcv-\S+\.whl)", out, flags=re.M))


def probe_apart() -> tuple[dict[str, str], dict[str, str]]:
    """Run :func:`probe` in a process of its own; if it crashes, what it was doing is the error."""
    run = subprocess.run([sys.executable, __file__, "--probe"], capture_output=True, text=True)
    errors: dict[str, str] = {}
    facts: dict[str, str] = {}
    for kind, name, text in re.findall(r"^(error|fact)\t(.*?)\t(.*)$", run.stdout, flags=re.M):
        (errors if kind == "error" else facts)[name] = text
    begun = re.findall(r"^begin\t(.*)$", run.stdout, flags=re.M)
    if begun and begun[-1] not in errors:
        errors[begun[-1]] = f"the process died (exit code {run.returncode})"
    return errors, facts


def probe() -> None:
    """Import and try things one by one, and say what happened, a line each."""
    attempt("torch", ask_torch)
    attempt("numpy", ask_numpy)
    attempt("mmengine", ask_mmengine)
    attempt("mmcv._ext", partial(importlib.import_module, "mmcv._ext"))
    for host in HOSTS:
        attempt(host, partial(importlib.import_module, host))
    attempt("mmcv on CUDA", run_on_cuda)


def attempt(name: str, action: Callable[[], object]) -> None:
    """Try one thing."""
    print(f"begin\t{name}", flush=True)
    try:
        action()
        error = ""
    except BaseException as problem:  # whatever it is, it is what the doctor was asked to find
        error = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
    print(f"error\t{name}\t{error}", flush=True)


def fact(name: str, value: object) -> None:
    """Report a fact."""
    print(f"fact\t{name}\t{value}", flush=True)


def ask_torch() -> None:
    """Ask torch what it was built with."""
    import torch

    fact("distributed", torch.distributed.is_available())
    fact("torch_cuda", torch.version.cuda)
    fact("torch_archs", " ".join(torch.cuda.get_arch_list()))


def ask_numpy() -> None:
    """Ask numpy for the names that it has removed; before mmdet, since mmext would add them there."""
    import warnings

    import numpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fact("numpy_gone", ", ".join(name for name in NUMPY_NAMES if not hasattr(numpy, name)))


def ask_mmengine() -> None:
    """Ask mmengine whether it knows the standard library in pure-Python configs."""
    from mmengine.config.utils import _is_builtin_module

    fact("builtin_os", _is_builtin_module("os"))


def run_on_cuda() -> None:
    """Run an op of mmcv on the GPU, if torch sees one."""
    import torch

    if torch.cuda.is_available():
        from mmcv.ops import nms

        box = torch.tensor([[0.0, 0, 1, 1]], device="cuda")
        nms(box, box[:, 2], 0.5)


def show(findings: list[Finding]) -> None:
    """Print the table, with rich if it is there, and below it what to do."""
    try:
        from rich import print as show_one
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        for one in findings:
            print(f"{one.status:9}{one.name}: {one.detail}")
    else:
        table = Table("", "what", "found")
        colour = {OK: "green", WARN: "yellow", TROUBLE: "red"}
        for one in findings:
            table.add_row(f"[{colour[one.status]}]{one.status}[/]", one.name, escape(one.detail))
        show_one(table)
    for one in findings:
        if one.status != OK:  # outside the table, in one piece, so that it can be copied
            print(f"{one.status}: {one.name}\n    {one.cure}")


def main() -> int:
    """Examine, print, and return the exit code."""
    machine = look()
    findings = [check(machine) for check in CHECKS]
    show(findings)
    troubles, warnings = (sum(one.status == status for one in findings) for status in (TROUBLE, WARN))
    print(f"{troubles} troubles, {warnings} warnings, {len(findings)} checks")
    return int(troubles > 0)


if __name__ == "__main__":
    if "--probe" in sys.argv:
        probe()
    else:
        sys.exit(main())
