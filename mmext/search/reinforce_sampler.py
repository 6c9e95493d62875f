"""An Optuna sampler that learns by REINFORCE which choice of each parameter pays.

Idea      every parameter has a categorical distribution of its own, over choices or over bins of a
          range; finished trials move it, a few at a time, towards what did better than the others
Source    the family "reinforcement learning" of AutoML: A Survey of the State-of-the-Art,
          He et al. 2021, https://arxiv.org/abs/1908.00709
Deviates  the survey's methods train a recurrent controller; this one has a table, as in TuNAS and
          AutoHAS
Engine    Optuna; torch is not needed
"""

import math
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from mmext.search.reinforce import Draw, Policy, normalised_advantages, worst_for_missing


class Choices:
    """Every choice of a categorical distribution is a piece."""

    def __init__(self, distribution: CategoricalDistribution) -> None:
        self._distribution = distribution
        self.size = len(distribution.choices)

    def value(self, index: int, rng: np.random.Generator) -> Any:
        """The choice."""
        return self._distribution.choices[index]

    def index(self, value: Any) -> int:
        """Its place."""
        return int(self._distribution.to_internal_repr(value))


class Whole:
    """Whole numbers, or multiples of a step, in at most so many ranges; equally likely in each."""

    def __init__(
        self,
        low: int | float,
        high: int | float,
        *,
        step: int | float,
        log: bool,
        bins: int,
        number: type,
    ) -> None:
        self._low, self._high, self._step, self._number = low, high, step, number
        count = round((high - low) / step) + 1
        self.size = min(bins, count)
        if log and count > bins:
            # Where ranges of equal ratio would hold no whole number, they take the next one.
            edges = np.geomspace(low, high + 1, bins + 1)[1:-1].round() - low
            inner = np.maximum(edges, np.arange(1, bins))
        else:
            inner = np.linspace(0, count, self.size + 1)[1:-1].round()
        self._edges = np.concatenate([[0], inner, [count]]).astype(int)

    def value(self, index: int, rng: np.random.Generator) -> Any:
        """One of the range."""
        steps = int(rng.integers(self._edges[index], self._edges[index + 1]))
        # A product of floats may end a rounding error above the range.
        return self._number(min(self._high, self._low + steps * self._step))

    def index(self, value: Any) -> int:
        """The range that holds the value."""
        steps = round((value - self._low) / self._step)
        return int(np.searchsorted(self._edges[1:-1], steps, side="right"))


class Range:
    """A range of real numbers in parts of equal length, or of equal ratio; uniform in each."""

    def __init__(self, low: float, high: float, *, log: bool, bins: int) -> None:
        self._log = log
        self._low, self._high = (math.log(low), math.log(high)) if log else (low, high)
        self._bounds = (low, high)
        self.size = bins if high > low else 1

    def value(self, index: int, rng: np.random.Generator) -> float:
        """A number of the part."""
        at = self._low + (index + rng.random()) / self.size * (self._high - self._low)
        # The exponential of a logarithm may end a rounding error outside of the range.
        return float(np.clip(math.exp(at) if self._log else at, *self._bounds))

    def index(self, value: Any) -> int:
        """The part that holds the number."""
        at = math.log(value) if self._log else value
        span = self._high - self._low
        share = (at - self._low) / span if span > 0 else 0.0
        return min(self.size - 1, max(0, int(share * self.size)))


Bins = Choices | Whole | Range
"""A distribution of Optuna's, cut into pieces among which a policy chooses."""


