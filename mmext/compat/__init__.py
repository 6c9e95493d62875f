"""Repairs of the hosts: each explicit, logged at debug level, reversible, and off where not needed.

==========================  ========================================================================
``mmaction_drn``            mmaction2's wheel lacks a folder that ``import mmaction.models`` needs
``mmaction_metadata``       mmaction2 imports ``importlib_metadata``, which it does not declare
``mmaction_mmcv``           mmaction2 refuses the mmcv of the maintained forks
``mmaction_transformers``   mmaction2 cannot be imported where transformers is too new for VindLU
``mmaction_testing_views``  mmaction2's ``max_testing_views`` fails for every 2D backbone
``two_stage_bfloat16``      two-stage detectors cannot train in bfloat16
``mmdet_nms_pre``           mmdet's ``nms_pre=-1`` loses the last candidate of each level
``mmdet_recalls``           numpy 2 refuses how mmdet collects recalls
``mmdet_clips``             mmdet writes out each clip's tensors as text, which waits for the GPU
``coco_iou_thresholds``     a config's list of IoU thresholds makes COCO's evaluation fail
``numpy_names``             the hosts use names that numpy has removed
``sync_bn_on_cpu``          SyncBN among several ranks fails on CPUs
``resume_weights_only``     ``weights_only`` refuses the checkpoints that mmengine saves
``newest_checkpoint``       mmengine starts anew over checkpoints if ``last_checkpoint`` is missing
                            or wrong
``whole_checkpoints``       mmengine deletes the last checkpoint before it has written the next
``plain_meta``              what a data set says of itself is saved in types that are refused at
                            resume
``save_best_auto``          ``save_best="auto"`` takes whichever metric comes first, or ends the run
``compiled_bfloat16``       mmcv's compiled operators refuse bfloat16
``batched_nms_half``        ``batched_nms`` shifts boxes by more than half precision can hold
``untrusted_checkpoints``   hosts load checkpoints, features and downloads in a way that lets a file
                            run code
``untrusted_fallback``      the forks' mmengine loads a refused checkpoint again, unsafely
``untrusted_configs``       mmengine runs the config text that a checkpoint carries
``untrusted_pickles``       annotations, proposals and results in pickles can run code
``untrusted_yaml``          YAML can run code
``untrusted_volumes``       mmseg's pickled volumes can run code
``untrusted_label_tree``    mmdet's label tree of OpenImages can run code
``fork_packages``           mmengine looks for the maintained forks under the official names
``mmext_configs``           ``_base_ = "mmext::…"`` is not found
``mmext_hub``               ``get_config("mmext::…")`` and ``get_model`` neither
==========================  ========================================================================

:func:`repair` runs when mmext is imported and imports nothing itself: a repair waits until the
module that it is for is about to be imported, or has just been (or acts at once if that module is
already there). So the order of the imports does not matter, and neither does a host that is
missing.

Switch off   ``MMEXT_COMPAT=off`` in the environment, or a list of names:
             ``MMEXT_COMPAT=numpy_names``
Trust        ``MMEXT_TRUST`` names files that may run code (:mod:`mmext.compat.trust`)
Undo         ``mmext.compat.undo()``
Watch        ``logging.getLogger("mmext").setLevel("DEBUG")``, or ``mmext.compat.state()``
Host         none; every import of a host is inside a repair
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mmext.compat.best import SaveBestAuto
from mmext.compat.bfloat16 import BatchedNmsHalf, CompiledBfloat16, TwoStageBfloat16
from mmext.compat.checkpoints import ResumeWeightsOnly, UntrustedCheckpoints, UntrustedFallback
from mmext.compat.configs import MmextConfigs, MmextHub
from mmext.compat.data_files import UntrustedConfigs, UntrustedLabelTree, UntrustedYaml
from mmext.compat.forks import ForkPackages
from mmext.compat.hosts import CocoIouThresholds, MmactionDrn, NumpyNames, SyncBatchNormOnCpu
from mmext.compat.mmaction import (
    MmactionMetadata,
    MmactionMmcv,
    MmactionTestingViews,
    MmactionTransformers,
)
from mmext.compat.mmdet import MmdetClips, MmdetNmsPre, MmdetRecalls
from mmext.compat.pickles import UntrustedPickles, UntrustedVolumes
from mmext.compat.repair import Repair, logger
from mmext.compat.resuming import NewestCheckpoint
from mmext.compat.saving import PlainMeta, WholeCheckpoints

SWITCH = "MMEXT_COMPAT"

REPAIRS: tuple[Repair, ...] = (
    MmactionDrn(),
    MmactionMetadata(),
    MmactionMmcv(),
    MmactionTransformers(),
    MmactionTestingViews(),
    NumpyNames(),
    TwoStageBfloat16(),
    CompiledBfloat16(),
    BatchedNmsHalf(),
    MmdetNmsPre(),
    MmdetRecalls(),
    MmdetClips(),
    CocoIouThresholds(),
    SyncBatchNormOnCpu(),
    ResumeWeightsOnly(),
    NewestCheckpoint(),
    WholeCheckpoints(),
    PlainMeta(),
    SaveBestAuto(),
    UntrustedCheckpoints(),
    UntrustedFallback(),
    UntrustedConfigs(),
    UntrustedPickles(),
    UntrustedYaml(),
    UntrustedVolumes(),
    UntrustedLabelTree(),
    ForkPackages(),
    MmextConfigs(),
    MmextHub(),
)

_state: dict[str, str] = {}


class _Watcher(MetaPathFinder):
    """Finder of nothing of its own: it notices that a module is about to be imported."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        waiting = [one for one in REPAIRS if _state.get(one.name) == "waiting"]
        for one in waiting:
            # Asked again: a repair that looks for a host's files comes here, and the rest is
            # settled then.
            if fullname in one.before and _state.get(one.name) == "waiting":
                _settle(one)
        late = [one for one in waiting if fullname in one.after]
        brief = [one for one in waiting if fullname in one.before and one.for_the_moment]
        return self._then(late, brief, fullname, path, target) if late or brief else None

    def _then(
        self, late: list[Repair], brief: list[Repair], fullname: str, path: Any, target: Any
    ) -> ModuleSpec | None:
        """What the other finders find, with something to be done once it has run."""
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((one for one in found if one is not None), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            try:
                execute(module)
            finally:
                for one in brief:
                    if _state.get(one.name) == "applied":
                        one.undo()
            for one in late:
                if _state.get(one.name) == "waiting":
                    _settle(one)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


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
        elif (
            any(module in sys.modules for module in (*one.before, *one.after))
            and not one.for_the_moment
        ):
            _settle(one)  # what is for the moment of an import has nothing to do after it
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
    # Set first: looking for a host's files imports, and so comes here again.
    _state[one.name] = "not needed"
    try:
        if one.needed():
            one.apply()
            _state[one.name] = "applied"
    except Exception as error:
        # A repair that fails must not make an import fail that could have worked.
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
        logger.warning(
            "%s names %s, which is no repair; expected 'off' or some of %s", SWITCH, wrong, right
        )
    return names & known
