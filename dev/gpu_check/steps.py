"""One training step on any device, and how far two of them are apart."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tests.contract.parts import host_of

# Of a parameter's gradient in float32, relative to its length: sums run in another order.
TOLERANCE = 1e-3
# What rounding may explain at most: where a step turns over at a threshold, another order of sums
# is another step.
MOST_ROUNDING = 2e-2

Gradients = dict[str, Tensor]


def step(host: ModuleType, model: nn.Module, data: dict) -> tuple[float, Gradients]:
    """Loss and gradients in float64 on the CPU."""
    model.zero_grad(set_to_none=True)
    loss = host.loss(model, data)
    loss.backward()
    grads = {
        name: p.grad.double().cpu() for name, p in model.named_parameters() if p.grad is not None
    }
    return loss.item(), grads


class SameChance(TorchFunctionMode):
    """Random numbers that are the same on each device: drawn on the CPU, from a seed of their own.

    Whichever generator a part draws from. What samples by PyTorch's own kernels, as dropout does,
    is switched off before.
    """

    DRAWS = (torch.rand, torch.randn, torch.randint, torch.randperm)
    ALIKE = (torch.rand_like, torch.randn_like)

    def __enter__(self) -> "SameChance":
        self.generator = torch.Generator().manual_seed(0)
        return super().__enter__()

    def __torch_function__(
        self, draw: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if draw in self.ALIKE:
            like = kwargs.pop("dtype", None) or args[0].dtype
            drawn = torch.rand if draw is torch.rand_like else torch.randn
            found = drawn(args[0].shape, generator=self.generator, dtype=like)
            return found.to(args[0].device)
        if draw in self.DRAWS:
            device = kwargs.pop("device", None)
            return draw(*args, **kwargs | dict(generator=self.generator)).to(device or "cpu")
        return draw(*args, **kwargs)


def rounding(host: ModuleType, model: nn.Module, data: dict, expected: tuple) -> float:
    """How far off a step is whose weights differ in their last bit: the larger of two errors."""
    errors = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        near = copy.deepcopy(model)
        with torch.no_grad():
            for weight in near.parameters():
                sign = torch.randn(weight.shape, generator=generator).sign()
                weight.mul_(1 + sign * torch.finfo(weight.dtype).eps / 2)
        with SameChance():
            found = step(host, near, copy.deepcopy(data))
        errors.append(largest_error(found[1], expected[1])[1])
    return max(errors)


def largest_error(found: Gradients, expected: Gradients) -> tuple[str, float]:
    """The parameter whose gradient is off most, and by how much of its length.

    A gradient of less than a thousandth of the mean length per element counts as that long: some
    are nothing but rounding, as that of a constant added to all logits of a softmax.
    """
    if found.keys() != expected.keys():
        raise AssertionError(
            f"gradients for different parameters: {found.keys() ^ expected.keys()}"
        )
    floor = (
        1e-3
        * (
            sum(g.square().sum() for g in expected.values())
            / sum(g.numel() for g in expected.values())
        )
        ** 0.5
    )
    errors = {
        name: float((found[name] - g).norm() / g.norm().clamp(min=floor * g.numel() ** 0.5))
        for name, g in expected.items()
    }
    worst = max(
        errors, key=lambda name: errors[name] if errors[name] == errors[name] else float("inf")
    )
    return worst, errors[worst]


def compared(
    found: tuple[float, Gradients], expected: tuple[float, Gradients], tolerance: float
) -> dict:
    """Whether two steps agree within a tolerance; how far loss and worst parameter are off."""
    worst, error = largest_error(found[1], expected[1])
    loss_error = abs(found[0] - expected[0]) / max(abs(expected[0]), 1e-6)
    ok = error <= tolerance and loss_error <= tolerance  # not a number is not
    return dict(ok=ok, gradient_error=error, parameter=worst, loss_error=loss_error)


@contextmanager
def exact() -> Iterator[None]:
    """Float32 products without TF32's 10 bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def prepared(path: Path, device: str) -> tuple[ModuleType, nn.Module, dict]:
    """A config's host, its model on the device, and a batch."""
    host = host_of(path)
    return host, host.build(path).to(device), host.batch(counts=(4, 3))
