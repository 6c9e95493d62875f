"""What a repair is."""

import logging
from abc import ABC, abstractmethod

logger = logging.getLogger("mmext")


class Repair(ABC):
    """One repair. ``before`` names the modules whose import it has to come before."""

    name: str
    why: str
    before: tuple[str, ...]

    @abstractmethod
    def needed(self) -> bool:
        """Say whether this environment has the trouble."""

    @abstractmethod
    def apply(self) -> None:
        """Cure it."""

    @abstractmethod
    def undo(self) -> None:
        """Restore what :meth:`apply` changed, and nothing that somebody else has changed."""
