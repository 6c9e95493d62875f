"""What can be counted exactly about code: bytes kept for backward, operators, FLOPs, host waits.

Tests assert these numbers and ``make bench`` prints them; time is only ever printed.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


def bytes_kept_for_backward(forward: Callable[[], Any], *, besides: Iterable[Tensor] = ()) -> int:
    """Bytes of all storages that autograd keeps alive after ``forward``, each storage once.

    Args:
        forward: what is run.
        besides: tensors that do not count since they are there anyway, such as a model's
            parameters.
    """
    kept: dict[int, int] = {}
    alive = []  # else a freed storage's address could be counted for another one

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(storage)
        # An output that its own node keeps would be a circle, and never be freed.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    for tensor in besides:
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(kept.values())


class _Kept:
    """A tensor as autograd keeps it, that says when it is let go."""

    def __init__(self, tensor: Tensor, freed: Callable[[], None]) -> None:
        self.tensor, self.freed = tensor, freed

    def __del__(self) -> None:
        self.freed()


def most_bytes_kept(run: Callable[[], Any], *, besides: Iterable[Tensor] = ()) -> int:
    """The most bytes that autograd keeps alive at one time in ``run``, backward included.

    Where steps come in turn, each frees what it has kept before the next keeps its own.

    Args:
        run: what is run.
        besides: tensors that do not count since they are there anyway, such as parameters.
    """
    others = {tensor.untyped_storage().data_ptr() for tensor in besides}
    holders: dict[int, int] = {}
    now = most = 0

    def pack(tensor: Tensor) -> _Kept:
        nonlocal now, most
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in others:
            size = 0
        if not holders.get(place):
            now += size
            most = max(most, now)
        holders[place] = holders.get(place, 0) + 1

        def freed() -> None:
            nonlocal now
            holders[place] -= 1
            now -= 0 if holders[place] else size

        return _Kept(tensor.detach(), freed)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        run()
    return most


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


class HostWait(NamedTuple):
    """A place where the host would wait for a GPU."""

    operator: str
    """What waits, for example ``aten.nonzero``."""
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}: {self.operator}"


# The sizes of their results depend on values, so the host has to look at these before it can go on.
_SIZED_BY_VALUES = {
    "aten.nonzero",
    "aten.masked_select",
    "aten._unique2",
    "aten.unique_dim",
    "aten.unique_consecutive",
    "aten.bincount",
    "aten._local_scalar_dense",  # .item(), float(), int(), bool(), if tensor:
    "aten.equal",
    "aten.is_nonzero",
    "torchvision.nms",
}
_READ_BY_THE_HOST = (Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__repr__)
_TORCH = str(Path(torch.__file__).parent)
_PASSED_OVER = (_TORCH, __file__, "<")  # "<": code that has no file, such as a check of types


def host_waits(run: Callable[[], Any]) -> list[HostWait]:
    """Where ``run`` would make the host wait for a GPU, each time one entry; counted on any device.

    Counts what reads a value (``item``, ``tolist``, ``numpy``, ``cpu``, a tensor as a condition, as
    an index of Python or as text) and what cannot know the size of its result (``nonzero``, a
    boolean mask as an index, ``repeat_interleave`` by a tensor without ``output_size``,
    ``unique``). The place is the innermost line outside of torch. Backward counts where its thread
    is the caller's, as on a CPU.
    """
    found: list[HostWait] = []
    with _WaitsOfFunctions(found), _WaitsOfOperators(found):
        run()
    return found


class _WaitsOfOperators(TorchDispatchMode):
    def __init__(self, found: list[HostWait]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _waits(func, args, kwargs):
            self.found.append(_wait_here(str(func.overloadpacket)))
        return func(*args, **kwargs)


class _WaitsOfFunctions(TorchFunctionMode):
    """What copies to the host is no operator where the tensor is there already."""

    def __init__(self, found: list[HostWait]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (
            func in _READ_BY_THE_HOST
            or (func is Tensor.to and _names_the_cpu(*args[1:], **kwargs))
            or (func is Tensor.__format__ and args[0].dim())  # a number's is an item
        ):
            self.found.append(_wait_here(f"Tensor.{func.__name__}"))
        if func is torch.tensor and isinstance(args[0], list | tuple):
            self.found += [_wait_here("torch.tensor") for one in args[0] if isinstance(one, Tensor)]
        before = len(self.found)
        result = func(*args, **kwargs)
        if func is F.one_hot and (len(args) > 1 or "num_classes" in kwargs):
            del self.found[before:]  # it looks for wrong classes on a CPU alone
        return result


def _names_the_cpu(device: Any = None, *_: Any, **more: Any) -> bool:
    """Whether ``Tensor.to`` is asked for the CPU by name, not for the device of another tensor."""
    device = more.get("device", device)
    return isinstance(device, str) and device == "cpu"


def _waits(func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
    name = str(func.overloadpacket)
    if name in _SIZED_BY_VALUES:
        return True
    if name in ("aten.index", "aten.index_put", "aten.index_put_"):
        masks = [one.dtype in (torch.bool, torch.uint8) for one in args[1] if one is not None]
        # torch makes masked_fill of it.
        fills = "put" in name and len(masks) == 1 and args[2].numel() == 1
        return any(masks) and not fills
    return name == "aten.repeat_interleave" and "output_size" not in kwargs and len(args) < 3


def _wait_here(operator: str) -> HostWait:
    """The innermost line of the stack that is not torch's, this file's, or a check of types."""
    frame = sys._getframe(1)
    while frame.f_back and _passed_over(frame.f_code.co_filename):
        frame = frame.f_back
    return HostWait(operator, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _passed_over(file: str) -> bool:
    return file.startswith(_PASSED_OVER) or "jaxtyping" in file or "beartype" in file
