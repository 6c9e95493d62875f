"""Repairs of the hosts: each explicit, logged at debug level, reversible, and off where not needed.

========================  ==========================================================================
``mmaction_drn``          mmaction2's wheel lacks a folder that ``import mmaction.models`` needs
``coco_iou_thresholds``   a config's list of IoU thresholds makes COCO's evaluation fail
``numpy_names``           the hosts use names that numpy has removed
``resume_weights_only``   torch >= 2.6 refuses to load the checkpoints that mmengine saves
========================  ==========================================================================

:func:`repair` runs when mmext is imported and imports nothing itself: a repair waits until the module
that it is for is about to be imported (or acts at once if that module is already there). So the order
of the imports does not matter, and neither does a host that is missing.

Switch off   ``MMEXT_COMPAT=off`` in the environment, or a list of names: ``MMEXT_COMPAT=numpy_names``
Undo         ``mmext.compat.undo()``
Watch        ``logging.getLogger("mmext").setLevel("DEBUG")``, or ``mmext.compat.state()``
Host         none; every import of a host is inside a repair
"""

import importlib.util
import logging
import os
import pickle
import sys
import types
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

logger = logging.getLogger("mmext")

SWITCH = "MMEXT_COMPAT"


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


class MmactionDrn(Repair):
    """Stand-in for ``mmaction.models.localizers.drn``, which has no ``__init__`` and so is in no wheel."""

    name = "mmaction_drn"
    why = "mmaction2's wheel lacks mmaction.models.localizers.drn, so mmaction.models cannot be imported"
    before = ("mmaction",)

    _package = "mmaction.models.localizers.drn"

    def needed(self) -> bool:
        """Look at the installed files; importing mmaction to find out would already be too late."""
        try:
            spec = importlib.util.find_spec("mmaction")
        except ImportError:
            return False
        folders = (spec.submodule_search_locations if spec else None) or ()
        roots = [Path(folder) / "models" / "localizers" for folder in folders]
        return any((root / "__init__.py").exists() for root in roots) and not any(
            (root / "drn" / "drn.py").exists() for root in roots
        )

    def apply(self) -> None:
        """Put the stand-in into ``sys.modules``."""
        if any(name.startswith("mmaction.models.") for name in sys.modules):
            logger.debug(
                "mmaction.models was imported before mmext and has failed half-way: this process may need "
                "a restart with 'import mmext' first"
            )

        class DRN:
            """Stand-in for the dense regression network."""

            def __init__(self, *_: Any, **__: Any) -> None:
                raise NotImplementedError(
                    "mmaction2's wheel does not contain the DRN localizer (mmaction.models.localizers.drn): "
                    "install mmaction2 from its source tree to use it"
                )

        self.modules = {name: types.ModuleType(name) for name in (self._package, f"{self._package}.drn")}
        self.modules[self._package].__path__ = []
        self.modules[f"{self._package}.drn"].DRN = DRN  # type: ignore[attr-defined]
        sys.modules.update(self.modules)

    def undo(self) -> None:
        """Take the stand-in out again."""
        for name, module in self.modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class NumpyNames(Repair):
    """Names that numpy has removed: only those on the hosts' paths, and only where they are absent.

    float         mmdet/evaluation/functional/ytviseval.py
    long          mmdet/datasets/transforms/text_transformers.py (absent in numpy 1.24 to 1.26 only)
    Inf           mmaction/datasets/transforms/pose_transforms.py, mmaction/utils/misc.py
    trapz         mmaction/evaluation/functional/accuracy.py
    in1d          mmaction/evaluation/metrics/multimodal_metric.py
    """

    name = "numpy_names"
    why = "the hosts use names that this numpy no longer has"
    before = ("mmdet", "mmaction")

    @staticmethod
    def _absent() -> dict[str, Any]:
        try:
            import numpy as np
        except ImportError:
            return {}

        def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
            return np.isin(np.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)

        cures = {"float": float, "long": np.int_, "Inf": np.inf, "in1d": in1d}
        if hasattr(np, "trapezoid"):  # numpy 1 has trapz itself
            cures["trapz"] = np.trapezoid
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # asking for a deprecated name warns
            return {name: cure for name, cure in cures.items() if not hasattr(np, name)}

    def needed(self) -> bool:
        """True if at least one of the names is missing."""
        return bool(self._absent())

    def apply(self) -> None:
        """Add the missing names to numpy."""
        import numpy as np

        self.added = self._absent()
        logger.debug("numpy_names adds %s", ", ".join(f"numpy.{name}" for name in self.added))
        for name, cure in self.added.items():
            setattr(np, name, cure)

    def undo(self) -> None:
        """Remove the names again."""
        import numpy as np

        for name, cure in self.added.items():
            if vars(np).get(name) is cure:
                delattr(np, name)


