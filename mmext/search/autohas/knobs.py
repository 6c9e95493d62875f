"""Where a value is set while the model lives: the optimiser, its clipping, a part of the model."""

from collections.abc import Sequence
from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn

from mmext.errors import BadInputError, did_you_mean
from mmext.search.autohas.choice import Choice
from mmext.search.autohas.decisions import Decision

OPTIMISER, CLIPPING, MODEL = "optim_wrapper.optimizer.", "optim_wrapper.clip_grad.", "model."
NOT_SETTINGS = ("params", "initial_lr", "foreach", "fused", "capturable", "differentiable")


class OptimiserKnob:
    """A setting of all the optimiser's groups: rate, weight decay, momentum, betas.

    Groups keep their ratio to the config's value (``paramwise_cfg``, the linear rule for batch
    sizes), and a schedule goes on multiplying the rate.

    Args:
        key: of the config.
        optim_wrapper: around the optimiser.
        base: the value of the config, None if it has none.

    Raises:
        BadInputError: the optimiser has no such setting, or its ratios cannot be known.
    """

    shares_gradient = True

    def __init__(self, key: str, optim_wrapper: OptimWrapper, base: Any) -> None:
        self._field = key.removeprefix(OPTIMISER)
        self._groups = optim_wrapper.optimizer.param_groups
        self._own: list[Any] | None = None
        known = [name for name in self._groups[0] if name not in NOT_SETTINGS]
        if self._field not in known:
            raise BadInputError(
                f"space: {key} expected a setting of {type(optim_wrapper.optimizer).__name__}, "
                f"which has {', '.join(known)}{did_you_mean(self._field, known)}; correct the key"
            )
        # A scheduler keeps the rate that it started from.
        start = "initial_lr" if self._field == "lr" else self._field
        values = [group.get(start, group[self._field]) for group in self._groups]
        base = optim_wrapper.optimizer.defaults.get(self._field) if base is None else base
        if not isinstance(base, int | float) or values == [base] * len(values):
            self._ratios = [1.0] * len(values)
        elif base == 0:
            raise BadInputError(
                f"space: {key} expected a value other than 0 in the config, whose groups of "
                "parameters have values of their own; set it, so that their ratios are known"
            )
        else:
            self._ratios = [value / base for value in values]

    def set(self, value: Any) -> None:
        """Take the value until :meth:`reset`."""
        self._own = [group[self._field] for group in self._groups]
        for group, own, ratio in zip(self._groups, self._own, self._ratios, strict=True):
            scale = ratio
            if self._field == "lr" and group.get("initial_lr"):
                scale *= own / group["initial_lr"]  # the schedule's factor at this step
            # A product by 1.0 would make a float of an int, and fail for betas.
            group[self._field] = value if scale == 1 else value * scale

    def reset(self) -> None:
        """Go back to what it was, which schedulers and the log read."""
        if self._own is not None:
            for group, own in zip(self._groups, self._own, strict=True):
                group[self._field] = own
            self._own = None


class AttributeKnob:
    """A number that an object reads whenever it is used: a weight of a loss, a drop rate, a clip.

    Validation has the config's own value: a loss of less weight would look better than it is.

    Args:
        holder: the object, or a dict.
        field: the attribute's name, or the key's.
    """

    shares_gradient = False

    def __init__(self, holder: Any, field: str) -> None:
        self._holder, self._field = holder, field
        self.own = holder[field] if isinstance(holder, dict) else getattr(holder, field)

    def set(self, value: Any) -> None:
        """Take the value until :meth:`reset`."""
        if isinstance(self._holder, dict):
            self._holder[self._field] = value
        else:
            setattr(self._holder, self._field, value)

    def reset(self) -> None:
        """Go back to the config's own."""
        self.set(self.own)


class ChoiceKnob:
    """The active module of a ``Choice``; unlike the others it also counts in validation."""

    shares_gradient = False

    def __init__(self, module: Choice) -> None:
        self._module = module

    def set(self, value: int) -> None:
        """Make it active."""
        self._module.active = value

    def reset(self) -> None:
        """Nothing: the weights after a step belong to the module that was active."""


Knob = OptimiserKnob | AttributeKnob | ChoiceKnob


def choices_of(model: nn.Module) -> dict[str, Choice]:
    """Every place of choice in a model, by its key in the config."""
    return {f"{MODEL}{name}": one for name, one in model.named_modules() if isinstance(one, Choice)}


def choice_decisions(model: nn.Module) -> list[Decision]:
    """One for each place."""
    return [
        Decision(name, tuple(range(len(one.choices))), None)
        for name, one in choices_of(model).items()
    ]


def knob_of(key: str, model: nn.Module, optim_wrapper: OptimWrapper, config: Any) -> Knob:
    """What sets the value of a key.

    Args:
        key: of the config.
        model: without a wrapper.
        optim_wrapper: the run's.
        config: the run's, for the value that stands there.

    Raises:
        BadInputError: nothing has the key, or it is read only when the model is built.
    """
    if key in (places := choices_of(model)):
        return ChoiceKnob(places[key])
    if key.startswith(OPTIMISER):
        return OptimiserKnob(key, optim_wrapper, _value_at(config, key))
    if key.startswith(CLIPPING):
        clip, field = optim_wrapper.clip_grad_kwargs or {}, key.removeprefix(CLIPPING)
        if field not in clip:
            raise BadInputError(
                f"space: {key} expected clip_grad with {field} in the config's optim_wrapper, got "
                f"{clip or 'none'}{did_you_mean(field, clip)}; add it, or correct the key"
            )
        return AttributeKnob(clip, field)
    if key.startswith(MODEL):
        return _model_knob(key, model)
    known = (OPTIMISER, CLIPPING, MODEL)
    raise BadInputError(
        f"space: AutoHAS expected keys that begin with {', '.join(known)}, got {key}"
        f"{did_you_mean(key, _keys(config))}; correct it, or search it with tools/search.py"
    )


def _model_knob(key: str, model: nn.Module) -> AttributeKnob:
    holder: Any = model
    *way, field = key.removeprefix(MODEL).split(".")
    for word in way:
        if isinstance(holder, nn.ModuleList | list | tuple) and word.isdigit():
            holder = holder[int(word)] if int(word) < len(holder) else None
        else:
            holder = getattr(holder, word, None)
        if holder is None:
            raise BadInputError(
                f"space: {key}: the model has no {word} there; correct the key, or search it with "
                "tools/search.py, which builds a model for each value"
            )
    value = getattr(holder, field, None)
    if not isinstance(value, int | float) or isinstance(value, bool):
        numbers = [k for k, v in vars(holder).items() if isinstance(v, float)]
        raise BadInputError(
            f"space: {key} expected a number in {type(holder).__name__} that training reads, got "
            f"{value!r}{did_you_mean(field, numbers)}; correct the key, or search it with "
            "tools/search.py, which builds a model for each value"
        )
    return AttributeKnob(holder, field)


def _value_at(config: Any, key: str) -> Any:
    for word in key.split("."):
        config = config.get(word) if hasattr(config, "get") else None
    return config


def _keys(config: Any, before: str = "") -> Sequence[str]:
    """All dotted keys of a config that can be searched here."""
    found: list[str] = []
    for name, value in config.items() if hasattr(config, "items") else ():
        path = f"{before}{name}"
        if f"{path}.".startswith(("optim_wrapper.", MODEL)):
            found += [path, *_keys(value, f"{path}.")]
    return found
