"""Registries of scope ``mmext`` that load a task only when one of its parts is asked for.

Each registry is a child of mmengine's root of the same name, so ``type="mmext.GFLHead"`` resolves
from any default scope, with stock tools, with and without ``custom_imports``: mmengine imports this
module by itself when it meets the scope for the first time.

A host takes seconds and hundreds of megabytes to import, and a broken host must not break a task
that does not need it. So a look-up loads the current default scope's task first and the others only
while the name is still missing; what went wrong on the way is told only if nobody knew the name.
"""

import difflib
import importlib
import traceback
from collections.abc import Callable

from mmengine import registry as root
from mmengine.registry import DefaultScope, Registry

TASKS = {
    "detection": "mmdet",
    "segmentation": "mmseg",
    "action": "mmaction",
    "pose": "mmdet",
    "classification": "mmengine",
    "search": "mmengine",
    "self_training": "mmengine",
    "landmarks": "mmengine",
}
"""The one table: a folder of mmext, and the scope (also the import name) of its host."""

_failures: dict[str, BaseException] = {}


def load_task(task: str) -> None:
    """Import ``mmext.<task>.papers`` once; keep the error if its host is missing or broken."""
    if task in _failures:
        # a half-imported host fails differently the second time; the first error is the true one
        return
    try:
        importlib.import_module(f"mmext.{task}.papers")
    except Exception as error:
        # any error of a host's import: it concerns only those who need that host
        _failures[task] = error


def tasks_in_order() -> list[str]:
    """All tasks: the current default scope's, then those that cost no host, then the others."""
    scope = DefaultScope.get_current_instance()
    current = scope.scope_name if scope is not None else None
    return sorted(TASKS, key=lambda task: (TASKS[task] != current, TASKS[task] != "mmengine"))


class TaskRegistry(Registry):
    """A registry of scope ``mmext`` that imports tasks one by one until it knows the name."""

    def get(self, key: str) -> type | None:
        """Return the class registered as ``key``, loading tasks as needed.

        Raises:
            ImportError: nobody knows the name, and at least one task could not be loaded.
            KeyError: nobody knows the name, but one that is spelt almost like it.
        """
        scope, name = self.split_scope_key(key)
        if scope not in (None, self.scope):
            return super().get(key)
        for task in tasks_in_order():
            if name in self.module_dict:
                break
            load_task(task)
        # An unscoped name may belong to mmengine's root, which super() searches next.
        found = super().get(name)
        if found is None and _failures and not _is_ours(name):
            raise ImportError(self._not_found(name)) from next(iter(_failures.values()))
        if found is None and not self._is_known_elsewhere(name) and (near := _nearest(name)):
            raise KeyError(f"mmext.{name} is not a part of mmext; did you mean mmext.{near}?")
        return found

    def _is_known_elsewhere(self, name: str) -> bool:
        """Whether a host, or another registry of ours, registers the name.

        mmengine asks us for the hosts' names as well.
        """
        hosts = self.parent.children.values() if self.parent else ()
        return _is_ours(name) or any(name in registry.module_dict for registry in hosts)

    def import_from_location(self) -> None:
        """Nothing: :meth:`get` loads. mmengine would look for a module ``mmext.utils``."""

    def _not_found(self, name: str) -> str:
        near = _nearest(name)
        reasons = "; ".join(
            f"mmext.{task} needs {TASKS[task]}: "
            f"{traceback.format_exception_only(error)[-1].strip()}"
            for task, error in _failures.items()
        )
        return (
            f"mmext.{name} was not found among the parts that could be loaded"
            + (f" (did you mean mmext.{near}?)" if near else "")
            + f". Not loaded: {reasons}. Install the hosts with pip install 'mmext[openmmlab]', "
            "or run mmext doctor, which names the cure."
        )


def _child(parent: Registry) -> TaskRegistry:
    return TaskRegistry(parent.name, parent=parent, scope="mmext")


MODELS = _child(root.MODELS)
TASK_UTILS = _child(root.TASK_UTILS)
DATASETS = _child(root.DATASETS)
TRANSFORMS = _child(root.TRANSFORMS)
METRICS = _child(root.METRICS)
HOOKS = _child(root.HOOKS)
LOOPS = _child(root.LOOPS)
OPTIMIZERS = _child(root.OPTIMIZERS)
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS)
DATA_SAMPLERS = _child(root.DATA_SAMPLERS)

ALL = (
    MODELS,
    TASK_UTILS,
    DATASETS,
    TRANSFORMS,
    METRICS,
    HOOKS,
    LOOPS,
    OPTIMIZERS,
    OPTIM_WRAPPERS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    DATA_SAMPLERS,
)


def _is_ours(name: str) -> bool:
    """Whether one of our registries, whichever, knows the name."""
    return any(name in registry.module_dict for registry in ALL)


def _nearest(name: str) -> str | None:
    """The registered name spelt most like this one, in any registry; None if none is close."""
    known = [one for registry in ALL for one in registry.module_dict]
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def parts_of(package: str) -> Callable[[str], type]:
    """``__getattr__`` of a paper's package, for its registered classes.

    ``from mmext.detection.gfl import GFLHead`` works so without a list of classes. The task is
    loaded when a class is asked for, so the package itself, and what of it needs no host, costs no
    host.

    Args:
        package: name of the package, ``mmext.<task>.<paper>``.
    """

    def get(name: str) -> type:
        # Modules of the package and what Python asks every module for are in small letters.
        if name[:1].isupper():
            load_task(task := package.split(".")[1])
            for part in (table.module_dict.get(name) for table in ALL):
                if part is not None and part.__module__.startswith(f"{package}."):
                    return part
            if task in _failures:
                reason = traceback.format_exception_only(_failures[task])[-1].strip()
                raise ImportError(f"{package} needs {TASKS[task]}: {reason}") from _failures[task]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
