"""Population-based training: ``--method pbt``.

A population trains a part of the schedule at a time, each part a trial. Before its next part a
member that is among the worst takes over weights and values of one among the best (exploit), and
changes the values a little (explore); the others go on as they are. So the whole search costs as
much as ``--population`` trainings, and what is found is a schedule of values with its weights.

Members are compared with those that have done the same part. Nobody waits for the slowest: a
comparison is with whoever has done it by then.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from mmext.errors import BadInputError
from mmext.search.tuner.changes import Config
from mmext.search.tuner.runs import STATE
from mmext.search.tuner.settings import Settings

PLACE = "place"
"""Attribute of a trial: its member, its part, and the trial whose weights it goes on from."""

SHARE = 0.25  # of the members that copy, and that are copied
DRAWN = 0.25  # probability that a key of a copy is drawn anew
STEPS = (0.8, 1.2)  # by one of which its other numbers are multiplied
FIXED = ("param_scheduler", "train_cfg", "train_dataloader.batch_size", "val_", "test_")


@dataclass(frozen=True)
class Place:
    """Where a trial stands in the population.

    Args:
        member: from 0 on.
        part: from 0 on.
        parent: number of the trial that it goes on from; None begins.
        copied: whether the parent is another member's.
    """

    member: int = 0
    part: int = 0
    parent: int | None = None
    copied: bool = False


def place_of(trial: FrozenTrial | optuna.Trial) -> Place:
    """The place of a trial; the config's own values begin as the first member."""
    return Place(**trial.user_attrs.get(PLACE, {}))


def ends(settings: Settings, cfg: Config) -> list[int]:
    """The step at which each part ends: an evaluation, as evenly as these lie.

    Raises:
        BadInputError: there are fewer evaluations than parts, or it cannot be told.
    """
    parts, loop = settings.trials // settings.population, cfg.get("train_cfg") or {}
    total = loop.get("max_epochs") or loop.get("max_iters")
    if not isinstance(total, int):
        raise BadInputError(
            f"train_cfg: expected max_epochs or max_iters with method pbt, got {loop!r}; add one"
        )
    every = loop.get("val_interval", 1 if loop.get("max_epochs") else 1000)
    looks = max(1, math.ceil(total / every))
    if looks < parts:
        raise BadInputError(
            f"trials: expected at most {looks * settings.population} with method pbt, since a "
            f"training has {looks} evaluations and a part of it needs one, got {settings.trials}; "
            "lower them, or train_cfg.val_interval"
        )
    return [min(total, every * round(looks * (part + 1) / parts)) for part in range(parts)]


def check_keys(keys: Sequence[str]) -> None:
    """Refuse keys that cannot change while a training goes on.

    Raises:
        BadInputError: there is one.
    """
    for key in keys:
        if key.startswith(FIXED):
            raise BadInputError(
                f"space: expected keys that may change while a training goes on with method pbt, "
                f"got {key}; leave it out, or take another method"
            )


@dataclass(frozen=True)
class Move:
    """What is to be trained next.

    Args:
        place: in the population.
        params: values that are given; the others are drawn.
    """

    place: Place
    params: dict[str, Any]


def next_move(
    trials: Sequence[FrozenTrial], settings: Settings, space: Mapping[str, BaseDistribution]
) -> Move | None:
    """The next part of the member that is furthest behind; None while nobody is free.

    Args:
        trials: all that count, with those that wait.
        settings: with the population and the direction.
        space: the distributions.
    """
    rng = np.random.default_rng([settings.seed, len(trials)])
    parts = settings.trials // settings.population
    last: dict[int, FrozenTrial | None] = dict.fromkeys(range(settings.population))
    for one in trials:
        last[place_of(one).member] = one
    free = {m: t for m, t in last.items() if t is None or t.state.is_finished()}
    for member, trial in sorted(free.items(), key=lambda row: (_part(row[1]), row[0])):
        if trial is None:
            return Move(Place(member), {})
        part = place_of(trial).part
        done = _scores(trials, part)
        if not done and any(not t.state.is_finished() for t in trials if _part(t) == part):
            continue  # it failed, and those whom it could copy are not there yet
        if not done:  # all have failed here: once more, from where they came
            done, part = _scores(trials, part - 1), part - 1
        if not done:
            return Move(Place(member), {})
        if part + 1 < parts:
            return _go_on(member, trial, done, settings, space, rng, part)
    return None


