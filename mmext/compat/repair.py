"""What a repair is."""

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

logger = logging.getLogger("mmext")

Result = TypeVar("Result")


class Repair(ABC):
    """One repair.

    ``before`` names the modules whose import it has to come before, ``after`` those that it changes
    once they are there. With ``for_the_moment`` it is undone as soon as a module of ``before`` is
    imported.
    """

    name: str
    why: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    for_the_moment = False

    def needed(self) -> bool:
        """Say whether this environment has the trouble; it has wherever its module is, by default.

        That is the first of ``after``.
        """
        return self.after[0] in sys.modules

    @abstractmethod
    def apply(self) -> None:
        """Cure it."""

    @abstractmethod
    def undo(self) -> None:
        """Restore what :meth:`apply` changed, and nothing that somebody else has changed."""


class Wrapping(Repair):
    """A repair that puts its own things around those of classes and modules: mostly functions."""

    def __init__(self) -> None:
        self.wrapped: list[tuple[Any, str, Any, Any, bool]] = []

    def wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Put ``wrapper(function)`` in the place of a function."""
        plain = getattr(owner, name)
        ours, static = wrapper(plain), isinstance(vars(owner).get(name), staticmethod)
        setattr(owner, name, staticmethod(ours) if static else ours)
        self.wrapped.append((owner, name, plain, ours, static))

    def undo(self) -> None:
        """Take the wrappers off again."""
        for owner, name, plain, ours, static in self.wrapped:
            if getattr(owner, name) is ours:
                setattr(owner, name, staticmethod(plain) if static else plain)
        self.wrapped.clear()


class Exchanging(Repair):
    """A repair that puts its own function in the place of another, wherever that is bound."""

    def exchange(self, host: Callable, ours: Callable) -> None:
        """Bind the host's function's name to ours in every module that has it."""
        self.host, self.ours = host, ours
        exchange(host, ours)

    def undo(self) -> None:
        """Give the host's function back to whoever has ours."""
        exchange(self.ours, self.host)


def without_modes(trial: Callable[[], Result]) -> Result:
    """What a trial returns where none of torch's modes is on, whichever is where the import stands.

    Under ``torch.device("meta")`` or fake tensors nothing can be computed. Modes belong to a
    thread, and a new one has none. The trial must import nothing that is being imported.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(trial).result()


def exchange(old: Callable, new: Callable) -> None:
    """Bind a function's name anew in every module that has bound it to ``old``."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(old.__name__) is old:
            setattr(module, old.__name__, new)
