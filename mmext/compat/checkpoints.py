"""The repair that lets torch >= 2.6 read the checkpoints that mmengine saves."""

import pickle
from collections.abc import Callable
from typing import Any

from mmext.compat.repair import Repair


class ResumeWeightsOnly(Repair):
    """Allow-list for what mmengine puts into its checkpoints; ``weights_only`` stays on.

    Found by listing the globals of a real checkpoint (optimizer, schedulers, message hub, EMA, best
    score): HistoryBuffer, numpy arrays and scalars of plain numbers, and ``getattr``, since a HistoryBuffer
    pickles its own methods. ``getattr`` itself would let a file reach anything, so its name is answered
    by a function that hands out these methods and nothing else.
    """

    name = "resume_weights_only"
    why = "torch >= 2.6 loads with weights_only=True and so refuses the history that mmengine saves"
    before = ("mmengine.runner.checkpoint",)

    def needed(self) -> bool:
        """True from torch 2.6 on."""
        try:
            import torch
        except ImportError:
            return False
        return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)

    def apply(self) -> None:
        """Extend torch's list of harmless globals."""
        from torch.serialization import add_safe_globals, get_safe_globals

        taken = {_pickled_name(entry) for entry in get_safe_globals()}
        self.added = [entry for entry in _harmless() if _pickled_name(entry) not in taken]
        add_safe_globals(self.added)

    def undo(self) -> None:
        """Restore the list; what others have added stays."""
        from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

        others = [entry for entry in get_safe_globals() if entry not in self.added]
        clear_safe_globals()
        add_safe_globals(others)


def _pickled_name(entry: Any) -> str:
    """Full name under which torch's unpickler knows an entry of its list."""
    return entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}"


def _known_as(module: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` another full name; torch 2.6 has no other way to allow a name than this."""

    def alias(*args: Any) -> Any:
        return function(*args)

    alias.__module__, alias.__qualname__ = module, name
    alias.__name__ = name
    return alias


def _harmless() -> list[Any]:
    """Globals that a checkpoint of mmengine needs beyond torch's own."""
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    def method_of_history_buffer(owner: Any, name: Any) -> Any:
        HistoryBuffer()  # the first instance fills in the table of methods
        if owner is HistoryBuffer and name in HistoryBuffer._statistics_methods:
            return HistoryBuffer._statistics_methods[name]
        raise pickle.UnpicklingError(
            f"the file asks for attribute {name!r} of {owner!r}; a checkpoint of mmengine needs only the "
            "statistics of HistoryBuffer, so do not trust this file"
        )

    examples: dict[str, Any] = {"_reconstruct": np.zeros(1), "scalar": np.float64(0)}
    numbers = (np.float64, np.float32, np.int64, np.int32, np.bool_)
    return [
        HistoryBuffer,
        _known_as("builtins", "getattr", method_of_history_buffer),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(number)) for number in numbers),
        # numpy 2 moved its private module; a checkpoint may come from either side.
        *(
            _known_as(module, name, example.__reduce__()[0])
            for module in ("numpy.core.multiarray", "numpy._core.multiarray")
            for name, example in examples.items()
        ),
    ]
