"""Checkpoints are saved so that a run killed at any time can go on, and what it saved can be read.

Whole     a file is written beside its place and moved there when it is complete
Kept      an older checkpoint goes after the newer one has been written, not before
Readable  what a data set says of itself is stored as plain values, which the safe reader takes
"""

import contextlib
import enum
import functools
import os
import stat
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from mmext.compat.harmless import plain_types
from mmext.compat.repair import Exchanging, Wrapping, logger

PART = ".part"
"""End of the name of a file that is not complete yet."""


class WholeCheckpoints(Wrapping):
    """A kill while a checkpoint is written costs that checkpoint, never the one before it.

    mmengine deletes the oldest checkpoint first and then writes into the new one's place: with
    ``max_keep_ckpts=1`` a kill in between leaves nothing.
    """

    name = "whole_checkpoints"
    why = (
        "mmengine deletes the last checkpoint before it has written the next, and writes into its "
        "place"
    )
    after = ("mmengine.hooks.checkpoint_hook",)

    def apply(self) -> None:
        """Wrap how files are written, and when the hook deletes."""
        from mmengine.fileio.backends import LocalBackend
        from mmengine.hooks.checkpoint_hook import CheckpointHook

        self.wrap(LocalBackend, "put", put_whole)
        for name in ("_save_checkpoint_with_step", "_save_best_checkpoint"):
            if hasattr(CheckpointHook, name):  # a host of another age has others
                self.wrap(CheckpointHook, name, delete_afterwards)


class PlainMeta(Exchanging):
    """``meta`` and the message hub are saved as plain values.

    They hold what the data set's ``metainfo`` says, which may be anything; torch's safe reader
    takes no default dict, no enum and no class of somebody's own.
    """

    name = "plain_meta"
    why = (
        "what a data set says of itself is saved as it is, and the safe reader may refuse it at "
        "resume"
    )
    after = ("mmengine.runner",)

    def apply(self) -> None:
        """Put ours before the function that every saving passes."""
        from mmengine.runner import checkpoint

        host = checkpoint.save_checkpoint

        @functools.wraps(host)
        def save_checkpoint(checkpoint: Any, *args: Any, **kwargs: Any) -> Any:
            return host(plain_meta(checkpoint), *args, **kwargs)

        self.exchange(host, save_checkpoint)


def put_whole(plain: Callable) -> Callable:
    """A local backend's ``put`` that replaces a file at once instead of writing into it."""

    @functools.wraps(plain)
    def put(backend: Any, obj: Any, filepath: Any) -> None:
        target = Path(os.path.realpath(filepath))  # a link stays one
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            return plain(backend, obj, filepath)  # such as /dev/stdout
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        try:
            with part.open("wb") as stream:
                stream.write(obj)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return None

    return put


def delete_afterwards(plain: Callable) -> Callable:
    """A saving method of the hook in which nothing is deleted before everything is saved."""

    @functools.wraps(plain)
    def save(hook: Any, *args: Any, **kwargs: Any) -> Any:
        backend = getattr(hook, "file_backend", None)
        if backend is None:  # outside of training
            return plain(hook, *args, **kwargs)
        waiting = hook.file_backend = _Waiting(backend)
        try:
            result = plain(hook, *args, **kwargs)
        finally:
            hook.file_backend = backend
        waiting.delete()
        return result

    return save


class _Waiting:
    """A file backend whose deletions wait; everything else is the backend's own."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.doomed: list[tuple[Callable, str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.doomed.append((self.backend.remove, path, _identity(path)))

    def rmtree(self, path: str) -> None:
        self.doomed.append((self.backend.rmtree, path, None))

    def delete(self) -> None:
        """Delete what was to be deleted, unless it has been written anew since."""
        for remove, path, identity in self.doomed:
            if identity == _identity(path) or identity is None:
                remove(path)
            with contextlib.suppress(OSError):  # what a kill has left behind of the same file
                Path(f"{path}{PART}").unlink(missing_ok=True)


def _identity(path: str) -> Any:
    """What tells a file from one that was later put in its place; None where it is not local."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns


def plain_meta(checkpoint: Any) -> Any:
    """A checkpoint whose ``meta`` and ``message_hub`` hold plain values; warns of what is lost."""
    if not isinstance(checkpoint, dict):
        return checkpoint
    lost: list[str] = []
    kept = {
        key: plain(checkpoint[key], key, lost)
        for key in ("meta", "message_hub")
        if key in checkpoint
    }
    for one in lost:
        _warn_once(one)
    return {**checkpoint, **kept}


@functools.cache
def _warn_once(one: str) -> None:
    logger.warning(
        "%s: a checkpoint keeps its text alone; take plain values (lists, dicts, numbers)", one
    )


def plain(value: Any, path: str, lost: list[str]) -> Any:
    """The same in types that the safe reader takes.

    Args:
        value: anything.
        path: where it stands, for ``lost``.
        lost: where a text had to take an object's place, with its type; appended to.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    kind = type(value)
    single = plain_types() - {list, tuple, dict, frozenset} | {type(None), complex, bytearray}
    if kind in single or isinstance(
        value, torch.Tensor | HistoryBuffer | torch.dtype | torch.device
    ):
        return value
    if isinstance(value, Mapping):
        made = {plain(k, path, lost): plain(v, f"{path}.{k}", lost) for k, v in _items(value)}
        return kind(made) if kind in (OrderedDict, Counter) else made
    if isinstance(value, list | tuple | set | frozenset | deque):
        several = [plain(one, f"{path}[{index}]", lost) for index, one in enumerate(value)]
        shape = next((base for base in (tuple, set, frozenset) if isinstance(value, base)), list)
        return shape(several)
    if isinstance(value, np.ndarray | np.generic):
        return value if value.dtype.kind not in "OV" else plain(value.tolist(), path, lost)
    if isinstance(value, enum.Enum):
        return plain(value.value, path, lost)
    base = next((one for one in (str, bytes, int, float, complex) if isinstance(value, one)), None)
    if base is not None:
        return base(value)
    if not isinstance(value, PurePath):
        lost.append(f"{path} is a {kind.__module__}.{kind.__qualname__}")
    return str(value)


def _items(value: Mapping) -> Iterator[tuple[Any, Any]]:
    """Of mmengine's ConfigDict, what it holds and not what it would build."""
    return iter((value.to_dict() if hasattr(value, "to_dict") else value).items())
