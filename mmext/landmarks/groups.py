"""The rates of VGGCPM: trunk and stages, weights and biases, each with a factor of its own.

Weights of the trunk take the rate as it is, biases twice; weights of the stages four times, biases
eight times. Biases do not decay (https://github.com/D-X-Y/landmark-detection).
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

FACTORS = {
    ("trunk", "weight"): 1,
    ("trunk", "bias"): 2,
    ("stage", "weight"): 4,
    ("stage", "bias"): 8,
}


def is_cpm(module: nn.Module) -> bool:
    """Whether a module has the trunk and the stages that the factors are meant for."""
    return hasattr(module, "trunk_modules") and hasattr(module, "stages")


def cpm_groups(
    model: nn.Module, lr: int | float, weight_decay: int | float = 0.0
) -> list[dict[str, Any]]:
    """Parameter groups of a model for an optimizer; what is in no CPM net takes the plain rate.

    Args:
        model: a net, or whatever holds one.
        lr: the rate of the trunk's weights.
        weight_decay: of all but the biases of a CPM net.

    Returns:
        A dict a group: ``params``, ``lr``, ``weight_decay``, and ``name``; empty groups are left
        out, frozen parameters too.
    """
    named: dict[str, dict[str, Any]] = {}
    seen: set[int] = set()

    def add(name: str, parameters: Iterable[nn.Parameter], factor: int, decay: int | float) -> None:
        group = named.setdefault(
            name, dict(params=[], lr=factor * lr, weight_decay=decay, name=name)
        )
        for parameter in parameters:
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                group["params"].append(parameter)

    nets: list[Any] = [module for module in model.modules() if is_cpm(module)]
    for net in nets:
        for part, modules in (("trunk", net.trunk_modules()), ("stage", net.stages)):
            for name, parameter in [one for m in modules for one in m.named_parameters()]:
                kind = "bias" if name.endswith("bias") else "weight"
                decay = 0.0 if kind == "bias" else weight_decay
                add(f"{part}_{kind}", [parameter], FACTORS[part, kind], decay)
    add("rest", model.parameters(), 1, weight_decay)
    return [group for group in named.values() if group["params"]]
