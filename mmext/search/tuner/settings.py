"""What a search is asked for: the config's ``search = dict(…)``, and the command line over it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from mmext.errors import BadInputError, did_you_mean, some

METHODS = ("random", "grid", "qmc", "tpe", "gp", "cmaes", "nsga2", "reinforce", "nars", "pbt")
PRUNERS = ("none", "median", "percentile", "asha", "hyperband", "rank")
ENGINES = ("optuna", "ray")
SEVERAL = ("random", "grid", "qmc", "tpe", "gp", "nsga2")
"""Methods that search for several objectives at once."""

COSTS = ("macs", "flops", "params", "latency")
"""What is measured of a model before it is trained; latency in seconds a picture or clip."""

POSITIVE = ("trials", "workers", "ranks", "grid_points", "finalist_seeds", "population")


@dataclass(frozen=True)
class Objective:
    """A number to be made large, or small.

    Args:
        name: a metric of the evaluator, ``auto``, or one of ``macs``, ``params``, ``latency`` …
        largest: whether large is good.
    """

    name: str
    largest: bool = True

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word."""
        return "maximize" if self.largest else "minimize"


@dataclass(frozen=True)
class Limit:
    """A bound on what a model may cost.

    Args:
        name: ``macs``, ``flops``, ``params`` or ``latency``.
        most: the largest value that is allowed.
    """

    name: str
    most: int | float


@dataclass(frozen=True)
class Settings:
    """What a search is asked for; each field is a key of ``search`` and a flag.

    Args:
        space: text or dict, see ``space.py``.
        objective: one or several; ``-name`` is to be small.
        limits: such as ``macs<=5e8``.
        finalists: so many of the best are trained again, ``finalist_seeds`` times each.
        own: whether the config's own values are the first trial.
        max_hours: no trial starts later.
        trial_hours: a trial that takes longer has failed.
        ranks: processes of a trial; more than one needs a device or core each.
        population: members of ``pbt``, which share the trials.
        value: of a trial: the ``last`` evaluation's, or its ``best`` one's.
        train_script: another tool than ``mmext train``, which takes CONFIG and --work-dir.
        keep_checkpoints: of all trials, not of the best alone.
        options: ``--cfg-options``, of all trials.
    """

    space: Any = None
    objective: Any = "auto"
    method: str = "tpe"
    pruner: str = "none"
    trials: int = 30
    seed: int = 0
    limits: tuple[str, ...] | list[str] = ()
    finalists: int = 0
    finalist_seeds: int = 3
    workers: int = 1
    engine: str = "optuna"
    max_hours: int | float | None = None
    trial_hours: int | float | None = None
    ranks: int = 1
    grid_points: int = 5
    population: int = 4
    own: bool = True
    storage: str | None = None
    value: str = "last"
    train_script: str | None = None
    verify: bool = True
    keep_checkpoints: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def objectives(self) -> list[Objective]:
        """The objectives in order."""
        given = [self.objective] if isinstance(self.objective, str) else list(self.objective)
        return [Objective(one.removeprefix("-"), not one.startswith("-")) for one in given]

    @property
    def bounds(self) -> list[Limit]:
        """The limits in order."""
        return [limit(one) for one in self.limits]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


def limit(text: str) -> Limit:
    """Read ``macs<=5e8``.

    Raises:
        BadInputError: it has another form.
    """
    form = re.fullmatch(r"\s*(\w+)\s*<=\s*([0-9.eE+-]+)\s*", text)
    try:
        most = float(form[2]) if form else -1.0
    except ValueError:
        most = -1.0
    if form is None or form[1] not in COSTS or most <= 0:
        raise BadInputError(
            f"--limit {text}: expected {', '.join(f'{one}<=NUMBER' for one in COSTS)}; latency is "
            "in seconds"
        )
    return Limit(form[1], most)


