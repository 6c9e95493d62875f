"""On PYTHONPATH, a rank that would end with threads of its group fails, always, not by chance.

Without this it aborts if such a thread still has a tensor to let go of, once in hundreds of runs.
"""

import atexit
import os
import sys
from pathlib import Path


def refuse_threads() -> None:
    """Say which threads of gloo live, and end with 3."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    left = sorted(name for name in names if "gloo" in name)
    if left:
        print(f"rank {os.environ['RANK']} ends with threads of its group: {left}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(3)


if "RANK" in os.environ:
    atexit.register(refuse_threads)
