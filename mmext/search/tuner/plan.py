"""What all workers of a search share: settings, space and the resolved config, as one text file."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmext.files import write_whole
from mmext.search.tuner import space
from mmext.search.tuner.changes import Config, config_text, delta
from mmext.search.tuner.runs import CONFIG, REPORT
from mmext.search.tuner.settings import Settings

FILE = "plan.txt"


@dataclass(frozen=True)
class Plan:
    """A search that only has to be done.

    Args:
        settings: what was asked for.
        base: config that trials stand on, a path.
        cfg: it resolved, with the options of all trials.
        bare: it resolved, without them.
        work_dir: of the search.
    """

    settings: Settings
    base: str
    cfg: Config
    bare: Config
    work_dir: Path

    @cached_property
    def space(self) -> space.Space:
        """The space, checked against the config."""
        return space.parse(self.settings.space or "", self.cfg)

    def content(self, changes: Mapping[str, Any], seed: int) -> Config:
        """What a trial's config lays over its base."""
        content = delta(self.bare, {**self.settings.options, **changes})
        _add(content, self.bare, "randomness", {"seed": seed})
        return content

    def with_beside(self, content: Config, beside: Config) -> Config:
        """A trial's config with further words of its own; those that are dicts are laid over."""
        for name, value in beside.items():
            if isinstance(value, dict):
                _add(content, self.bare, name, value)
            else:
                content[name] = value
        return content

    def write_config(
        self, folder: Path, changes: Mapping[str, Any], seed: int, beside: Config | None = None
    ) -> None:
        """Write a trial's config: its values, its seed, the hook that reports, what is beside."""
        content = self.with_beside(self.content(changes, seed), beside or {})
        hook = {"type": "mmext.SearchReportHook", "file": str((folder / REPORT).resolve())}
        _add(content, self.bare, "default_hooks", {"search_report": hook})
        text = config_text(self.base, content, f"{folder.name} of a search.")
        (folder / CONFIG).write_text(text, encoding="utf-8")

    def save(self) -> None:
        """Write the file that :func:`load` reads; whole or not at all."""
        text = repr(
            {
                "settings": self.settings.to_dict(),
                "base": self.base,
                "cfg": self.cfg,
                "bare": self.bare,
            }
        )
        write_whole(self.work_dir / FILE, text)


def load(work_dir: Path) -> Plan:
    """The plan of a folder."""
    found = ast.literal_eval((work_dir / FILE).read_text(encoding="utf-8"))
    return Plan(Settings(**found["settings"]), found["base"], found["cfg"], found["bare"], work_dir)


def _add(content: Config, base: Config, name: str, values: Mapping[str, Any]) -> None:
    """Lay some values over a dict of the base, which may be missing or None."""
    node = content.setdefault(name, {})
    if name in base and not isinstance(base[name], Mapping):
        node["_delete_"] = True
    node.update(values)
