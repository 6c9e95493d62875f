"""What the contract suite checks: every part in the registry, and a small config that uses it.

Nothing is listed here. A part is what a registry of mmext holds from a task's folder; its small
config is the first ``configs/**/*_{trees,stamps,motion,mnist,digits,mouse}.py`` whose text names
it. What a task has in place of a host (``stack``) belongs to no paper.
"""

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from torch import nn

from mmext import registry
from mmext.search.autohas.choice import Choice

ROOT = Path(__file__).parents[2]
SMALL = ("trees", "stamps", "motion", "mnist", "digits", "mouse")
STACK = "stack"


@dataclass(frozen=True)
class Part:
    """A registered class and where the things that belong to it lie."""

    name: str
    cls: type

    @property
    def paper(self) -> tuple[str, ...]:
        """Path of the paper below mmext, for example ("detection", "gfl")."""
        return tuple(self.cls.__module__.split(".")[1:3])

    @property
    def is_of_a_paper(self) -> bool:
        return self.paper[-1] != STACK

    @property
    def card(self) -> str:
        """Docstring of the paper's file or package."""
        path = ROOT.joinpath("mmext", *self.paper)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return ast.get_docstring(ast.parse(path.read_text())) or ""

    @property
    def configs(self) -> list[Path]:
        names = [self.name]
        # one layer for sequences, images and videos: a config of one shows it
        if self.paper[0] == "layers":
            names = [
                part.name for part in all_parts() if part.cls.__module__ == self.cls.__module__
            ]
        return [
            path
            for path, text in config_texts().items()
            if any(f'"mmext.{name}"' in text for name in names)
        ]

    @property
    def readmes(self) -> list[Path]:
        """README of the paper's configs; for a shared layer, of each paper that configures it."""
        if self.paper[0] == "layers":
            return sorted({path.parent / "README.md" for path in self.configs})
        return [ROOT.joinpath("configs", *self.paper, "README.md")]

    @property
    def small_configs(self) -> list[Path]:
        return [path for path in self.configs if path.stem.endswith(SMALL)]


@cache
def all_parts() -> tuple[Part, ...]:
    """Every part of every task; a task that does not load is an error here."""
    for task in registry.TASKS:
        registry.load_task(task)
    assert not registry._failures, registry._failures
    return tuple(
        Part(name, cls)
        for table in registry.ALL
        for name, cls in table.module_dict.items()
        if cls.__module__.split(".")[1] in (*registry.TASKS, "layers")
    )


@cache
def config_texts() -> dict[Path, str]:
    """Every config and its text, in order; read once for all parts."""
    return {path: path.read_text() for path in sorted(ROOT.glob("configs/**/*.py"))}


def small_configs() -> list[Path]:
    """The small configs that together use every part, each once."""
    return sorted({part.small_configs[0] for part in all_parts() if part.small_configs})


def host_of(path: Path) -> ModuleType:
    """The adapter that drives a config's host: ``configs/<task>/<paper>/<name>.py``."""
    return importlib.import_module(f"tests.contract.{path.parts[-3]}")


def name_of(path: Path) -> str:
    return path.stem


def built(cfg: Config, models: Registry, *, init: bool = True) -> nn.Module:
    """A config's model in training, with weights it draws instead of a file of pretrained ones."""
    forget_files(cfg.model)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = models.build(cfg.model)
        if init:
            model.init_weights()
    return model.train()


def forget_files(cfg) -> None:
    """Take the files of pretrained weights out of a model's config."""
    if isinstance(cfg, dict):
        cfg.pop("pretrained", None)
        if "checkpoint" in (cfg.get("init_cfg") or {}):
            cfg["init_cfg"] = None
    for value in cfg.values() if isinstance(cfg, dict) else cfg:
        if isinstance(value, dict | list):
            forget_files(value)


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that the optimizer moves; some parts keep others as they are.

    The modules of a Choice that are not in use have none: its config sets find_unused_parameters.
    """
    idle = {
        id(parameter)
        for choice in model.modules()
        if isinstance(choice, Choice)
        for number, module in enumerate(choice.choices)
        for parameter in module.parameters()
        if number != choice.active
    }
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) not in idle]
