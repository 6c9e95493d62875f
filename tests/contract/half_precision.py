"""What our parts compute under autocast beside what they compute in float32.

A whole model would compare the hosts' layers as well, whose gradients overflow or vanish in half
precision on their own. So one pass under autocast notes with what each of our parts is called, and
each call is repeated in both precisions: heads with their losses times 2**16, layers with a
gradient of order one, which is what a loss scale is for. ``test_fp16.py`` asks it on the CPU,
``make gpu-check`` on a GPU.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_flatten, tree_map

from tests.contract.parts import host_of

SCALE = 2.0**16
MANY = 8
LARGEST = torch.finfo(torch.float16).max
STEP = 2.0**-24  # between the smallest numbers of half precision


class Call(NamedTuple):
    """One call of a part's function."""

    part: nn.Module
    run: Callable[..., Any]
    args: tuple
    kwargs: dict


def is_ours(module: nn.Module) -> bool:
    return type(module).__module__.startswith("mmext.")


def loss_function(module: nn.Module) -> str | None:
    """The name of a head's function from predictions to losses."""
    if hasattr(module, "loss_by_feat"):
        return "loss_by_feat"
    scores = "cls_score" in inspect.signature(getattr(module, "loss", nn.Module)).parameters
    return "loss" if scores else None


def calls_of(model: nn.Module, step: Callable[[], Any]) -> list[Call]:
    """What ``step`` calls of ours, each class once; not whole models, backbones and necks.

    These call many others.
    """
    found: dict[tuple[type, str], Call] = {}
    open_calls: list[int] = []  # how many others each has led to
    # Our wrapper of a whole model, which has few parts of ours, runs the host's as well; a model of
    # several models holds their nets one level deeper.
    models = [one for one in model.modules() if one is model or isinstance(one, BaseModel)]
    whole = [part for one in models for part in (one, *one.children())]

    def spy(part: nn.Module, name: str, run: Callable, *args: Any, **kwargs: Any) -> Any:
        given = tree_map(kept, (args, kwargs))
        open_calls.append(0)
        result = run(*args, **kwargs)
        others = open_calls.pop()
        if open_calls:
            open_calls[-1] += others + 1
        if name != "forward" or not others or (others <= MANY and part not in whole):
            found.setdefault((type(part), name), Call(part, run, *given))
        return result

    for part in filter(is_ours, model.modules()):
        for name in filter(None, ("forward", loss_function(part))):
            setattr(part, name, partial(spy, part, name, getattr(part, name)))
    step()
    for part in filter(is_ours, model.modules()):
        for name in filter(None, ("forward", loss_function(part))):
            delattr(part, name)
    return list(found.values())


def kept(value: Any) -> Any:
    """As it is now, without its graph, but with a mark whether it had one."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return copied(value)


def copied(value: Any) -> Any:
    """A copy, since targets are worked out in place.

    What holds tensors with a graph is the same twice.
    """
    try:
        return copy.deepcopy(value)
    except RuntimeError:
        return value


def as_if_trained(call: Call) -> tuple[tuple, dict]:
    """A call's arguments; class scores as of a net that knows that most anchors are background."""
    bound = inspect.signature(call.run).bind(*call.args, **call.kwargs)
    scores = [name for name in bound.arguments if name.startswith("cls_score")]
    kinds = [one.kind for one in bound.signature.parameters.values()]
    if call.run.__name__ == "loss_by_feat" and kinds[0] is inspect.Parameter.VAR_POSITIONAL:
        raise AssertionError(
            f"{type(call.part).__name__}.loss_by_feat: expected the scores by their name as its "
            f"first argument, got {bound.signature}; unknown, those of an untrained net are "
            "compared, which are equal after rounding"
        )
    spread = torch.Generator().manual_seed(0)
    for name in scores:
        bound.arguments[name] = tree_map(partial(lower, generator=spread), bound.arguments[name])
    return bound.args, bound.kwargs


