"""What a checkpoint may hold beyond weights: plain values that mmengine and data sets put there.

Every entry only makes a value out of values. None looks up a name, reads a file or calls what it is
given, so no file can do more with them than take up room.
"""

import functools
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

NUMPY_CODES = "?bhilqBHILQefdgFDGSUMm"
"""Letters of numpy's plain dtypes: numbers of every size, texts, dates; no objects or records."""


def pickled_name(entry: Any) -> str:
    """Full name under which torch's unpickler knows an entry of its list."""
    return entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}"


@functools.cache
def plain_types() -> frozenset[type]:
    """Python's own values that torch does not know as harmless.

    Sets, complex numbers and ordered dicts are on its list. Its reader fills no other containers,
    which :mod:`mmext.compat.saving` therefore stores as lists and dicts.
    """
    # Here, since every import of mmext passes this module.
    from datetime import date, datetime, time, timedelta, timezone
    from decimal import Decimal
    from fractions import Fraction

    containers = (list, tuple, dict, frozenset)
    scalars = (bool, int, float, str, bytes, range, slice, Decimal, Fraction)
    return frozenset({*containers, *scalars, date, datetime, time, timedelta, timezone})


def entries() -> list[Any]:
    """What torch's list of harmless globals is extended by."""
    from mmengine.config import ConfigDict

    return [*plain_types(), *_old_names(), *_paths(), *_history(), *_numpy(), ConfigDict]


def _known_as(module: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` another full name; torch 2.6 has no other way to allow a name than this."""

    def alias(*args: Any) -> Any:
        return function(*args)

    alias.__module__, alias.__qualname__ = module, name
    alias.__name__ = name
    return alias


def _old_names() -> list[Callable[..., Any]]:
    """Names of which older torch or Python write or know others."""
    # bytes, which torch allows by itself only later than 2.4
    return [_known_as("_codecs", "encode", str.encode)]


def _paths() -> list[Callable[..., Any]]:
    """Paths of either system, by the names that Python gives them up to 3.12 and since."""
    kinds = {
        "PurePosixPath": pathlib.PurePosixPath,
        "PureWindowsPath": pathlib.PureWindowsPath,
        # the other system's cannot be made; none is used as a path
        "PosixPath": pathlib.PurePosixPath,
        "WindowsPath": pathlib.PureWindowsPath,
    }
    return [
        _known_as(module, name, kind)
        for module in ("pathlib", "pathlib._local")
        for name, kind in kinds.items()
    ]


def _history() -> list[Any]:
    """HistoryBuffer of mmengine, which pickles its methods by ``getattr``: that could reach all.

    So that name is answered by a function that hands out these methods and nothing else.
    """
    from mmengine.logging.history_buffer import HistoryBuffer

    def method_of_history_buffer(owner: Any, name: Any) -> Any:
        HistoryBuffer()  # the first instance fills in the table of methods
        if owner is HistoryBuffer and name in HistoryBuffer._statistics_methods:
            return HistoryBuffer._statistics_methods[name]
        raise pickle.UnpicklingError(
            f"the file asks for attribute {name!r} of {owner!r}; a checkpoint of mmengine needs "
            "only the statistics of HistoryBuffer, so do not trust this file"
        )

    return [HistoryBuffer, _known_as("builtins", "getattr", method_of_history_buffer)]


def _numpy() -> list[Any]:
    """Arrays and single values of numpy's plain dtypes."""
    import numpy as np

    examples: dict[str, Any] = {"_reconstruct": np.zeros(1), "scalar": np.float64(0)}
    kinds = dict.fromkeys(type(np.dtype(code)) for code in NUMPY_CODES)
    return [
        np.ndarray,
        np.dtype,
        *kinds,
        # numpy 2 moved its private module; a checkpoint may come from either side.
        *(
            _known_as(module, name, example.__reduce__()[0])
            for module in ("numpy.core.multiarray", "numpy._core.multiarray")
            for name, example in examples.items()
        ),
    ]
