"""Repairs of mmaction2 1.2.0: an undeclared package, two checks of versions, many-view tests."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmext.compat.repair import Repair, Wrapping

MAX_MMCV = (2, 2)
"""What mmaction2 refuses; the maintained forks of mmcv begin there."""

ACCEPTED = "2.1.0"


class MmactionMetadata(Repair):
    """``importlib_metadata`` is Python's ``importlib.metadata``; mmaction2 imports the old name."""

    name = "mmaction_metadata"
    why = (
        "mmaction2 imports importlib_metadata, which it does not declare and few environments have"
    )
    before = ("mmaction",)

    def needed(self) -> bool:
        """True if nobody has installed the package."""
        return importlib.util.find_spec("importlib_metadata") is None

    def apply(self) -> None:
        """Give Python's own module the second name."""
        sys.modules["importlib_metadata"] = importlib.metadata

    def undo(self) -> None:
        """Take the name away again."""
        if sys.modules.get("importlib_metadata") is importlib.metadata:
            del sys.modules["importlib_metadata"]


class MmactionMmcv(Repair):
    """Another version of mmcv is shown while ``import mmaction`` looks at it, and only then."""

    name = "mmaction_mmcv"
    why = (
        "mmaction2 refuses mmcv >= 2.2.0, where the maintained forks begin, though it works with "
        "them"
    )
    before = ("mmaction",)
    for_the_moment = True

    def needed(self) -> bool:
        """Look at mmcv, which mmaction2 imports next anyway."""
        try:
            import mmcv
        except ImportError:
            return False
        self.version = mmcv.__version__
        return tuple(int(part) for part in mmcv.__version__.split(".")[:2]) >= MAX_MMCV

    def apply(self) -> None:
        """Show a version that mmaction2 accepts."""
        sys.modules["mmcv"].__version__ = ACCEPTED  # type: ignore[attr-defined]

    def undo(self) -> None:
        """Show the true version."""
        mmcv: Any = sys.modules.get("mmcv")
        if mmcv is not None and mmcv.__version__ == ACCEPTED:
            mmcv.__version__ = self.version


class MmactionTransformers(Repair):
    """VindLU asks for an older transformers when it is built; everything else is imported.

    mmaction2 imports VindLU wherever transformers 4.28 or newer is installed, which is no upper
    limit: the newer ones have moved what it imports.
    """

    name = "mmaction_transformers"
    why = "mmaction2 cannot be imported where transformers is too new for its VindLU"
    after = ("mmaction.utils.dependency",)

    def needed(self) -> bool:
        """Look for a name in the text of transformers, whose import takes seconds."""
        host: Any = sys.modules.get(self.after[0])
        if host is None or not host.WITH_MULTIMODAL:
            return False
        spec = importlib.util.find_spec("transformers")
        folders = (spec and spec.submodule_search_locations) or ()
        files = [Path(folder, "modeling_utils.py") for folder in folders]
        return not any("apply_chunking_to_forward" in read_text(file) for file in files)

    def apply(self) -> None:
        """Say that what VindLU needs is not there, as mmaction2 does without transformers."""
        host: Any = sys.modules[self.after[0]]
        host.WITH_MULTIMODAL = False

    def undo(self) -> None:
        """Say again what mmaction2 found out."""
        host: Any = sys.modules[self.after[0]]
        host.WITH_MULTIMODAL = True


def read_text(file: Path) -> str:
    """A file's text, or none where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


class MmactionTestingViews(Wrapping):
    """``max_testing_views`` for 2D backbones, which the recogniser asks as if they were configs.

    A backbone that has ``get`` keeps its own.
    """

    name = "mmaction_testing_views"
    why = (
        "Recognizer2D calls backbone.get when test_cfg has max_testing_views, and no backbone has "
        "it"
    )
    after = ("mmaction.models.recognizers.recognizer2d",)

    def apply(self) -> None:
        """Give a backbone without ``get`` one, just before it is asked; it keeps that for good."""
        from mmaction.models.recognizers.recognizer2d import Recognizer2D

        def ours(host: Callable) -> Callable:
            def extract_feat(model: Any, *args: Any, **kwargs: Any) -> Any:
                if model.test_cfg and model.test_cfg.get("max_testing_views"):
                    kind = type(model.backbone)
                    if not hasattr(kind, "get"):
                        kind.get = _attribute
                return host(model, *args, **kwargs)

            return extract_feat

        self.wrap(Recognizer2D, "extract_feat", ours)


def _attribute(backbone: Any, key: str, default: Any = None) -> Any:
    """An attribute as if the backbone were its config."""
    return getattr(backbone, key, default)
