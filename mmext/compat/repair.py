"""What a repair is."""

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable

logger = logging.getLogger("mmext")


class Repair(ABC):
    """One repair.

    ``before`` names the modules whose import it has to come before, ``after`` those that it changes once they
    are there. With ``for_the_moment`` it is undone as soon as a module of ``before`` is imported.
    """

    name: str
    why: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    for_the_moment = False

    @abstractmethod
    def needed(self) -> bool:
        """Say whether this environment has the trouble."""

    @abstractmethod
    def apply(self) -> None:
        """Cure it."""

    @abstractmethod
    def undo(self) -> None:
        """Restore what :meth:`apply` changed, and nothing that somebody else has changed."""


def exchange(old: Callable, new: Callable) -> None:
    """Bind a function's name anew in every module that has bound it to ``old``."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(old.__name__) is old:
            setattr(module, old.__name__, new)
