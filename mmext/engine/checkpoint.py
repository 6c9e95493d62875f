"""Read checkpoints safely, and say in a sentence what is wrong with one.

Safe     torch's ``weights_only`` reader: a file that wants to run code is refused before anything
         runs. mmext.compat lets it read the harmless history that mmengine saves.
Strict   mmengine loads whatever fits and logs the rest, so a wrong checkpoint tests as a bad model.
         Here it is refused unless asked for.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import checkpoint as _  # noqa: F401  mmext.compat then extends torch's list
from torch import nn

from mmext.compat import trust
from mmext.compat.checkpoints import load_weights
from mmext.compat.resuming import NEEDED, UNREADABLE, damaged_entry
from mmext.errors import BadInputError, some

MODULE_PREFIX = re.compile(r"^module\.")
"""What a distributed wrapper puts before each key; mmengine strips it too."""
OF_TRAINING = ("self_training.",)
"""What a training keeps beside the model, which a test does without."""


def read(file: str | Path) -> dict[str, Any]:
    """Load a checkpoint on the CPU.

    Raises:
        BadInputError: see :func:`read_content`; or it is no checkpoint.
    """
    checkpoint = read_content(file)
    weights = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(weights, Mapping) or not any(
        torch.is_tensor(value) for value in weights.values()
    ):
        got = describe(checkpoint)
        raise BadInputError(
            f"{file}: expected a checkpoint with a state_dict of tensors, got {got}"
        )
    return cast(dict[str, Any], checkpoint)


def read_content(file: str | Path) -> object:
    """Load what torch.save has written, whatever it is, on the CPU: the one way into such files.

    Raises:
        BadInputError: it is not there, empty, cut off, of another kind, or wants to run code.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise BadInputError(
            f"{file}: not found, expected a checkpoint (.pth) there; check the path, or train first"
        )
    if path.stat().st_size == 0:
        raise BadInputError(f"{file}: expected a checkpoint, got an empty file; copy it again")
    try:
        content = load_weights(path, map_location="cpu")
        if damaged_entry(path):
            raise BadInputError(_why_unreadable(file, path))
        return content
    except BadInputError:
        raise
    except UNREADABLE:
        raise BadInputError(_why_unreadable(file, path)) from None


def check_resumable(file: str | Path) -> None:
    """Refuse checkpoints that training cannot go on from.

    Raises:
        BadInputError: see :func:`read`; or it has weights only, or a config that mmengine would
            run.
    """
    checkpoint = read(file)
    meta = checkpoint.get("meta")
    missing = [key for key in NEEDED if key not in checkpoint]
    if missing or not isinstance(meta, Mapping) or "iter" not in meta:
        raise BadInputError(
            f"{file}: expected one to resume from, got one without "
            f"{some(missing or ['meta.iter'])}; start from its weights with --cfg-options "
            "load_from=FILE instead of --resume"
        )
    if "config" in meta and not trust.is_trusted(str(file)):
        raise BadInputError(
            f"{file}: expected no meta.config, which mmengine does not save but would run as "
            "Python when it resumes, got one; start from its weights with --cfg-options "
            f"load_from=FILE instead of --resume, or set {trust.SWITCH}={file} if you trust it as "
            "you trust a program"
        )


def check_fits(file: str | Path, model: nn.Module, *, strict: bool = True) -> None:
    """Compare a checkpoint's weights with the model that is to load them.

    Args:
        file: the checkpoint.
        model: as built from the config, possibly wrapped.
        strict: whether to refuse weights that do not match; else they are logged.

    Raises:
        BadInputError: see :func:`read`; or names or shapes differ.
    """
    checkpoint = read(file)
    weights = checkpoint.get("state_dict", checkpoint)
    weights = {
        MODULE_PREFIX.sub("", key): value
        for key, value in weights.items()
        if torch.is_tensor(value)
    }
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = cast(nn.Module, model.module)
    own = model.state_dict()
    weights = {
        key: value
        for key, value in weights.items()
        if key in own or not key.startswith(OF_TRAINING)
    }
    # Loading tells more than comparing names and shapes, since parts may rename or cut entries as
    # they load.
    try:
        result, reshaped = model.load_state_dict(weights, strict=False), []
    except RuntimeError:  # entries of another shape
        reshaped = [
            key for key, value in weights.items() if key in own and own[key].shape != value.shape
        ]
        fitting = {key: value for key, value in weights.items() if key not in reshaped}
        result = model.load_state_dict(fitting, strict=False)
    missing = [
        k for k in result.missing_keys if k not in reshaped and "num_batches_tracked" not in k
    ]
    troubles = [
        f"{len(keys)} {what} ({some(keys, 3)})"
        for what, keys in (
            ("missing", missing),
            ("unexpected", result.unexpected_keys),
            ("of another shape", [_both_shapes(key, weights, own) for key in reshaped]),
        )
        if keys
    ]
    if not troubles:
        return
    message = (
        f"{file}: expected the {len(own)} weights of this config's model, got {', '.join(troubles)}"
    )
    if strict:
        raise BadInputError(
            f"{message}; use the config that it was trained with, or --no-strict to load what fits"
        )
    print_log(f"{message}; loading what fits", logger="current", level=logging.WARNING)


def _both_shapes(key: str, weights: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    return f"{key} {tuple(weights[key].shape)} instead of {tuple(own[key].shape)}"


def _why_unreadable(file: str | Path, path: Path) -> str:
    head = path.open("rb").read(4)
    if head == b"PK\x03\x04":
        return (
            f"{file}: expected a whole checkpoint, got one that is cut off or damaged; copy it "
            "again"
        )
    return (
        f"{file}: expected what torch.save wrote, got a file that starts with {head!r}; check the "
        "path"
    )


def describe(checkpoint: object) -> str:
    """What a file holds instead of what was expected, in words."""
    if isinstance(checkpoint, Mapping):
        return f"a dict with the keys {some(map(str, checkpoint))}"
    return f"a {type(checkpoint).__name__}"
