"""Look at many files at once, with a bar on a terminal.

Threads, not processes: Pillow, OpenCV and PyAV let go of the interpreter while they decode, nothing
has to be copied, and a fork beside their own threads could stand still.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

MOST_THREADS = 16
FEW = 8
"""Fewer items are looked at one by one: threads take longer to start."""

WORTH_A_BAR = 200
"""Fewer files are done before anybody could read a bar."""


def threads() -> int:
    """As many as this process may use cores, up to :data:`MOST_THREADS`."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(cores, MOST_THREADS)


def each(function: Callable[[Item], Found], items: Sequence[Item], what: str) -> Iterator[Found]:
    """Yield what a function finds in each item, in their order.

    Args:
        function: called in several threads at once.
        items: what it looks at.
        what: named beside the bar, such as "images".
    """
    if len(items) < FEW:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads()) as pool:
        found = pool.map(function, items)
        if len(items) >= WORTH_A_BAR and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import track

            console = Console(stderr=True)
            found = iter(
                track(found, f"checking {what}", total=len(items), console=console, transient=True)
            )
        yield from found
