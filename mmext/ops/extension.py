"""Stand-in for ``mmcv._ext``: Python loads this file under that name (:mod:`mmext.ops.finder`)."""

from collections.abc import Callable

from mmext.ops import table

SERVED_BY = "mmext"

table.load()


def __getattr__(name: str) -> Callable:
    """Whatever mmcv asks for: an operator, or a function that names what is missing when called."""
    # Python's own questions, and those of who reads this file under its own name
    # (pytest: pytest_plugins).
    if name.startswith("__") or __name__ != "mmcv._ext":
        raise AttributeError(name)
    return table.operator(name)
