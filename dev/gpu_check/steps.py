"""One training step on any device, and how far two of them are apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from tests.contract.parts import host_of

# Of a parameter's gradient in float32, relative to its length: sums run in another order.
TOLERANCE = 1e-3

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
