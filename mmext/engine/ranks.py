"""What one rank does for all before they are a process group: the others wait, however long it takes.

Store    torch's own rendezvous, which a group meets at later: nothing to set up, and no file to share
Limit    not the group's, which would run out while the first rank reads a large data set
"""

import datetime
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
MEETING = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torch meets by."""

VERDICT = "mmext/inputs"
LIMIT = datetime.timedelta(days=1)

_kept: list[Any] = []
"""The store of the first rank must live until the group has met: the others ask it."""


def rank() -> int:
    """Return this process's rank before anything is initialised."""
    return next((int(os.environ[name]) for name in RANK if name in os.environ), 0)


def on_first_rank(check: Callable[[], None]) -> None:
    """Run a check on the first rank; the others return when it has passed, or end when it has failed.

    Without a launcher there is one rank. Where torch cannot meet yet, the others go on at once.

    Args:
        check: raises what ends the run.
    """
    world = int(os.environ.get("WORLD_SIZE") or 1)
    if world == 1 or not torch.distributed.is_available() or not all(map(os.environ.get, MEETING)):
        if rank() == 0:
            check()
        return
    store, mine, _ = next(torch.distributed.rendezvous("env://", timeout=LIMIT))
    _kept.append(store)
    if mine:
        try:
            passed = store.get(VERDICT) == b"passed"  # this waits
        except RuntimeError:  # the first rank, which keeps the store, is gone
            passed = False
        if not passed:
            sys.exit(1)
        return
    try:
        check()
    except BaseException:
        store.set(VERDICT, b"failed")
        raise
    store.set(VERDICT, b"passed")
