"""The builder of the environment: ``make setup`` and what it calls, with the system's own Python.

That Python may be old and has no package at all, so :mod:`mmext.doctor`, which the set-up shares
its checks with, is imported past mmext's own ``__init__``.
"""

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]

if "mmext" not in sys.modules:
    stand_in = ModuleType("mmext")
    stand_in.__path__ = [str(ROOT / "mmext")]
    sys.modules["mmext"] = stand_in
