"""Under fp16 autocast with a loss scale our parts give the gradients that they give in float32.

A whole model would compare the hosts' layers as well, whose gradients overflow or vanish in half
precision on their own. So one pass under autocast notes with what each of our parts is called, and
each call is repeated in both precisions: heads with their losses times 2**16, layers with a
gradient of order one, which is what a loss scale is for.
"""

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_flatten, tree_map

from tests.contract.parts import host_of, name_of, small_configs

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
    # Our wrapper of a whole model, which has few parts of ours, runs the host's as well.
    whole = [model, *model.children()]

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
    for name in bound.arguments:
        if name.startswith("cls_score"):
            bound.arguments[name] = tree_map(lower, bound.arguments[name])
    return bound.args, bound.kwargs


def lower(logits: Tensor) -> Tensor:
    return (logits.detach() - 3).requires_grad_(logits.requires_grad)


def gradients(call: Call, *, half: bool) -> list[Tensor | None]:
    """Gradients of a call's inputs and parameters, without the scale; None for any not reached."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return copied(value)
        value, wanted = value.detach().clone(), value.requires_grad
        value = value.float() if value.is_floating_point() and not half else value
        return value.requires_grad_(wanted)

    args, kwargs = tree_map(leaf, as_if_trained(call))
    leaves = [
        x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor) and x.requires_grad
    ]
    leaves += [x for x in call.part.parameters() if x.requires_grad]
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.float16, enabled=half):
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

    def run(forward: Callable, *args: Any, **kwargs: Any) -> Any:
        raised = tree_map(
            lambda x: x.float() if isinstance(x, Tensor) and x.dtype == torch.float16 else x,
            (args, kwargs),
        )
        with torch.autocast("cpu", enabled=False):
            return forward(*raised[0], **raised[1])

    for module in model.modules():
        if ".losses." in type(module).__module__ and not is_ours(module):
            module.forward = partial(run, module.forward)


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_gradients_with_a_loss_scale_are_those_of_float32(path):
    host = host_of(path)
    model = host.build(path)
    for module in model.modules():
        if isinstance(module, _DropoutNd | _BatchNorm):
            module.eval()  # no chance, and no statistics of tiny maps
    host_losses_in_float32(model)
    data = host.batch(
        counts=(4,), size=host.image_size(model) if path.parts[-3] == "action" else (96, 128)
    )

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.float16):
            host.loss(model, copy.deepcopy(data))

    try:
        calls = calls_of(model, step)
    except (RuntimeError, TypeError) as error:
        if "Half" not in str(error) and "Float16" not in str(error):
            raise
        pytest.skip(f"the host has an operator without fp16 on CPUs: {error}")
    assert calls or not any(map(is_ours, model.modules()))
    for call in calls:
        check(call)


def check(call: Call) -> None:
    """Losses by element, whose gradients have all sizes; layers, which sum products, as a whole."""
    exact, half = (gradients(call, half=half) for half in (False, True))
    sizes = [x.norm() for x in exact if x is not None]
    for index, (want, got) in enumerate(zip(exact, half, strict=True)):
        if want is None or got is None:
            assert want is got, (
                f"{type(call.part).__name__}: gradient {index} is not reached in one precision"
            )
            continue
        where = (
            f"{type(call.part).__name__}.{call.run.__name__}: gradient {index} {tuple(got.shape)}"
        )
        if call.run.__name__ == "forward" and not hasattr(call.part, "loss_weight"):
            error = (got - want).norm()
            assert error <= 0.05 * want.norm() + 0.01 * max(sizes), (
                f"{where}: {error} of {want.norm()}"
            )
            continue
        fits = (want != 0) & (want.abs() * SCALE < LARGEST)
        want, got = want[fits], got[fits]
        close = (got - want).abs() <= 0.05 * want.abs() + STEP / SCALE
        assert close.float().mean() >= 0.98 or not len(close), (
            f"{where}: {1 - close.float().mean():.1%} are off"
        )
