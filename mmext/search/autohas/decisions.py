"""What is decided: the choices of each value, and how a distribution over them becomes a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError, did_you_mean

FIELDS = ("basis", "choices", "type", "low", "high", "log", "bins", "mix")
MIXES = ("log", "linear")
BINS = 6
"""Entries of a basis that is given by its ends alone."""

TOO_SLOW = {
    "train_cfg": "how long to train",
    "param_scheduler": "a schedule",
    "custom_hooks": "a hook, such as the decay of averaged weights,",
    "default_hooks": "a hook",
    "train_dataloader": "the data or the size of a batch",
    "val_dataloader": "the data of validation",
    "auto_scale_lr": "the size of a batch",
    "optim_wrapper.accumulative_counts": "the size of a batch",
    "randomness": "a seed",
}
"""Beginnings of keys whose effect shows after many steps, and what they are."""


@dataclass(frozen=True)
class Decision:
    """A value, or a part of the architecture, that is searched."""

    name: str
    """The key of the config."""
    choices: tuple[Any, ...]
    mix: str | None
    """``log``, ``linear``, or None where choices are no numbers."""

    def mixed(self, p: Float[np.ndarray, " C"]) -> Any:
        """The value of a distribution: ``exp(sum p log B)``, ``sum p B``, or the likeliest choice.

        Example:
            >>> round(Decision("lr", (0.01, 1.0), "log").mixed(np.array([0.5, 0.5])), 6)
            0.1
        """
        if self.mix is None or p.max() == 1:
            return self.choices[int(p.argmax())]
        basis = np.asarray(self.choices, dtype=float)
        return float(np.exp(p @ np.log(basis)) if self.mix == "log" else p @ basis)


def decisions_of(space: Mapping[str, Mapping[str, Any]]) -> list[Decision]:
    """Read ``space`` of the loop.

    Args:
        space: key of the config to ``dict(basis=[...])``, ``dict(type="float", low=, high=,
            log=)``, or ``dict(type="categorical", choices=[...])``; ``mix`` may be ``log`` or
            ``linear``.

    Raises:
        BadInputError: an entry is not one of these, or one step cannot judge the value.
    """
    for name in space:
        refuse_slow(name)
    return [_decision(name, dict(entry)) for name, entry in space.items()]


def refuse_slow(name: str) -> None:
    """Refuse a value whose effect shows after many steps.

    Raises:
        BadInputError: it is one.
    """
    for start, what in TOO_SLOW.items():
        if f"{name}.".startswith(f"{start}."):
            raise BadInputError(
                f"space: AutoHAS expected values that one step of training can judge, got {name}, "
                f"{what} whose effect shows at the end; search it with tools/search.py"
            )


def _decision(name: str, entry: dict[str, Any]) -> Decision:
    for field in entry:
        if field not in FIELDS:
            raise BadInputError(
                f"space: {name} has {field!r}, which is none of {', '.join(FIELDS)}"
                f"{did_you_mean(field, FIELDS)}; correct it"
            )
    choices = tuple(entry["choices"] if "choices" in entry else _basis(name, entry))
    if len(choices) < 2:
        raise BadInputError(
            f"space: {name} expected at least two values to choose from, got {list(choices)}; add "
            "some, or write the value into the config"
        )
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in choices)
    mix = None
    if numbers and "choices" not in entry:
        # A linear mix of 1e-4 to 10 is ruled by its largest entry.
        mix = entry.get("mix") or ("log" if min(choices) > 0 else "linear")
    if mix == "log" and min(choices) <= 0:
        raise BadInputError(
            f"space: {name} expected values above 0 for mix='log', got {min(choices)}; leave it "
            "out, or take mix='linear'"
        )
    if mix is not None and mix not in MIXES:
        raise BadInputError(f"space: mix of {name} expected one of {MIXES}, got {mix!r}; change it")
    return Decision(name, choices, mix)


def _basis(name: str, entry: dict[str, Any]) -> Sequence[Any]:
    if "basis" in entry:
        return entry["basis"]
    kind = entry.get("type")
    if kind not in ("float", "int") or not {"low", "high"} <= set(entry):
        raise BadInputError(
            f"space: {name} expected basis=[...], choices=[...], or type='float' or 'int' with low "
            f"and high, got {entry}; give one of these"
        )
    low, high, log = entry["low"], entry["high"], entry.get("log", False)
    if not low < high or (log and low <= 0):
        raise BadInputError(
            f"space: {name} expected low < high{' and low > 0' if log else ''}, got {low} and "
            f"{high}; correct the range"
        )
    values = (np.geomspace if log else np.linspace)(low, high, entry.get("bins", BINS))
    return sorted({round(one) for one in values}) if kind == "int" else values.tolist()