def settle(in_config: Any, given: Mapping[str, Any]) -> Settings:
    """Lay the command line over the config's ``search``, and that over the defaults.

    Args:
        in_config: ``search`` of the config; None if there is none.
        given: flags that were given.

    Raises:
        BadInputError: a word, a choice or a number is wrong.
    """
    in_config = in_config or {}
    known = {one.name for one in fields(Settings)}
    if not isinstance(in_config, Mapping):
        raise BadInputError(f"search: expected a dict in the config, got {in_config!r}; correct it")
    for word in in_config:
        if word not in known:
            raise BadInputError(
                f"search: expected {some(sorted(known), 30)}, got {word!r}"
                f"{did_you_mean(word, known)}"
            )
    settings = replace(Settings(), **{**in_config, **given})
    settings = replace(settings, limits=tuple(settings.limits))
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Refuse what cannot be.

    Raises:
        BadInputError: with the sentence.
    """
    chosen = (
        ("method", METHODS),
        ("pruner", PRUNERS),
        ("engine", ENGINES),
        ("value", ("last", "best")),
    )
    for word, table in chosen:
        value = getattr(settings, word)
        if value not in table:
            raise BadInputError(
                f"{word}: expected one of {', '.join(table)}, got {value!r}"
                f"{did_you_mean(str(value), table)}"
            )
    for word in POSITIVE:
        value = getattr(settings, word)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadInputError(f"{word}: expected a whole number of at least 1, got {value!r}")
    names = [settings.objective] if isinstance(settings.objective, str) else settings.objective
    if not names or not all(isinstance(one, str) and one.strip("-") for one in names):
        raise BadInputError(
            f"objective: expected a metric's name or a list of them, got {names!r}; or leave it out"
        )
    for one in settings.objectives:
        if one.name in COSTS and one.largest:
            raise BadInputError(
                f"objective: {one.name} is better small; write -{one.name} (--objective=top1,"
                f"-{one.name})"
            )
    if settings.method == "gp" and settings.pruner != "none":
        raise BadInputError(
            f"pruner: expected none with method gp, which learns from whole trainings alone, got "
            f"{settings.pruner!r}; leave it out, or take tpe"
        )
    check_several(settings)
    if settings.method == "pbt":
        check_population(settings)
    _ = settings.bounds


def check_several(settings: Settings) -> None:
    """Refuse what several objectives rule out."""
    count = len(settings.objectives)
    if settings.objectives[0].name in COSTS:
        raise BadInputError(
            f"objective: expected a metric's name first, got {settings.objectives[0].name!r}; give "
            "it, such as coco/bbox_mAP"
        )
    if count == 1:
        return
    if settings.pruner != "none":
        raise BadInputError(
            f"pruner: expected none with {count} objectives, got {settings.pruner!r}, which stops "
            "a trial by one number; leave it out"
        )
    if settings.method not in SEVERAL:
        raise BadInputError(
            f"method: expected one of {', '.join(SEVERAL)} for {count} objectives, got "
            f"{settings.method!r}; change it"
        )
    if any(one.name == "auto" for one in settings.objectives):
        raise BadInputError(
            f"objective: expected metrics' names where there are {count}, got 'auto'; give them"
        )
    if settings.value == "best":
        raise BadInputError(f"value: expected 'last' with {count} objectives, got 'best'")


def check_population(settings: Settings) -> None:
    """Refuse what a population cannot do, whose trials are parts of trainings."""
    for word, none in (("pruner", "none"), ("finalists", 0), ("limits", ()), ("value", "last")):
        if (got := getattr(settings, word)) != none:
            raise BadInputError(
                f"{word}: expected {none!r} with method pbt, whose trials are parts of trainings, "
                f"got {got!r}; leave it out, or take another method"
            )
    if settings.trials % settings.population or settings.trials < 2 * settings.population:
        raise BadInputError(
            f"trials: expected a multiple of the population, at least twice as many, got "
            f"{settings.trials} with --population {settings.population}; change one of them"
        )