def lower(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Around -3, and spread: scores that are equal after rounding are chosen among by chance."""
    spread = torch.randn(logits.shape, generator=generator)
    lowered = logits.detach() - 3 + spread.to(logits)
    return lowered.requires_grad_(logits.requires_grad)


def gradients(call: Call, dtype: torch.dtype | None) -> list[Tensor | None]:
    """Gradients of a call's inputs and parameters, without the scale; None for any not reached.

    Args:
        call: what to repeat.
        dtype: of autocast; None for float32.
    """

    def leaf(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return copied(value)
        value, wanted = value.detach().clone(), value.requires_grad
        value = value.float() if value.is_floating_point() and not dtype else value
        return value.requires_grad_(wanted)

    args, kwargs = tree_map(leaf, as_if_trained(call))
    leaves = [
        x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor) and x.requires_grad
    ]
    leaves += [x for x in call.part.parameters() if x.requires_grad]
    torch.manual_seed(0)
    with torch.autocast(device_of(call.part), dtype=dtype, enabled=dtype is not None):
        result = call.run(*args, **kwargs)
    outputs = [x for x in tree_flatten(result)[0] if isinstance(x, Tensor) and x.requires_grad]
    outputs = [x for x in outputs if x.grad_fn is not None]
    if not outputs or not leaves:
        return []
    if isinstance(result, dict) or all(x.dim() == 0 for x in outputs):  # losses
        scaled = [torch.full_like(x, SCALE) for x in outputs]
    else:
        g = torch.Generator().manual_seed(0)
        scaled = [torch.randn(x.shape, generator=g).to(x) for x in outputs]
    found = torch.autograd.grad(outputs, leaves, scaled, allow_unused=True)
    return [None if x is None else x.float() / SCALE for x in found]


def host_losses_in_float32(model: nn.Module) -> None:
    """What the hosts' own losses lose in half precision is theirs."""

    device = device_of(model)

    def run(forward: Callable, *args: Any, **kwargs: Any) -> Any:
        raised = tree_map(
            lambda x: x.float() if isinstance(x, Tensor) and x.is_floating_point() else x,
            (args, kwargs),
        )
        with torch.autocast(device, enabled=False):
            return forward(*raised[0], **raised[1])

    for module in model.modules():
        if ".losses." in type(module).__module__ and not is_ours(module):
            module.forward = partial(run, module.forward)


def device_of(module: nn.Module) -> str:
    """Type of the device that a module is on; of one without weights, the CPU unless CUDA is on."""
    tensors = (*module.parameters(), *module.buffers())
    return next((x.device.type for x in tensors), "cuda" if torch.cuda.is_available() else "cpu")


def without_chance(model: nn.Module) -> nn.Module:
    """Switch off what draws random numbers, and what small batches and maps give statistics to.

    Of four values a variance is nothing but rounding, and its root divides the gradients.
    """
    for module in model.modules():
        if isinstance(module, _DropoutNd | _BatchNorm) or type(module).__name__ == "DropPath":
            module.eval()
    return model


def calls_in_half(path: Path, device: str, dtype: torch.dtype) -> list[Call]:
    """What one step of a small config under autocast calls of ours.

    Raises:
        RuntimeError, TypeError: the host has an operator that knows no such numbers.
    """
    host = host_of(path)
    model = without_chance(host.build(path).to(device))
    host_losses_in_float32(model)
    data = host.batch(
        counts=(4,), size=host.image_size(model) if path.parts[-3] == "action" else (96, 128)
    )

    def step() -> None:
        with torch.autocast(device, dtype=dtype):
            host.loss(model, copy.deepcopy(data))

    calls = calls_of(model, step)
    assert calls or not any(map(is_ours, model.modules()))
    return calls


def faults(call: Call, dtype: torch.dtype) -> Iterator[str]:
    """Where a call's gradients differ from those of float32.

    Losses by element, whose gradients have all sizes; layers, which sum products, as a whole.
    """
    exact, half = gradients(call, None), gradients(call, dtype)
    # bfloat16 rounds eight times as coarsely
    tolerance = 0.05 * torch.finfo(dtype).eps / torch.finfo(torch.float16).eps
    sizes = [x.norm() for x in exact if x is not None]
    for index, (want, got) in enumerate(zip(exact, half, strict=True)):
        where = f"{type(call.part).__name__}.{call.run.__name__}: gradient {index}"
        if want is None or got is None:
            if want is not got:
                yield f"{where} is not reached in one precision"
        elif call.run.__name__ == "forward" and not hasattr(call.part, "loss_weight"):
            error = (got - want).norm()
            if not error <= tolerance * want.norm() + tolerance / 5 * max(sizes):
                yield f"{where} {tuple(got.shape)}: {error} of {want.norm()}"
        else:
            fits = (want != 0) & (want.abs() * SCALE < LARGEST)
            want, got = want[fits], got[fits]
            close = (got - want).abs() <= tolerance * want.abs() + STEP / SCALE
            if len(close) and close.float().mean() < 0.98:
                yield f"{where}: {1 - close.float().mean():.1%} are off"