def bins_of(distribution: BaseDistribution, bins: int) -> Bins:
    """Cut a distribution into at most ``bins`` pieces; a categorical one keeps all its choices.

    Raises:
        ValueError: Optuna has a new kind of distribution.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Choices(distribution)
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        raise ValueError(
            "ReinforceSampler knows categorical, int and float distributions, got "
            f"{distribution!r}; take another sampler"
        )
    low, high, log = distribution.low, distribution.high, distribution.log
    if isinstance(distribution, IntDistribution):
        return Whole(low, high, step=distribution.step, log=log, bins=bins, number=int)
    if distribution.step is not None:
        return Whole(low, high, step=distribution.step, log=False, bins=bins, number=float)
    return Range(low, high, log=log, bins=bins)


class ReinforceSampler(BaseSampler):
    """Draws each parameter from a table of probabilities that finished trials have moved.

    The table is worked out from the study's own trials, in the order in which they ended, so a
    resumed study and other workers go on from the same one. Trial n draws the same numbers whoever
    runs it, and two workers never the same.

    Trials that were enqueued did not come from the table and do not move it. A failed one, and one
    whose value is no number, counts as the worst of its step; a pruned one by its last value.

    Args:
        seed: another one gives other draws; None takes one by chance.
        batch: trials a step, which are compared with each other; at least 2.
        bins: parts into which the range of a number is cut; at least 2.
        learning_rate: of Adam on the logits.

    Raises:
        ValueError: one of these is too small.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        batch: int = 4,
        bins: int = 8,
        learning_rate: float = 0.5,
    ) -> None:
        for name, value in (("batch", batch), ("bins", bins)):
            if value < 2:
                raise ValueError(f"{name} of ReinforceSampler must be at least 2, got {value}")
        if not learning_rate > 0:
            raise ValueError(
                f"learning_rate of ReinforceSampler must be above 0, got {learning_rate}"
            )
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self.batch, self.bins, self.learning_rate = batch, bins, learning_rate
        self._forget()

    def _forget(self) -> None:
        self.policy = Policy({})
        self._cut: dict[str, Bins] = {}
        self._learnt: list[tuple[int, datetime | None]] = []

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: the table has no joint probabilities."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, likewise."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Learn from the trials that have ended meanwhile.

        Raises:
            ValueError: the study has several objectives.
        """
        if len(study.directions) > 1:
            raise ValueError(
                f"ReinforceSampler expected one objective, got {len(study.directions)}; take one "
                "of them, or NSGA-II"
            )
        ended = _ended(study)
        known = [(one.number, one.datetime_complete) for one in ended]
        if known[: len(self._learnt)] != self._learnt:
            # Another study, or the clock of a worker is behind and its trial belongs before others.
            self._forget()
        whole = len(ended) // self.batch * self.batch
        for start in range(len(self._learnt), whole, self.batch):
            self._learn(ended[start : start + self.batch], study.direction)
        self._learnt = known[:whole]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a piece by the table, and a value from the piece."""
        name = self._decision(param_name, param_distribution)
        rng = np.random.default_rng([self._seed, trial.number, zlib.crc32(param_name.encode())])
        return self._cut[name].value(self.policy.draw_one(name, rng), rng)

    def _decision(self, param: str, distribution: BaseDistribution) -> str:
        """The table's row of a parameter; a range that changes has a row of its own."""
        name = f"{param}: {distribution!r}"
        if name not in self._cut:
            self._cut[name] = bins_of(distribution, self.bins)
            self.policy.add(name, self._cut[name].size)
        return name

    def _learn(self, step: Sequence[FrozenTrial], direction: StudyDirection) -> None:
        sign = 1.0 if direction == StudyDirection.MAXIMIZE else -1.0
        rewards = [sign * math.nan if one.value is None else sign * one.value for one in step]
        draws = [self._draw(one) for one in step]
        advantages = normalised_advantages(worst_for_missing(rewards))
        self.policy.learn(draws, advantages, self.learning_rate)

    def _draw(self, trial: FrozenTrial) -> Draw:
        names = {p: self._decision(p, d) for p, d in trial.distributions.items()}
        return {name: self._cut[name].index(trial.params[p]) for p, name in names.items()}


def _ended(study: Study) -> list[FrozenTrial]:
    """Trials that came from the table and have ended, in the order in which they did."""
    ended = [
        one
        for one in study.get_trials(deepcopy=False)
        if one.state.is_finished() and one.params and "fixed_params" not in one.system_attrs
    ]
    return sorted(ended, key=lambda one: (one.datetime_complete, one.number))
