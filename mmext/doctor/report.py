"""Look at the environment, name every trouble that can be seen, and say what cures it.

Run it with the Python that has the trouble, also where the hosts or mmext itself are missing or
broken. The exit code is 1 if there is a trouble; a warning leaves it 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import at_import, host_checks, machine_checks, stack_checks
from .facts import NEEDS, OK, TROUBLE, WARN, Finding, Machine

CHECKS = (
    *stack_checks.CHECKS,
    *machine_checks.CHECKS[:2],
    *host_checks.CHECKS,
    *machine_checks.CHECKS[2:],
)


def look() -> Machine:
    """Collect the facts; what can crash is asked in a process of its own."""
    errors, facts, served = probe_apart()
    cheap = at_import.look(sys.path, sys.version_info[:3], os.environ.get("MMEXT_OPS", ""))
    others = ("mmext", "pkg_resources", *NEEDS)
    found = {name for name in others if name == "mmext" or importlib.util.find_spec(name)}
    return cheap._replace(
        importable=cheap.importable | {name for name in found if not errors.get(name)},
        errors=errors,
        facts=facts,
        served=served,
        devices=tuple(arch for arch in machine_checks.device_archs().split(";") if arch),
        free_gb=shutil.disk_usage(sys.prefix).free / 1e9,
        cached=cached_by_pip(),
        drn_missing=drn_missing(),
    )


def drn_missing() -> bool:
    """Whether mmaction2 is installed without the folder that its own import needs."""
    spec = importlib.util.find_spec("mmaction")
    places = [
        Path(place, "models", "localizers")
        for place in (spec and spec.submodule_search_locations) or ()
    ]
    return any(place.exists() and not (place / "drn" / "drn.py").exists() for place in places)


def cached_by_pip() -> tuple[str, ...]:
    """Wheels of mmcv that pip built and kept."""
    command = [sys.executable, "-m", "pip", "cache", "list", "*mmcv*"]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    return tuple(re.findall(r"^ - (\S*mmcv-\S+\.whl)", out, flags=re.M))


def probe_apart() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Run the probe in a process of its own; if it crashes, what it was doing is the error."""
    probe = Path(__file__).with_name("probe.py")
    run = subprocess.run([sys.executable, str(probe)], capture_output=True, text=True)
    told: dict[str, dict[str, str]] = {"error": {}, "fact": {}, "served": {}}
    for kind, name, text in re.findall(
        r"^(error|fact|served)\t(.*?)\t(.*)$", run.stdout, flags=re.M
    ):
        told[kind][name] = text
    begun = re.findall(r"^begin\t(.*)$", run.stdout, flags=re.M)
    if begun and begun[-1] not in told["error"]:
        told["error"][begun[-1]] = f"the process died (exit code {run.returncode})"
    return told["error"], told["fact"], told["served"]


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


def main(argv: Sequence[str] | None = None) -> int:
    """Examine, print, and return the exit code."""
    argparse.ArgumentParser(
        prog="mmext doctor", description=__doc__ and __doc__.splitlines()[0]
    ).parse_args(argv)
    machine = look()
    findings = [check(machine) for check in CHECKS]
    show(findings)
    troubles, warnings = (
        sum(one.status == status for one in findings) for status in (TROUBLE, WARN)
    )
    print(f"{troubles} troubles, {warnings} warnings, {len(findings)} checks")
    return int(troubles > 0)
