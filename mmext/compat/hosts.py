"""Repairs of what the hosts ask for and a current environment does not have."""

import importlib.util
import sys
import types
import warnings
from pathlib import Path
from typing import Any

from mmext.compat.repair import Repair, Wrapping, logger


class MmactionDrn(Repair):
    """Stand-in for ``mmaction.models.localizers.drn``, in no wheel as it has no ``__init__``."""

    name = "mmaction_drn"
    why = (
        "mmaction2's wheel lacks mmaction.models.localizers.drn, so mmaction.models cannot be "
        "imported"
    )
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
                "mmaction.models was imported before mmext and has failed half-way: this process "
                "may need a restart with 'import mmext' first"
            )

        class DRN:
            """Stand-in for the dense regression network."""

            def __init__(self, *_: Any, **__: Any) -> None:
                raise NotImplementedError(
                    "mmaction2's wheel does not contain the DRN localizer "
                    "(mmaction.models.localizers.drn): install mmaction2 from its source tree to "
                    "use it"
                )

        self.modules = {
            name: types.ModuleType(name) for name in (self._package, f"{self._package}.drn")
        }
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

    A config can only hold a list (``CocoMetric(iou_thrs=[0.9])``), mmdet passes it on as it is,
    pycocotools compares it with a number by ``==``. In an array that marks the equal ones; for a
    list it is one False, which numpy used to accept with a warning and now refuses.
    """

    name = "coco_iou_thresholds"
    why = (
        "this numpy refuses how pycocotools looks up a threshold in a list, which is what configs "
        "hold"
    )
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


class SyncBatchNormOnCpu(Wrapping):
    """SyncBN among several ranks on CPUs takes each rank's own statistics, and says so once.

    torch itself does so in a single process, and mmengine puts plain BN in its place there.
    """

    name = "sync_bn_on_cpu"
    why = "torch's SyncBatchNorm refuses tensors on a CPU when there are several ranks"
    before = ("mmengine.model",)

    def needed(self) -> bool:
        """True if torch is there and can run ranks at all."""
        try:
            import torch.distributed
        except ImportError:
            return False
        return torch.distributed.is_available()

    def apply(self) -> None:
        """Give tensors on a CPU to plain BN; all others take torch's way."""
        from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

        told: list[bool] = []
        original = SyncBatchNorm.forward

        def forward(module: Any, x: Any) -> Any:
            if x.device.type != "cpu":
                return original(module, x)
            if module.training and not told:
                told.append(True)
                logger.warning(
                    "SyncBN on a CPU: each process takes the statistics of its own batch"
                )
            return _BatchNorm.forward(module, x)

        self.wrap(SyncBatchNorm, "forward", lambda _: forward)
