"""What can crash: imports and calls, one by one, in a process of its own, a printed line each.

Run by :mod:`mmext.doctor.report` as a script, in whatever Python has the trouble; it imports
nothing of its neighbours. Lines: ``begin NAME``, ``error NAME TEXT`` (an empty text: it worked),
``fact NAME VALUE`` and ``served OPERATOR SOURCE``, separated by tabs.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial

NUMPY_NAMES = ("float", "Inf", "trapz", "in1d")


def attempt(name: str, action: Callable[[], object]) -> None:
    """Try one thing."""
    say("begin", name)
    try:
        action()
        error = ""
    except BaseException as problem:  # whatever it is, it is what the doctor was asked to find
        error = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
    say("error", name, error)


def say(*words: object) -> None:
    """Report."""
    print(*words, sep="\t", flush=True)


def ask_torch() -> None:
    """Ask torch what it was built with."""
    import torch

    say("fact", "distributed", torch.distributed.is_available())
    say("fact", "torch_cuda", torch.version.cuda)
    say("fact", "torch_archs", " ".join(torch.cuda.get_arch_list()))


def ask_numpy() -> None:
    """Ask numpy for the names it has removed; before mmdet, since mmext would add them there."""
    import warnings

    import numpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        say(
            "fact",
            "numpy_gone",
            ", ".join(name for name in NUMPY_NAMES if not hasattr(numpy, name)),
        )


def import_opencv() -> None:
    """Import OpenCV, if there: several of its packages write one folder, and may have spoilt it."""
    if importlib.util.find_spec("cv2"):
        importlib.import_module("cv2").imread  # noqa: B018  a half folder is imported without it


def ask_mmengine() -> None:
    """Ask mmengine whether it knows the standard library in pure-Python configs."""
    from mmengine.config.utils import _is_builtin_module

    say("fact", "builtin_os", _is_builtin_module("os"))


def load_extension() -> None:
    """Load mmcv's own extension, if there is one, past whoever stands in for it."""
    from importlib.machinery import ExtensionFileLoader, PathFinder

    mmcv = PathFinder.find_spec("mmcv")
    spec = PathFinder.find_spec("mmcv._ext", list((mmcv and mmcv.submodule_search_locations) or ()))
    if spec and isinstance(spec.loader, ExtensionFileLoader):
        importlib.import_module("torch")
        ExtensionFileLoader(spec.name, str(spec.origin)).create_module(spec)
    elif spec:
        importlib.import_module("mmcv._ext")


def ask_operators() -> None:
    """Ask mmext who serves each of mmcv's operators."""
    for operator, source in importlib.import_module("mmext.ops").sources().items():
        say("served", operator, source or "")


def run_on_cuda() -> None:
    """Run an operator on the GPU, if torch sees one."""
    import torch

    if torch.cuda.is_available():
        from mmcv.ops import nms

        box = torch.tensor([[0.0, 0, 1, 1]], device="cuda")
        nms(box, box[:, 2], 0.5)


def main() -> None:
    """Try everything, what the others stand on first."""
    here = os.path.dirname(os.path.abspath(__file__))
    # Its files have common names.
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    sys.path.append(os.path.dirname(os.path.dirname(here)))  # last: an installed mmext comes first
    attempt("torch", ask_torch)
    attempt("numpy", ask_numpy)
    attempt("cv2", import_opencv)
    attempt("torchvision", partial(importlib.import_module, "torchvision"))
    attempt("mmengine", ask_mmengine)
    attempt("mmcv._ext", load_extension)
    attempt("mmext", partial(importlib.import_module, "mmext"))
    attempt("operators", ask_operators)
    for host in ("mmdet", "mmseg", "mmaction"):
        attempt(host, partial(importlib.import_module, host))
    attempt("operators on CUDA", run_on_cuda)


if __name__ == "__main__":
    main()
