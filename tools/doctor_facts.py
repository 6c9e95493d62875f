"""What the doctor's checks work with: the facts about an environment, and what a check finds.

The standard library alone, and no syntax that an old Python cannot read: the doctor has to work in the
environments that do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

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
"""What a host imports without declaring it (decord is declared, but has wheels for few platforms)."""


@dataclass(frozen=True)
class Finding:
    """Result of one check; ``cure`` is a command or a sentence, for whatever is not ok."""

    name: str
    status: str
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Machine:
    """Facts about an environment.

    Args:
        python: major and minor version.
        versions: each installed distribution, in lower case with hyphens, and its version.
        importable: those of the names that the checks ask for which can be found.
        errors: what failed in a process of its own, with the error; what worked has an empty text.
        facts: what else that process found out.
        devices: compute capability of each GPU.
        cached: mmcv wheels in pip's own cache.
    """

    python: tuple[int, ...]
    versions: Mapping[str, str]
    importable: frozenset[str] = frozenset()
    errors: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    compiler: str | None = None
    free_gb: float = 0
    cached: tuple[str, ...] = ()
    drn_missing: bool = False

    def version(self, name: str) -> str | None:
        """Version of a distribution or of its fork."""
        return self.versions.get(name) or self.versions.get(FORKS.get(name, name))

    def at_least(self, name: str, *wanted: int) -> bool:
        """Whether a distribution (or its fork) is installed in this version or a later one."""
        version = self.version(name)
        return version is not None and numbers(version) >= wanted

    def below(self, name: str, *limit: int) -> bool:
        """Whether a distribution (or its fork) is installed in an earlier version."""
        version = self.version(name)
        return version is not None and numbers(version) < limit


def numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: ``2.13.0+cpu`` gives ``(2, 13, 0)``."""
    return tuple(int(part) for part in re.match(r"[\d.]*", version).group().split(".") if part)  # type: ignore[union-attr]
