"""Which machine and process this is, and whether another one is still there."""

import functools
import os
import socket
from pathlib import Path

Owner = dict[str, str | int]
"""Who runs a trial: ``pid``, its ``start`` in ticks of the machine, and ``machine``."""


@functools.cache
def this_machine() -> str:
    """A name that no other machine has, and this one has until it boots again."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}:{boot.read_text().strip() if boot.exists() else ''}"


def this_process() -> Owner:
    """The owner of the trials that this process starts."""
    pid = os.getpid()
    return {"pid": pid, "start": started(pid), "machine": this_machine()}


def started(pid: int) -> int:
    """When a process of this machine started, in ticks; 0 where that cannot be known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])  # the name before it may hold anything


def is_dead(owner: Owner | None) -> bool:
    """Whether it is known that a process is no more: only its own machine can tell."""
    if not owner or owner["machine"] != this_machine():
        return False
    pid = int(owner["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # The number may have gone to another process since; a zombie is dead, too.
    return started(pid) != owner["start"] or is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only its parent has not looked yet."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "Z"
