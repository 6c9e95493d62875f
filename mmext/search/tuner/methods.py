"""The families of the survey: which sampler proposes, which pruner stops a trial.

A sampler is made anew for each proposal, its seed being that of the study and the number of trials
so far: workers do not repeat each other, and a study that goes on proposes what it would have.
"""

import importlib
import itertools
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from mmext.errors import BadInputError
from mmext.search.nars.early_stop import RankPruner
from mmext.search.tuner.settings import Settings

logger = logging.getLogger("mmext")

OWN = {
    "reinforce": ("mmext.search.reinforce_sampler", "ReinforceSampler"),
    "nars": ("mmext.search.nars", "NARSSampler"),
}
"""Samplers of mmext, imported when they are asked for."""


def sampler(
    settings: Settings,
    number: int,
    *,
    space: Mapping[str, BaseDistribution] | None = None,
    limits: Callable[[dict[str, Any]], list[float]] | None = None,
) -> BaseSampler:
    """What proposes trial ``number``.

    Args:
        settings: with the method and the seed.
        number: of the trial.
        space: the distributions, if they are known.
        limits: for methods that ask before they propose: numbers that are at most 0 where the
            model of a candidate is allowed.

    Raises:
        BadInputError: its package is missing.
    """
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if settings.method in OWN:
            # They keep what they have learnt, and count draws, in the study itself.
            asks = dict(space=space, constraint=limits) if settings.method == "nars" else {}
            return _own(settings.method, seed=settings.seed, **asks)
        return SAMPLERS[settings.method](settings, seed)


def _own(method: str, **arguments: Any) -> BaseSampler:
    module, name = OWN[method]
    try:
        return getattr(importlib.import_module(module), name)(**arguments)
    except ImportError as error:
        raise BadInputError(
            f"method: expected {module} for {method!r}, got {error}; install what it needs, or "
            "take another method"
        ) from error


def _random(settings: Settings, seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _qmc(settings: Settings, seed: int) -> BaseSampler:
    # One sequence for the whole study: Optuna keeps its place in the study.
    return optuna.samplers.QMCSampler(
        seed=settings.seed, scramble=True, warn_independent_sampling=False
    )


def _tpe(settings: Settings, seed: int) -> BaseSampler:
    startup = max(2, min(10, settings.trials // 3))
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)


def _gp(settings: Settings, seed: int) -> BaseSampler:
    if importlib.util.find_spec("torch") is None:
        raise BadInputError("method: expected torch for 'gp', got none; take tpe")
    startup = max(2, min(10, settings.trials // 3))
    return GaussianProcessSampler(seed=seed, n_startup_trials=startup)


class GaussianProcessSampler(optuna.samplers.GPSampler):
    """Optuna's, without repetitions: those are left to chance.

    It learns from finished trials alone. A failed one, or one whose model costs too much, would be
    proposed again and again.
    """

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A proposal; nothing, and so a random one, where another trial has had its like."""
        found = super().sample_relative(study, trial, search_space)
        others = (one for one in study.get_trials(deepcopy=False) if one.number != trial.number)
        return {} if any(_alike(found, one.params) for one in others) else found


def _alike(found: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(
        math.isclose(value, other[key], rel_tol=1e-6)
        if isinstance(value, float) and key in other
        else other.get(key, math.nan) == value
        for key, value in found.items()
    )


def _cmaes(settings: Settings, seed: int) -> BaseSampler:
    if importlib.util.find_spec("cmaes") is None:
        raise BadInputError(
            "method: expected the package cmaes for 'cmaes', got none; pip install 'mmext[search]'"
        )
    return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _nsga2(settings: Settings, seed: int) -> BaseSampler:
    population = max(4, min(50, math.ceil(math.sqrt(settings.trials)) + 1))
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)


SAMPLERS: dict[str, Callable[[Settings, int], BaseSampler]] = {
    "random": _random,
    "pbt": _random,  # how its members begin, and what they draw anew; see population.py
    "grid": _random,  # its points wait in the study; this serves what a grid has not
    "qmc": _qmc,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsga2": _nsga2,
}


def pruner(settings: Settings) -> BasePruner:
    """What stops a trial; its steps are evaluations."""
    makers: dict[str, Callable[[], BasePruner]] = {
        "none": optuna.pruners.NopPruner,
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
        "percentile": lambda: optuna.pruners.PercentilePruner(
            25.0, n_startup_trials=3, n_warmup_steps=1
        ),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(
            min_resource=1, reduction_factor=3, min_early_stopping_rate=0
        ),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, reduction_factor=3),
        "rank": lambda: RankPruner(after=max(4, min(8, settings.trials // 3))),
    }
    return makers[settings.pruner]()


def grid(settings: Settings, distributions: dict[str, Any]) -> list[dict[str, Any]]:
    """The points of a grid, in an order that is drawn: a part of them is no corner of the space."""
    axes = [_axis(one, settings.grid_points) for one in distributions.values()]
    points = [dict(zip(distributions, one, strict=True)) for one in itertools.product(*axes)]
    np.random.default_rng(settings.seed).shuffle(points)
    return points[: settings.trials]


def _axis(distribution: Any, points: int) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high, log = distribution.low, distribution.high, distribution.log
    if isinstance(distribution, IntDistribution):
        space = np.geomspace if log else np.linspace
        steps = np.round((space(low, high, points) - low) / distribution.step).astype(int)
        return [low + int(one) * distribution.step for one in np.unique(steps)]
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is not None:
        count = round((high - low) / distribution.step)
        chosen = np.unique(np.linspace(0, count, points).round().astype(int))
        return [low + int(one) * distribution.step for one in chosen]
    values = (np.geomspace if log else np.linspace)(low, high, points)
    return [float(one) for one in np.clip(values, low, high)]
