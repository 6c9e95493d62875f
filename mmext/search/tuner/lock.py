"""A lock on a file that holds among processes and machines, and that no dead process keeps.

Optuna's own locks are a link that its holder removes: a killed holder leaves it, and all others
wait for 30 seconds. The kernel frees a file's lock when its holder dies, but some network file
systems keep such locks to one machine. So this takes both: the kernel's lock orders the processes
of a machine, the link orders machines. Whoever has the former knows that a link of this machine
was left by the dead.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path

from mmext.search.tuner.machine import this_machine

try:
    import fcntl
except ImportError:  # Windows: the link alone
    fcntl = None  # type: ignore[assignment]

GRACE = 30.0  # seconds after which the link of another machine is taken for left behind


class FileLock:
    """Hold ``<file>.lock``, among the processes of this machine and among machines.

    Args:
        file: what is protected; two files beside it are the lock.
        grace: seconds after which another machine's lock counts as left behind.
    """

    def __init__(self, file: str | Path, grace: int | float = GRACE) -> None:
        self.link = f"{file}.lock"
        self.grace = grace
        self._local = f"{file}.local-lock"
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait until it is ours; returns True."""
        descriptor = os.open(self._local, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            alone_here = _lock_of_the_kernel(descriptor)
            self._take_link(alone_here)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back; closing the file frees the kernel's lock."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.link)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take_link(self, alone_here: bool) -> None:
        seen, since, pause = "", time.monotonic(), 0.001
        mine = f"{this_machine()}:{uuid.uuid4()}"
        while True:
            with contextlib.suppress(FileExistsError):
                os.symlink(mine, self.link)
                return
            holder = _target(self.link)
            if holder != seen:
                seen, since = holder, time.monotonic()
            left_here = alone_here and holder.startswith(f"{this_machine()}:")
            if holder and (left_here or time.monotonic() - since > self.grace):
                self._remove(holder)
                continue
            time.sleep(pause)
            pause = min(2 * pause, 0.25)

    def _remove(self, holder: str) -> None:
        """Remove a link that was left behind, unless another one has taken its place meanwhile."""
        aside = f"{self.link}.{uuid.uuid4()}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.link, aside)
            found = _target(aside)
            os.unlink(aside)
            if found != holder:  # somebody was faster, and this was his: give it back
                os.symlink(found, self.link)


def _lock_of_the_kernel(descriptor: int) -> bool:
    """Wait for the kernel's lock; False where the file system has none."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
