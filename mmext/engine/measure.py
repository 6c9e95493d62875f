"""What can be counted exactly about a piece of code: bytes kept for backward, operators, FLOPs.

Tests assert these numbers and ``tools/benchmark.py`` prints them; time is only ever printed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


def bytes_kept_for_backward(forward: Callable[[], Any]) -> int:
    """Bytes of all storages that autograd keeps alive after ``forward``, each storage once."""
    kept: dict[int, int] = {}
    alive = []  # else a freed storage's address could be counted for another one

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(kept.values())


class _OperatorCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.total += 1
        return func(*args, **(kwargs or {}))


def num_operators(run: Callable[[], Any]) -> int:
    """Operators that PyTorch dispatches while ``run`` runs, backward included if it calls it."""
    with _OperatorCounter() as counter:
        run()
    return counter.total


def flops(run: Callable[[], Any]) -> int:
    """Floating-point operations of matrix products, convolutions and attention in ``run``."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()
