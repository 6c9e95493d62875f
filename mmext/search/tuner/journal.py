"""Optuna's journal, which a process that dies while it writes no longer breaks.

A killed writer leaves a record without its end. Optuna's backend glues the next one to it, after
which no process can read the study any more. Here every append looks at the last byte first, and
whoever opens a journal mends it. Nothing moves: other processes remember where lines begin.
"""

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation

from mmext.errors import BadInputError
from mmext.search.tuner.lock import FileLock

logger = logging.getLogger("mmext")

HEAD = b'{"op_code":'  # how every record begins
LASTING = (
    JournalOperation.CREATE_STUDY,
    JournalOperation.CREATE_TRIAL,
    JournalOperation.SET_TRIAL_STATE_VALUES,
)
"""Records that are written through to the disk, and all before them: what a running trial says of
itself need not outlive the machine that runs it."""

BLOCK = 1 << 16  # bytes read at once from a file's end


class Journal(JournalFileBackend):
    """A journal file that is mended when it is opened and before each append.

    Args:
        file: made if it is missing.
        grace: seconds after which another machine's lock counts as left behind.
    """

    def __init__(self, file: Path, grace: int | float = 30.0) -> None:
        lock = FileLock(file, grace)
        super().__init__(str(file), lock_obj=lock)  # type: ignore[arg-type]  # of the same shape
        self.mutex = lock
        self.file = file
        with self.mutex:
            repair(file)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, all or none.

        Raises:
            BadInputError: the disk is full, or the file cannot be written.
        """
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        with self.mutex, self.file.open("r+b", buffering=0) as file:
            mend_end(file.fileno(), self.file)
            size = file.seek(0, os.SEEK_END)
            try:
                _write("".join(lines).encode(), file.fileno())
                if any(log["op_code"] in LASTING for log in logs):
                    os.fsync(file.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise BadInputError(
                    f"{self.file}: expected to write {sum(map(len, lines))} bytes, got "
                    f"{error.strerror}; make room and go on with --resume"
                ) from error


def _write(data: bytes, descriptor: int) -> None:
    """Write all of it; a system may take a part at a time."""
    while data:
        data = data[os.write(descriptor, data) :]


def mend_end(descriptor: int, file: Path) -> None:
    """Complete or cut off a last record without its newline. The lock must be held."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    tail = b""
    while b"\n" not in tail and len(tail) < size:
        length = min(BLOCK, size - len(tail))
        tail = os.pread(descriptor, length, size - len(tail) - length) + tail
    tail = tail.rpartition(b"\n")[2]
    if _is_record(tail):
        os.pwrite(descriptor, b"\n", size)
        return
    os.ftruncate(descriptor, size - len(tail))
    logger.warning("%s: cut off %d bytes of a record whose writer was killed", file, len(tail))


def repair(file: Path) -> None:
    """Mend the end, and every line that is no record. The lock must be held.

    What is bad becomes blanks before the next record, so that each line begins where it did.
    """
    with file.open("r+b", buffering=0) as out:
        mend_end(out.fileno(), file)
        data = out.readall() if out.seek(0) == 0 else b""
        bad, at = 0, 0
        for line in data.splitlines(keepends=True):
            if not _is_record(line):
                kept = _last_record(line)
                bad = len(line) - len(kept)
                end = at + bad == len(data)
                if end:
                    os.ftruncate(out.fileno(), at)
                else:
                    os.pwrite(out.fileno(), b" " * bad, at)
                logger.warning("%s: took out %d bytes that are no record", file, bad)
            at += len(line)


def _last_record(line: bytes) -> bytes:
    """The whole record at the end of a line that begins with a piece of another; may be empty."""
    at = line.rfind(HEAD)
    return line[at:] if at > 0 and _is_record(line[at:]) else b""


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