def _part(trial: FrozenTrial | None) -> int:
    return -1 if trial is None else place_of(trial).part


def _scores(trials: Sequence[FrozenTrial], part: int) -> list[FrozenTrial]:
    """The trials that have done a part."""
    done = (one for one in trials if one.state == TrialState.COMPLETE)
    return [one for one in done if _part(one) == part]


def _go_on(
    member: int,
    trial: FrozenTrial,
    done: list[FrozenTrial],
    settings: Settings,
    space: Mapping[str, BaseDistribution],
    rng: np.random.Generator,
    part: int,
) -> Move:
    sign = -1 if settings.objectives[0].largest else 1
    order = sorted(done, key=lambda one: (sign * one.values[0], one.number))
    count = math.ceil(SHARE * len(order)) if len(order) > 1 else 0
    good = order[:count] or order
    if trial in order and (trial not in order[len(order) - count :] or trial in good):
        return Move(Place(member, part + 1, trial.number), dict(trial.params))
    parent = good[int(rng.integers(len(good)))]
    place = Place(member, part + 1, parent.number, copied=True)
    return Move(place, explored(parent.params, space, rng))


def explored(
    params: Mapping[str, Any], space: Mapping[str, BaseDistribution], rng: np.random.Generator
) -> dict[str, Any]:
    """Values near those of a good member; keys that are to be drawn anew are left out."""
    found = {}
    for key, distribution in space.items():
        drawn, factor = rng.random() < DRAWN, STEPS[int(rng.integers(2))]
        if drawn:
            continue
        value = params[key]
        if not isinstance(distribution, CategoricalDistribution):
            value = _moved(value, factor, distribution)
        found[key] = value
    return found


def _moved(value: int | float, factor: float, distribution: Any) -> int | float:
    """A number of the range, a factor away: at least one step of it where it has steps."""
    low, high, step = distribution.low, distribution.high, distribution.step
    moved = value * factor
    if step is not None:
        away = max(1, round(abs(moved - value) / step)) * math.copysign(1, factor - 1)
        moved = low + (round((value - low) / step) + away) * step
    moved = min(max(moved, low), high)
    return int(moved) if isinstance(distribution, IntDistribution) else float(moved)


def content(until: int, parent: Path | None) -> Config:
    """What a part's config has beside its values.

    Args:
        until: step at which it ends.
        parent: folder of the trial whose weights it goes on from.
    """
    hook = {"type": "mmext.SearchSegmentHook", "until": until}
    found: Config = {"default_hooks": {"search_segment": hook}}
    if parent is not None:
        found.update(load_from=str((parent / STATE).resolve()), resume=True)
    return found


def needed(trials: Sequence[FrozenTrial]) -> set[int]:
    """Trials whose weights another one goes on from, or may."""
    last = {place_of(one).member: one.number for one in trials if one.state == TrialState.COMPLETE}
    open_ones = (one for one in trials if one.state != TrialState.COMPLETE)
    parents = {place_of(one).parent for one in open_ones} - {None}
    return {*last.values(), *parents}  # type: ignore[arg-type]  # None is taken out


def rows(trials: Sequence[FrozenTrial], until: Sequence[int]) -> list[dict[str, Any]]:
    """A table of who trained what: a line a part."""
    found = []
    for one in trials:
        place = place_of(one)
        found.append(
            {
                "trial": one.number,
                "member": place.member,
                "part": place.part,
                "until": until[place.part],
                "from": "" if place.parent is None else place.parent,
                "copied": place.copied,
                "value": one.values[0] if one.values else "",
                **one.params,
            }
        )
    return found
