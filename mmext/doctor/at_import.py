"""What ``import mmext`` says about the environment: the checks that only need a look at folders.

Nothing is imported and nothing is read but the names in the folders of ``sys.path``: a few
milliseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder

from . import stack_checks
from .facts import TROUBLE, Machine, distributions
from .supported import PYTHONS

CHECKS = (
    stack_checks.check_python,
    stack_checks.check_pair,
    stack_checks.check_families,
    stack_checks.check_halves,
    stack_checks.check_wish,
)


def look(
    paths: Sequence[str], python: tuple[int, ...] = sys.version_info[:2], wanted: str = ""
) -> Machine:
    """Collect the cheap facts about what is installed in these folders."""
    homes = {name: home for name in stack_checks.IMPORTS for home in [_home(name, paths)] if home}
    inside = os.listdir(homes["mmcv"]) if "mmcv" in homes else []
    parts = {f"mmcv/{name.partition('.')[0]}" for name in inside}
    return Machine(
        python,
        distributions(paths),
        importable=frozenset(homes),
        parts=frozenset(parts),
        wanted=wanted,
    )


def _home(package: str, paths: Sequence[str]) -> str:
    """Folder of a package; a leftover folder without any code does not count."""
    spec = PathFinder.find_spec(package, list(paths))
    return os.path.dirname(spec.origin) if spec and spec.origin else ""


def require_python(version: tuple[int, ...] = sys.version_info[:2]) -> None:
    """Refuse a Python that cannot read the rest of mmext.

    Raises:
        ImportError: it is too old.
    """
    if version < PYTHONS[0]:
        raise ImportError(stack_checks.check_python(Machine(version, {})).sentence())


def troubles(machine: Machine) -> list[str]:
    """Each trouble among the cheap facts, as one sentence."""
    return [one.sentence() for one in (check(machine) for check in CHECKS) if one.status == TROUBLE]


def warnings() -> list[str]:
    """Each trouble of this environment that can be seen so, as one sentence."""
    return troubles(look(sys.path, wanted=os.environ.get("MMEXT_OPS", "")))