class CocoIouThresholds(Repair):
    """Thresholds of COCO's evaluation become an array, whoever sets them.

    A config can only hold a list (``CocoMetric(iou_thrs=[0.9])``), mmdet passes it on as it is, pycocotools
    compares it with a number by ``==``. In an array that marks the equal ones; for a list it is one False,
    which numpy used to accept with a warning and now refuses.
    """

    name = "coco_iou_thresholds"
    why = "this numpy refuses how pycocotools looks up a threshold in a list, which is what configs hold"
    before = ("mmdet.evaluation",)

    def needed(self) -> bool:
        """True if numpy refuses to look for a position in a single False."""
        try:
            import numpy as np
            import pycocotools.cocoeval  # noqa: F401
        except ImportError:
            return False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                np.where(False)
        except ValueError:
            return True
        return False

    def apply(self) -> None:
        """Watch over the one attribute."""
        import numpy as np
        from pycocotools.cocoeval import Params

        def get(params: Any) -> Any:
            return vars(params)["iouThrs"]

        def put(params: Any, thresholds: Any) -> None:
            vars(params)["iouThrs"] = np.asarray(thresholds, dtype=float)

        self.added = property(get, put)
        Params.iouThrs = self.added

    def undo(self) -> None:
        """Leave the attribute alone again; what was set stays."""
        from pycocotools.cocoeval import Params

        if vars(Params).get("iouThrs") is self.added:
            del Params.iouThrs


class ResumeWeightsOnly(Repair):
    """Allow-list for what mmengine puts into its checkpoints; ``weights_only`` stays on.

    Found by listing the globals of a real checkpoint (optimizer, schedulers, message hub, EMA, best
    score): HistoryBuffer, numpy arrays and scalars of plain numbers, and ``getattr``, since a HistoryBuffer
    pickles its own methods. ``getattr`` itself would let a file reach anything, so its name is answered
    by a function that hands out these methods and nothing else.
    """

    name = "resume_weights_only"
    why = "torch >= 2.6 loads with weights_only=True and so refuses the history that mmengine saves"
    before = ("mmengine.runner.checkpoint",)

    def needed(self) -> bool:
        """True from torch 2.6 on."""
        try:
            import torch
        except ImportError:
            return False
        return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)

    def apply(self) -> None:
        """Extend torch's list of harmless globals."""
        from torch.serialization import add_safe_globals, get_safe_globals

        taken = {_pickled_name(entry) for entry in get_safe_globals()}
        self.added = [entry for entry in _harmless() if _pickled_name(entry) not in taken]
        add_safe_globals(self.added)

    def undo(self) -> None:
        """Restore the list; what others have added stays."""
        from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

        others = [entry for entry in get_safe_globals() if entry not in self.added]
        clear_safe_globals()
        add_safe_globals(others)


def _pickled_name(entry: Any) -> str:
    """Full name under which torch's unpickler knows an entry of its list."""
    return entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}"


