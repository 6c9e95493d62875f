"""On PYTHONPATH, a rank that would end with threads of its group fails, always, not by chance.

Without this it aborts if such a thread still has a tensor to let go of, once in hundreds of runs.
"""

import atexit
import contextlib
import os
import sys
from pathlib import Path


def refuse_threads() -> None:
    """Say which threads of gloo live, and end with 3."""
    left = []
    for file in Path("/proc/self/task").glob("*/comm"):
        # one that ends just now is not left
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name = file.read_text().strip()
            if "gloo" in name:
                left.append(name)
    if left:
        told = f"rank {os.environ['RANK']} ends with threads of its group: {left}"
        print(told, file=sys.stderr, flush=True)
        os._exit(3)


if "RANK" in os.environ:
    atexit.register(refuse_threads)
