"""The searches that are replayed on the table, each as Optuna has it or as mmext adds it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from dev.evidence.search.table import ARCHITECTURE, GRID
from mmext.search.nars import NARSSampler, RankPruner
from mmext.search.reinforce_sampler import ReinforceSampler

SPACE: dict[str, BaseDistribution] = {
    name: IntDistribution(0, len(values) - 1)
    if len(values) > 2
    else CategoricalDistribution(range(len(values)))
    for name, values in GRID.items()
}
"""Places in the lists of the grid: widths and rates are in order, of two choices none is first."""
NUMBERS: dict[str, BaseDistribution] = {
    name: IntDistribution(0, len(values) - 1) for name, values in GRID.items()
}
"""The same for CMA-ES, which knows numbers alone."""


class RegularisedEvolution(BaseSampler):
    """Real et al. 2019: one change in the best of a few of the last members.

    Args:
        seed: of draws and changes.
        members: the youngest trials, which are the population.
        drawn: of those, from which the best is the parent.
    """

    def __init__(self, seed: int, *, members: int = 10, drawn: int = 3) -> None:
        self.rng = random.Random(seed)
        self.members, self.drawn = members, drawn

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """All of it."""
        return SPACE

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """A random candidate at first, then a changed parent."""
        done = study.get_trials(deepcopy=False)[:-1]
        if len(done) < self.members:
            return {name: self.rng.randrange(len(values)) for name, values in GRID.items()}
        parents = self.rng.sample(done[-self.members :], self.drawn)
        child = dict(max(parents, key=lambda one: one.value).params)
        changed = self.rng.choice(list(GRID))
        others = [i for i in range(len(GRID[changed])) if i != child[changed]]
        return {**child, changed: self.rng.choice(others)}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        """Never needed."""
        raise NotImplementedError


def nars(seed: int, space: Mapping[str, BaseDistribution] = SPACE, **options: Any) -> NARSSampler:
    """NARS with a pool that may hold the whole grid."""
    return NARSSampler(
        seed, space=space, architecture=ARCHITECTURE.__contains__, pool_size=400, **options
    )


@dataclass(frozen=True)
class Method:
    """How a search is made, and how often it is replayed.

    Args:
        sampler: from a seed.
        runs: replays; dear ones have fewer.
        pruner: what stops trials early, if anything.
        space: what it is told of the grid.
        trials: at most so many, where more would take too long.
    """

    sampler: Callable[[int], BaseSampler]
    runs: int
    pruner: Callable[[], BasePruner] | None = None
    space: Mapping[str, BaseDistribution] = field(default_factory=lambda: SPACE)
    trials: int | None = None


def qmc(seed: int) -> BaseSampler:
    """Optuna's quasi-random sampler."""
    return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def random_search(seed: int) -> BaseSampler:
    """Optuna's."""
    return optuna.samplers.RandomSampler(seed=seed)


def tpe(seed: int) -> BaseSampler:
    """Optuna's, with its defaults."""
    return optuna.samplers.TPESampler(seed=seed)


def asha() -> BasePruner:
    """Rungs after 1, 4 and 16 epochs; a quarter goes on."""
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)


def hyperband() -> BasePruner:
    """The same, in brackets that begin at 1, 4 and 16 epochs."""
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=16, reduction_factor=4)


def median() -> BasePruner:
    """After four finished trials."""
    return optuna.pruners.MedianPruner(n_startup_trials=4)


METHODS: dict[str, Method] = {
    "random": Method(random_search, 500),
    "quasi-random": Method(qmc, 300),
    "TPE": Method(tpe, 100),
    "GP": Method(lambda seed: optuna.samplers.GPSampler(seed=seed), 8, trials=20),
    "CMA-ES": Method(lambda seed: optuna.samplers.CmaEsSampler(seed=seed), 100, space=NUMBERS),
    "NSGA-II, population 10": Method(
        lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=10), 100
    ),
    "REINFORCE": Method(ReinforceSampler, 200),
    "regularised evolution": Method(RegularisedEvolution, 300),
    "NARS": Method(nars, 60),
    "random, median pruner": Method(random_search, 60, median),
    "random, successive halving": Method(random_search, 60, asha),
    "random, Hyperband": Method(random_search, 40, hyperband),
    "TPE, successive halving": Method(tpe, 20, asha),
    "NARS, early-stop epoch": Method(nars, 60, RankPruner),
}


def fixed_arms(mean_scores: np.ndarray) -> dict[str, dict[str, int]]:
    """What each arm of the comparison joint, architecture only, recipe only keeps fixed.

    Args:
        mean_scores: of the grid, one axis a parameter in its order.
    """
    axes = len(ARCHITECTURE)
    sizes = mean_scores.shape
    flat = mean_scores.reshape(int(np.prod(sizes[:axes])), -1)  # (architectures, recipes)
    names = list(GRID)
    arms: dict[str, dict[str, int]] = {"joint": {}}
    for what, scores, shape, fixed in (
        ("architecture only", flat.mean(0), sizes[axes:], names[axes:]),
        ("recipe only", flat.mean(1), sizes[:axes], names[:axes]),
    ):
        order = np.argsort(scores, kind="stable")
        other = "recipe" if what == "architecture only" else "architecture"
        for which, place in (("median", order[len(order) // 2]), ("best", order[-1])):
            at = np.unravel_index(place, shape)
            arms[f"{what}, {which} {other}"] = dict(zip(fixed, map(int, at), strict=True))
    return arms