def _known_as(module: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` another full name; torch 2.6 has no other way to allow a name than this."""

    def alias(*args: Any) -> Any:
        return function(*args)

    alias.__module__, alias.__qualname__ = module, name
    alias.__name__ = name
    return alias


def _harmless() -> list[Any]:
    """Globals that a checkpoint of mmengine needs beyond torch's own."""
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    def method_of_history_buffer(owner: Any, name: Any) -> Any:
        HistoryBuffer()  # the first instance fills in the table of methods
        if owner is HistoryBuffer and name in HistoryBuffer._statistics_methods:
            return HistoryBuffer._statistics_methods[name]
        raise pickle.UnpicklingError(
            f"the file asks for attribute {name!r} of {owner!r}; a checkpoint of mmengine needs only the "
            "statistics of HistoryBuffer, so do not trust this file"
        )

    examples: dict[str, Any] = {"_reconstruct": np.zeros(1), "scalar": np.float64(0)}
    numbers = (np.float64, np.float32, np.int64, np.int32, np.bool_)
    return [
        HistoryBuffer,
        _known_as("builtins", "getattr", method_of_history_buffer),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(number)) for number in numbers),
        # numpy 2 moved its private module; a checkpoint may come from either side.
        *(
            _known_as(module, name, example.__reduce__()[0])
            for module in ("numpy.core.multiarray", "numpy._core.multiarray")
            for name, example in examples.items()
        ),
    ]


REPAIRS: tuple[Repair, ...] = (MmactionDrn(), NumpyNames(), CocoIouThresholds(), ResumeWeightsOnly())

_state: dict[str, str] = {}


class _Watcher(MetaPathFinder):
    """Finder that finds nothing: it notices that a module is about to be imported."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        for one in REPAIRS:
            if fullname in one.before and _state.get(one.name) == "waiting":
                _settle(one)


_watcher = _Watcher()


def repair() -> None:
    """Apply every repair that is needed, now or as soon as its module is imported. Idempotent."""
    off = _switched_off()
    for one in REPAIRS:
        if _state.get(one.name) in ("waiting", "applied", "not needed"):
            continue
        if one.name in off:
            _state[one.name] = "switched off"
            logger.debug("repair %s is switched off by %s", one.name, SWITCH)
        elif any(module in sys.modules for module in one.before):
            _settle(one)
        else:
            _state[one.name] = "waiting"
    if _watcher not in sys.meta_path:
        sys.meta_path.insert(0, _watcher)


def undo() -> None:
    """Reverse all repairs and stop waiting for the others; :func:`repair` starts anew."""
    for one in reversed(REPAIRS):
        if _state.get(one.name) == "applied":
            one.undo()
            logger.debug("repair %s is undone", one.name)
    _state.clear()
    if _watcher in sys.meta_path:
        sys.meta_path.remove(_watcher)


def state() -> dict[str, str]:
    """Return each repair's state: waiting, applied, not needed, switched off, or failed and why."""
    return dict(_state)


def _settle(one: Repair) -> None:
    _state[one.name] = "not needed"  # set first: looking for a host's files imports, and so comes here again
    try:
        if one.needed():
            one.apply()
            _state[one.name] = "applied"
    except Exception as error:  # a repair that fails must not make an import fail that could have worked
        _state[one.name] = f"failed: {error!r}"
        logger.warning(
            "repair %s failed with %r; switch it off with %s=%s", one.name, error, SWITCH, one.name
        )
    logger.debug("repair %s (%s): %s", one.name, one.why, _state[one.name])


def _switched_off() -> set[str]:
    names = {name.strip() for name in os.environ.get(SWITCH, "").split(",")} - {"", "on"}
    known = {one.name for one in REPAIRS}
    if "off" in names:
        return known
    if names - known:
        wrong, right = (", ".join(sorted(some)) for some in (names - known, known))
        logger.warning("%s names %s, which is no repair; expected 'off' or some of %s", SWITCH, wrong, right)
    return names & known
