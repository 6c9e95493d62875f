"""What the maintained forks' mmengine does not know of the forks themselves."""

import importlib.metadata
import sys

from mmext.compat.repair import Repair

FORKS = {
    "mmdet": "onedl-mmdetection",
    "mmseg": "onedl-mmsegmentation",
    "mmpretrain": "onedl-mmpretrain",
}
"""Scope, and the distribution that a fork installs it under."""


class ForkPackages(Repair):
    """mmengine's table from scopes to distributions names those that are installed.

    With the official name, ``_base_ = "mmseg::…"`` finds nothing, and ``get_config("mmseg::…")``
    calls ``pip install mmsegmentation``, whose files would land on top of the fork's.
    """

    name = "fork_packages"
    why = (
        "mmengine looks for the forks under the official names, and installs the official "
        "packages over them"
    )
    after = ("mmengine.config.utils",)

    def needed(self) -> bool:
        """True if a fork is installed and its official package is not."""
        return self.after[0] in sys.modules and bool(self._installed())

    def apply(self) -> None:
        """Write the forks' names into the table."""
        from mmengine.config.utils import MODULE2PACKAGE

        self.added = self._installed()
        self.official = {scope: MODULE2PACKAGE[scope] for scope in self.added}
        MODULE2PACKAGE.update(self.added)

    def undo(self) -> None:
        """Write the official names back."""
        from mmengine.config.utils import MODULE2PACKAGE

        for scope, fork in self.added.items():
            if MODULE2PACKAGE.get(scope) == fork:
                MODULE2PACKAGE[scope] = self.official[scope]

    @staticmethod
    def _installed() -> dict[str, str]:
        from mmengine.config.utils import MODULE2PACKAGE

        forks = {
            scope: fork
            for scope, fork in FORKS.items()
            if scope in MODULE2PACKAGE and _is_installed(fork)
        }
        return {
            scope: fork for scope, fork in forks.items() if not _is_installed(MODULE2PACKAGE[scope])
        }


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
