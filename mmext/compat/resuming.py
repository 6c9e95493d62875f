"""What a resumed run goes on from: the newest checkpoint that can be read, or nothing at all.

Recorded   the path in ``last_checkpoint`` comes first; if the folder has been moved, its name in
           the work dir
Else       the work dir's checkpoints, the farthest first
Never      a fresh start over checkpoints that could have been gone on from
Ranks      the first rank looks and tells the others
"""

import functools
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmext.compat.checkpoints import load_weights
from mmext.compat.repair import Exchanging, logger
from mmext.compat.trust import UntrustedFileError
from mmext.errors import BadInputError, some

UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    OSError,
    zipfile.BadZipFile,
)
"""What torch raises for files that are cut off, or something else."""

ENDINGS = (".pth", ".pt")
NEEDED = ("meta", "message_hub", "optimizer")
"""What a checkpoint must have for training to go on."""


class NewestCheckpoint(Exchanging):
    """``--resume`` finds the checkpoints that are there, also for the hosts' own tools.

    Every release of mmengine reads last_checkpoint alone.
    """

    name = "newest_checkpoint"
    why = (
        "mmengine starts anew, over the checkpoints of a run, where last_checkpoint is missing or "
        "wrong"
    )
    after = ("mmengine.runner",)

    def apply(self) -> None:
        """Put ours in its place, wherever it is bound."""
        from mmengine.runner import checkpoint

        @functools.wraps(checkpoint.find_latest_checkpoint)
        def find_latest_checkpoint(path: str) -> str | None:
            return newest_for_all_ranks(path)

        self.exchange(checkpoint.find_latest_checkpoint, find_latest_checkpoint)


def newest_for_all_ranks(folder: str) -> str | None:
    """What :func:`newest` finds in the first rank; every rank must ask.

    Raises:
        BadInputError: in every rank, what the first one met.
    """
    from mmengine import dist

    told: list[str | None] = [None, None]
    if dist.get_rank() == 0:
        try:
            told[0] = newest(folder)
        except BadInputError as error:
            told[1] = str(error)
    dist.broadcast_object_list(told)
    if told[1]:
        raise BadInputError(told[1])
    return told[0]


def newest(folder: str | Path) -> str | None:
    """The checkpoint that training in this work dir goes on from; None if it holds none.

    Raises:
        BadInputError: there are checkpoints, and none of them can be read.
        UntrustedFileError: the recorded one wants to run code.
    """
    recorded, place = _recorded(Path(folder))
    damaged: dict[str, str] = {}
    if recorded is not None:
        if not Path(recorded).is_file():
            # On another machine, or in the folder of a sharded checkpoint.
            return recorded
        trouble = _trouble_with(Path(recorded))
        if not trouble:
            return recorded
        damaged[recorded] = trouble
    for _, file in sorted(_resumable(Path(folder), damaged), reverse=True):
        trouble = _trouble_with(file)
        if not trouble:
            _tell(place, damaged, file)
            return str(file)
        damaged[str(file)] = trouble
    if damaged:
        each = some([f"{name}: {trouble}" for name, trouble in damaged.items()], 3)
        raise BadInputError(
            f"{folder}: expected a checkpoint to resume from, got {len(damaged)} that cannot be "
            f"read ({each}); copy them again, or move them away to start anew, which would write "
            "over them"
        )
    return None


def _recorded(folder: Path) -> tuple[str | None, str]:
    """Where ``last_checkpoint`` points to, if something is there, and what it says."""
    try:
        said = (folder / "last_checkpoint").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None, ""
    if not said:  # a kill between opening and writing it
        return None, ""
    if "://" in said or Path(said).exists():
        return said, said
    beside = folder / Path(said.replace("\\", "/")).name
    if not beside.exists():
        return None, said
    _say(f"{said} is not there any more; resuming from {beside}, which bears its name")
    return str(beside), said


def _resumable(folder: Path, damaged: dict[str, str]) -> list[tuple[tuple[int, float], Path]]:
    """Iteration, time and path of the folder's checkpoints; unreadable ones go to ``damaged``."""
    found = []
    for file in folder.glob("*.p*t*"):
        if file.suffix not in ENDINGS or not file.is_file() or str(file) in damaged:
            continue
        try:
            checkpoint = _glance(file)
        except UntrustedFileError:
            continue  # some other file: this run has not written it
        except UNREADABLE as error:
            damaged[str(file)] = _in_short(error)
            continue
        iteration = iteration_of(checkpoint)
        if iteration is not None:
            found.append(((iteration, file.stat().st_mtime), file))
    return found


def iteration_of(checkpoint: Any) -> int | None:
    """How far the training of a checkpoint had come; None if training cannot go on from it."""
    if not isinstance(checkpoint, Mapping) or any(key not in checkpoint for key in NEEDED):
        return None
    meta = checkpoint["meta"]
    return meta.get("iter") if isinstance(meta, Mapping) else None


def _glance(file: Path) -> Any:
    """A checkpoint without its tensors' numbers, which stay on the disk."""
    return load_weights(str(file), map_location="cpu", mmap=zipfile.is_zipfile(file))


def _trouble_with(file: Path) -> str:
    status = file.stat()
    return _trouble(file, status.st_size, status.st_mtime_ns)


@functools.cache
def _trouble(file: Path, size: int, time: int) -> str:
    """What is wrong with a file when all of it is read; size and time tell if it has changed."""
    if size == 0:
        return "an empty file"
    try:
        load_weights(str(file), map_location="cpu")
        entry = damaged_entry(file)
    except UntrustedFileError:
        raise
    except UNREADABLE as error:
        return _in_short(error)
    return f"its entry {entry} is damaged" if entry else ""


def damaged_entry(file: Path) -> str | None:
    """Name of an entry whose checksum is not its content's, which torch reads without a word."""
    import torch.serialization

    # Somebody may have told torch.save to leave the checksums out; older torch has no such option.
    checked = getattr(torch.serialization, "get_crc32_options", lambda: True)()
    if not checked or not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        return archive.testzip()


def _in_short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]


def _tell(place: str, damaged: Mapping[str, str], file: Path) -> None:
    for name, trouble in damaged.items():
        _say(f"{name} cannot be read ({trouble}): passed over at resume")
    reason = f"last_checkpoint says {place}" if place else "there is no last_checkpoint"
    _say(f"{reason}; resuming from {file}, the farthest that can be read")


@functools.cache
def _say(message: str) -> None:
    """Warn once, however often a run looks."""
    logger.warning(message)
