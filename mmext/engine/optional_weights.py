"""Weights that only training needs: files load strictly with and without them.

A head that adds something to its host's for training alone must be able to test the host's
checkpoints, and testing refuses what is missing or unknown (:mod:`mmext.engine.checkpoint`).
"""

from functools import partial
from typing import Any

from mmengine.logging import print_log
from torch import nn


def only_for_training(module: nn.Module, *names: str) -> None:
    """Let files be without a module's entries ``names``, or have them where the module does not.

    What a file lacks altogether keeps its present value; what only the file has is passed over. A
    file that has some entries and not others is damaged or of other settings, so those are still
    missing.

    Args:
        module: whose ``state_dict`` has the entries.
        names: how their keys begin below the module: ``swn.`` for a child, ``calib_`` for some
            buffers.
    """
    # torch 2.4 has no public name for it
    module._register_load_state_dict_pre_hook(partial(_fit, names), with_module=True)


def _fit(
    names: tuple[str, ...], module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Hook before loading: ``state_dict`` is a copy of the file's, and may be changed."""
    own = module.state_dict(prefix=prefix)
    for start in (prefix + name for name in names):
        ours = {key: value for key, value in own.items() if key.startswith(start)}
        theirs = [key for key in state_dict if key.startswith(start)]
        if ours and not theirs:
            state_dict.update(ours)
            _tell(f"{start}* is not in the file and keeps its values; only training needs it")
        elif theirs and not ours:
            for key in theirs:
                del state_dict[key]
            _tell(f"{start}* of the file is passed over; only training needs it")


def _tell(message: str) -> None:
    print_log(message, logger="current")
