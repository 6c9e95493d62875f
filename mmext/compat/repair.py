"""What a repair is."""

import logging
from abc import ABC, abstractmethod

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
