"""What can be counted exactly about a piece of code: bytes kept for backward, operators, FLOPs, host waits.

Tests assert these numbers and ``make bench`` prints them; time is only ever printed.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


def bytes_kept_for_backward(forward: Callable[[], Any], *, besides: Iterable[Tensor] = ()) -> int:
    """Bytes of all storages that autograd keeps alive after ``forward``, each storage once.

    Args:
        forward: what is run.
        besides: tensors that do not count since they are there anyway, such as a model's parameters.
    """
    kept: dict[int, int] = {}
    alive = []  # else a freed storage's address could be counted for another one

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(storage)
        return tensor.detach()  # an output that its own node keeps would be a circle, and never be freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    for tensor in besides:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
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


WAITING = (
    "_local_scalar_dense",  # .item(), int(), float(), bool()
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
)
"""Operators whose result's size or value the host has to know."""


class _WaitCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        repeats = func is torch.ops.aten.repeat_interleave.Tensor and kwargs.get("output_size") is None
        if name in WAITING or repeats or (name.startswith("index") and _by_mask(args)):
            self.total += 1
        return func(*args, **kwargs)


def _by_mask(args: tuple) -> bool:
    """Whether an indexing operator, whose second argument holds the indices, got a boolean mask."""
    indices = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in indices)


class _CopyCounter(TorchFunctionMode):
    """Copies to the host, which no operator tells of where the tensor is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.tolist, Tensor.numpy, Tensor.cpu):
            self.total += 1
        return func(*args, **(kwargs or {}))


def host_waits(run: Callable[[], Any]) -> int:
    """How often ``run`` would make the host wait for a GPU, counted on any device.

    Counted are values that Python reads, results whose size depends on values, and copies to the host. Waits
    within an operator that look like none, such as NMS, are not seen.
    """
    with _WaitCounter() as waits, _CopyCounter() as copies:
        run()
    return waits.total + copies.total
