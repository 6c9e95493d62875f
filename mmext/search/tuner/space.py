"""The space of a search: keys of a config, and what each may be.

A key is dotted (``optim_wrapper.optimizer.lr``, ``param_scheduler.0.end``) or its last word alone,
if the config has one such. The command line gives ``lr,weight_decay`` (a usual range around the
config's own value), ``lr=log(1e-4,1e-1)``, ``x=float(0,1)``, ``depth=int(1,8)``, ``arch=[a,b]``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from mmext.errors import BadInputError, did_you_mean, some
from mmext.search.tuner.changes import Config, leaves, merged, nearest, value_at
from mmext.search.tuner.shorthand import ASKS, from_text

KINDS = {
    "float": {"low", "high", "log", "step"},
    "int": {"low", "high", "log", "step"},
    "categorical": {"choices"},
}
SCALARS = (str, int, float, bool, type(None))
MISSING = object()


@dataclass(frozen=True)
class Parameter:
    """One key of the space.

    Args:
        key: dotted, in full.
        distribution: Optuna's.
        choices: of a categorical one, by the labels that Optuna sees.
        own: the config's own value, as Optuna sees it; None if it lies outside, see ``misfit``.
        misfit: why the own value is no value of the space; empty if it is one.
    """

    key: str
    distribution: BaseDistribution
    choices: dict[Any, Any] | None
    own: Any
    misfit: str = ""

    def value(self, seen: Any) -> Any:
        """What the config gets for a value that Optuna proposes."""
        return self.choices[seen] if self.choices is not None else seen


class Space:
    """All keys of a search.

    Args:
        parameters: in the order in which they were given.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = {one.key: one for one in parameters}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """For ``study.ask``."""
        return {key: one.distribution for key, one in self.parameters.items()}

    @property
    def own(self) -> dict[str, Any]:
        """The config's own values, as Optuna sees them."""
        return {key: one.own for key, one in self.parameters.items()}

    def changes(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What a trial changes in the config."""
        return {key: self.parameters[key].value(seen) for key, seen in params.items()}

    def fingerprint(self) -> dict[str, str]:
        """What a resumed study must have in common with this one."""
        return {key: distribution_to_json(d) for key, d in sorted(self.distributions.items())}

    def require_own(self) -> None:
        """Refuse a space without the config's own values.

        Raises:
            BadInputError: one of them lies outside.
        """
        for one in self.parameters.values():
            if one.misfit:
                raise BadInputError(
                    f"{one.key}: expected a space that holds the config's own value, {one.misfit}; "
                    "widen it, or leave the config out of the search with --no-own"
                )


def parse(given: str | Mapping[str, Any], cfg: Config) -> Space:
    """Read a space from the command line or from a config.

    Raises:
        BadInputError: a key that the config does not have, an empty range, a wrong type.
    """
    specs = from_text(given) if isinstance(given, str) else dict(given)
    if not specs:
        raise BadInputError(f"space: expected some keys to search over, got none; {ASKS}")
    parameters = [parameter(name, spec, cfg) for name, spec in specs.items()]
    keys = [one.key for one in parameters]
    for key in keys:
        if keys.count(key) > 1:
            raise BadInputError(f"space: expected each key once, got {key} twice; leave one out")
        inner = next((one for one in keys if one.startswith(f"{key}.")), None)
        if inner:
            raise BadInputError(f"space: {inner} lies inside {key}; leave one of them out")
    return Space(parameters)


def find_key(name: str, cfg: Config) -> str:
    """The full key of a name: itself, or the only key that ends with it.

    Raises:
        BadInputError: there is none, or there are several.
    """
    try:
        value_at(cfg, name)
    except KeyError:
        pass
    else:
        return name
    ends = [key for key, _ in leaves(cfg) if key.endswith(f".{name}")]
    optimizer = [key for key in ends if key.startswith("optim_wrapper.")]
    ends = optimizer if len(optimizer) == 1 else ends
    if len(ends) > 1:
        raise BadInputError(
            f"space: {name} is short for several keys of the config, {some(ends)}; give one in full"
        )
    if not ends:
        raise BadInputError(f"space: the config has no key {name}{nearest(name, cfg)}")
    return ends[0]


def parameter(name: str, spec: Any, cfg: Config) -> Parameter:
    """One key of the space.

    Args:
        name: a key, or its end.
        spec: ``type`` and its arguments, and ``own`` for a key that the config leaves to a default;
            None is the usual range around the config's own value.
        cfg: the resolved config.
    """
    if spec is not None and not isinstance(spec, Mapping):
        raise BadInputError(
            f"space: {name} expected dict(type='float', low=, high=), got {spec!r}; correct it"
        )
    if spec and "own" in spec:
        key, own = _new_key(name, cfg), spec["own"]
        spec = {word: value for word, value in spec.items() if word != "own"}
    else:
        key = find_key(name, cfg)
        own = value_at(cfg, key)
    spec = usual(key, own) if spec is None else dict(spec)
    kind = check_spec(key, spec)
    if kind == "categorical":
        return _categorical(key, spec["choices"], own)
    return _range(key, kind, spec, own)


def _new_key(key: str, cfg: Config) -> str:
    parent = key.rpartition(".")[0]
    try:
        if not parent or isinstance(value_at(cfg, parent), dict):
            return key
    except KeyError:
        pass
    raise BadInputError(f"space: the config has no dict {parent} for {key}{nearest(parent, cfg)}")


def check_spec(key: str, spec: dict[str, Any]) -> str:
    """The kind of a spec whose words all are known.

    Raises:
        BadInputError: one is not, or one is missing.
    """
    kind = spec.get("type")
    if kind not in KINDS:
        raise BadInputError(
            f"space: {key} expected type 'float', 'int' or 'categorical', got {kind!r}"
            f"{did_you_mean(str(kind), KINDS)}"
        )
    for word in spec:
        if word not in KINDS[kind] | {"type"}:
            raise BadInputError(
                f"space: {key} expected {some(sorted(KINDS[kind]))} of type {kind!r}, got {word!r}"
                f"{did_you_mean(word, KINDS[kind])}"
            )
    for word in ("choices",) if kind == "categorical" else ("low", "high"):
        if word not in spec:
            raise BadInputError(f"space: {key} expected {word!r}, got none; {ASKS}")
    return kind


def _categorical(key: str, given: Any, own: Any) -> Parameter:
    if not isinstance(given, list | tuple) or not given:
        raise BadInputError(
            f"space: {key} expected a list of choices, got {given!r}, an empty space; {ASKS}"
        )
    choices = {one if isinstance(one, SCALARS) else repr(one): one for one in given}
    if len(choices) < len(given):
        raise BadInputError(f"space: {key} expected different choices, got {given!r}; correct it")
    label = next((seen for seen, one in choices.items() if _is_own(one, own)), MISSING)
    misfit = f"{own!r}, got {some(map(repr, given))}" if label is MISSING else ""
    return Parameter(
        key,
        CategoricalDistribution(list(choices)),
        choices,
        None if label is MISSING else label,
        misfit,
    )


def _is_own(choice: Any, own: Any) -> bool:
    if isinstance(choice, bool) != isinstance(own, bool):
        return False
    result = merged(own, choice)
    return list(result) == list(own) if _are_lists(result, own) else result == own


def _are_lists(*values: Any) -> bool:
    return all(isinstance(one, list | tuple) for one in values)


def _range(key: str, kind: str, spec: dict[str, Any], own: Any) -> Parameter:
    numbers = {word: spec[word] for word in ("low", "high", "step") if spec.get(word) is not None}
    for word, value in numbers.items():
        whole = kind == "float" or isinstance(value, int)
        if isinstance(value, bool) or not isinstance(value, int | float) or not whole:
            raise BadInputError(
                f"space: {key} expected a number of type {kind} as {word}, got {value!r}"
            )
    low, high, log = numbers["low"], numbers["high"], bool(spec.get("log"))
    if not low < high:
        raise BadInputError(
            f"space: {key} expected low < high, got {low!r} and {high!r}, an empty range; widen it"
        )
    if log and low <= 0:
        raise BadInputError(
            f"space: {key} expected low > 0 with log, got {low!r}; raise it, or leave log out"
        )
    if log and "step" in numbers:
        raise BadInputError(f"space: {key} expected log or step, got both; leave one out")
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise BadInputError(
            f"space: {key} expected choices in place of a range, since the config has {own!r} there"
        )
    make = FloatDistribution if kind == "float" else IntDistribution
    step = {"step": numbers["step"]} if "step" in numbers else {}
    distribution = make(low, high, log=log, **step)
    inside = distribution._contains(float(own))
    misfit = "" if inside else f"{own!r}, got {low!r} to {high!r}"
    return Parameter(key, distribution, None, own if inside else None, misfit)


def usual(key: str, own: Any) -> dict[str, Any]:
    """The range for a key of which only the name was given.

    Raises:
        BadInputError: nothing is usual for such a value.
    """
    name = key.rpartition(".")[2]
    if isinstance(own, bool):
        return {"type": "categorical", "choices": [True, False]}
    if isinstance(own, int | float):
        if name == "momentum" and 0.5 <= own <= 0.99:
            return {"type": "float", "low": 0.5, "high": 0.99}
        if name == "weight_decay" and own == 0:
            return {"type": "float", "low": 0.0, "high": 0.01}
        if name == "batch_size":
            return {"type": "categorical", "choices": sorted({max(1, own // 2), own, 2 * own})}
        if own > 0:
            return _around(name, own)
    raise BadInputError(
        f"space: {key} expected a range or choices, since nothing is usual around {own!r}; {ASKS}"
    )


def _around(name: str, own: int | float) -> dict[str, Any]:
    if isinstance(own, int) and name not in ("lr", "weight_decay"):
        return {"type": "int", "low": max(1, own // 2), "high": max(2, 2 * own)}
    factor = {"lr": 30, "weight_decay": 100}.get(name, 10)
    return {"type": "float", "low": own / factor, "high": own * factor, "log": True}
