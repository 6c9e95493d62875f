"""What the doctor's checks work with: the facts about an environment, and what a check finds.

The standard library alone, and no syntax that an old Python cannot read: the doctor has to work in
the environments that do not. ``import mmext`` passes here too, so nothing slow is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

OK, WARN, TROUBLE = "ok", "warn", "trouble"
HOSTS = {"mmdet": "mmdet", "mmseg": "mmsegmentation", "mmaction": "mmaction2"}
"""Import name and distribution of each host."""
FORKS = {
    "mmengine": "onedl-mmengine",
    "mmcv": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
    "mmsegmentation": "onedl-mmsegmentation",
}
"""Distribution of each official package and of its fork, which has the same import name."""
NEEDS = {
    "ftfy": "mmsegmentation",
    "regex": "mmsegmentation",
    "importlib_metadata": "mmaction2",
    "einops": "mmaction2",
    "decord": "mmaction2",
}
"""What a host imports undeclared (decord is declared, but has wheels for few platforms)."""
BUILD = "install --no-build-isolation --no-cache-dir --no-deps mmcv==2.1.0"
"""What pip is told for mmcv with its operators: isolated from torch it silently omits them."""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECKOUT = os.path.exists(os.path.join(ROOT, "Makefile"))
"""Whether this is a checkout, where ``make setup`` is and pip installs from a folder."""
STAMP = "mmext-setup"
"""What ``make setup`` leaves in an environment that it has made, and may make anew."""


class Finding(NamedTuple):
    """Result of one check; ``cure`` is a command or a sentence, for whatever is not ok."""

    name: str
    status: str
    detail: str
    cure: str = ""

    def sentence(self) -> str:
        """All of it in one line: what was expected and found, and what to do."""
        return f"{self.name}: {self.detail}; do: {self.cure}"


class Machine(NamedTuple):
    """Facts about an environment; those that were not asked for are empty.

    Args:
        python: major and minor version.
        versions: each installed distribution, in lower case with hyphens, and its version.
        importable: those of the names that the checks ask for which can be found.
        errors: what failed in a process of its own, with the error; what worked has an empty text.
        facts: what else that process found out.
        served: source of each operator, as :func:`mmext.ops.sources` tells.
        wanted: the source that ``MMEXT_OPS`` asks for.
        parts: paths inside packages that were looked for and found, as ``mmcv/ops``.
        devices: compute capability of each GPU.
        cached: mmcv wheels in pip's own cache.
    """

    python: tuple[int, ...]
    versions: Mapping[str, str]
    importable: frozenset[str] = frozenset()
    errors: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    served: Mapping[str, str] = {}
    wanted: str = ""
    parts: frozenset[str] = frozenset()
    devices: tuple[str, ...] = ()
    free_gb: float = 0
    cached: tuple[str, ...] = ()
    drn_missing: bool = False

    def version(self, name: str) -> str | None:
        """Version of a distribution, its fork, or mmcv's edition without compiled operators."""
        names = (name, FORKS.get(name, name), *(["mmcv-lite"] if name == "mmcv" else []))
        return next((self.versions[one] for one in names if one in self.versions), None)

    def at_least(self, name: str, *wanted: int) -> bool:
        """Whether a distribution (or its fork) is installed in this version or a later one."""
        version = self.version(name)
        return version is not None and numbers(version) >= wanted

    def below(self, name: str, *limit: int) -> bool:
        """Whether a distribution (or its fork) is installed in an earlier version."""
        version = self.version(name)
        return version is not None and numbers(version) < limit


def repaired(m: Machine, name: str, detail: str, cure: str) -> Finding:
    """A trouble that is none where mmext is installed."""
    if "mmext" in m.importable:
        return Finding(name, OK, f"{detail}; mmext repairs it when it is imported")
    return Finding(
        name,
        TROUBLE,
        detail,
        f"{cure}, or use mmext, which repairs it: pip install {'.' if CHECKOUT else 'mmext'}",
    )


def made_here() -> bool:
    """Whether this checkout's ``make setup`` made the running environment, so may make it anew."""
    return CHECKOUT and os.path.exists(os.path.join(sys.prefix, STAMP))


OURS = made_here()
"""The set-up itself, which runs outside of the environment that it makes, says so here."""


def package(stack: str = "openmmlab") -> str:
    """What pip is told for mmext and a stack."""
    return f"'.[{stack}]'" if CHECKOUT else f"'mmext[{stack}]'"


def complete() -> str:
    """What adds what is missing to the environment at hand."""
    return "make setup" if OURS else f"pip install {package()}"


def fresh(ours: bool | None = None, **choices: str) -> str:
    """What makes a new environment, since nothing mends an old one.

    An environment that somebody else has made is left alone: a new one is made beside it.

    Args:
        ours: whether ``make setup`` has made the one at hand; None: as it is.
        choices: its variables.

    >>> fresh(False, STACK="onedl", PYTHON="python3.12").replace("mmext[", ".[")
    "python3.12 -m venv fresh; fresh/bin/pip install '.[onedl]'"
    """
    if OURS if ours is None else ours:
        venv, same = _as_set_up()
        words = [f"{name}={value}" for name, value in {**same, **choices}.items()]
        return " ".join([f"rm -rf {venv}; make setup", *words])
    torch = f"torch=={choices['TORCH']} " if "TORCH" in choices else ""
    made = f"{choices.get('PYTHON', 'python3')} -m venv fresh; fresh/bin/pip"
    stack = f"{made} install {torch}{package(choices.get('STACK', 'openmmlab'))}"
    tools = "fresh/bin/pip uninstall -y mmcv-lite; fresh/bin/pip install ninja psutil wheel"
    return f"{stack}; {tools}; fresh/bin/pip {BUILD}" if "OPS" in choices else stack


def _as_set_up() -> tuple[str, dict[str, str]]:
    """Folder of the environment that ``make setup`` has made, and the variables that name it."""
    if not made_here():  # the set-up itself
        return ".venv", {}
    venv = os.path.relpath(sys.prefix, ROOT)
    if venv == ".venv":
        return venv, {}
    stack = {"STACK": "onedl"} if venv in (".venv-onedl", ".venv-onedl-mmcv") else {}
    ops = {"OPS": "mmcv"} if venv in (".venv-mmcv", ".venv-onedl-mmcv") else {}
    return venv, {**stack, **ops} or {"VENV": venv}


def numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: ``2.13.0+cpu`` gives ``(2, 13, 0)``."""
    leading = re.match(r"[\d.]*", version).group()  # type: ignore[union-attr]
    return tuple(int(part) for part in leading.split(".") if part)


def distributions(paths: Iterable[str]) -> dict[str, str]:
    """Name (lower case, hyphens) and version of everything that is installed below ``paths``.

    Told by the names of the folders, which takes a moment: a half-removed package is seen, and none
    is read.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            names = os.listdir(path or ".")
        except OSError:  # a zip file, or a folder that is not there
            continue
        for name in names:
            told = re.match(r"([\w.-]+?)-(\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info$", name)
            if told:
                found.setdefault(re.sub(r"[-_.]+", "-", told[1]).lower(), told[2])
    return found
