"""The controller: what is sampled at each step, and how rewards move it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmext.errors import BadInputError
from mmext.search.autohas.decisions import Decision
from mmext.search.reinforce import (
    Draw,
    MovingBaseline,
    Policy,
    normalised_advantages,
    ramp,
    worst_for_missing,
)

LEARNING_RATE, SHORT, DELAY = 0.1, 1000, 0.1
"""Of a search of at most ``SHORT`` steps; none is learnt from the first tenth of them."""

TUNAS_RATE, TUNAS_DELAY, TUNAS_FACTOR = 3e-4, 0.25, 10.0
"""Of longer ones: TuNAS's ramp."""


class Controller:
    """A policy over decisions, drawn from and taught step by step, the same on every rank.

    Args:
        decisions: what is decided.
        total: steps of the search.
        seed: of the draws.
        learning_rate: of Adam on the logits; None is 0.1 for up to 1,000 steps, and a ramp beyond.
        delay: share of the steps from which nothing is learnt, since weights are still random;
            None is 0.1, and 0.25 beyond 1,000 steps.
        stop_when_flat: stop learning once the mean validation loss of so many steps is not below
            that of as many before, both after learning has begun; 0 never stops. A net that gains
            nothing any more rewards the smallest rates.

    Raises:
        BadInputError: an option cannot be.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        total: int,
        seed: int,
        *,
        learning_rate: float | None = None,
        delay: float | None = None,
        stop_when_flat: int = 0,
    ) -> None:
        if learning_rate is not None and not learning_rate > 0:
            raise BadInputError(
                f"controller: learning_rate expected a number above 0, got {learning_rate}; change "
                "it, or leave it out"
            )
        if delay is not None and not 0 <= delay < 1:
            raise BadInputError(
                f"controller: delay expected a share of the steps from 0 to below 1, got {delay}; "
                "change it, or leave it out"
            )
        self.decisions = list(decisions)
        self.policy = Policy({one.name: len(one.choices) for one in decisions})
        self.baseline = MovingBaseline()
        self.curve: list[dict[str, Any]] = []
        self._total, self._seed = total, seed
        self._rate, self._delay, self._flat = learning_rate, delay, stop_when_flat
        self._losses: list[float] = []
        self.stopped = False

    def draw(self, step: int, candidates: int) -> list[Draw]:
        """So many candidates; depends on the seed, the step and the logits alone."""
        rng = np.random.default_rng([self._seed, step])
        return [self.policy.draw(rng) for _ in range(candidates)]

    def learn(self, step: int, draws: Sequence[Draw], rewards: Sequence[float]) -> None:
        """Move the logits by the rewards of the draws; a reward that is no number is the worst.

        One candidate is compared with the moving mean of rewards, several with each other.
        """
        R = worst_for_missing(rewards)
        alone = len(draws) == 1
        advantages = self.baseline.advantages(R) if alone else normalised_advantages(R)
        rate = self.rate(step)
        if rate > 0 and not self.stopped:
            self.policy.learn(draws, advantages, rate)
        self._note(step, float(R.mean()))

    def descend(self, step: int, gradients: Mapping[str, np.ndarray], loss: float) -> None:
        """Move the logits down the gradient of a loss; one that is no number moves nothing."""
        rate = self.rate(step)
        for name, slope in gradients.items():
            if rate > 0 and not self.stopped and np.isfinite(slope).all():
                self.policy.ascend(name, -slope, rate)
        self._note(step, -loss)

    def _note(self, step: int, reward: float) -> None:
        names = self.policy.logits
        row = {name: self.policy.probabilities(name).tolist() for name in names}
        self.curve.append(dict(step=step, reward=reward, probabilities=row))

    def watch(self, step: int, loss: float) -> None:
        """Take the shared weights' validation loss, and stop if it has become flat.

        Losses before learning begins say nothing: a search that stopped there would name values of
        which it has learnt nothing.
        """
        n = self._flat
        if n and math.isfinite(loss) and self.rate(step) > 0:
            self._losses = [*self._losses, loss][-2 * n :]
            if len(self._losses) == 2 * n and sum(self._losses[n:]) >= sum(self._losses[:n]):
                self.stopped = True

    def rate(self, step: int) -> float:
        """Adam's rate at a step; 0 while weights are still random."""
        long = self._rate is None and self._total > SHORT
        share = self._delay if self._delay is not None else TUNAS_DELAY if long else DELAY
        delay = int(share * self._total)
        if not long:
            return (self._rate or LEARNING_RATE) if step >= delay else 0.0
        # From 1,000 steps on the logits can move as far as in 1,000, until the rate is TuNAS's.
        mean = (TUNAS_FACTOR - 1) / math.log(TUNAS_FACTOR)
        lowest = max(TUNAS_RATE, LEARNING_RATE * SHORT / self._total / mean)
        return lowest * ramp(step, self._total, delay, TUNAS_FACTOR)

    def entropy(self) -> float:
        """Mean over decisions, as a share of its maximum: 1 knows nothing, 0 has decided."""
        found = []
        for name, theta in self.policy.logits.items():
            p = self.policy.probabilities(name)
            found.append(float(-(p * np.log(np.maximum(p, 1e-300))).sum() / np.log(len(theta))))
        return sum(found) / len(found)

    def values(self, draw: Draw) -> dict[str, Any]:
        """What a draw stands for, by key of the config."""
        return {one.name: one.choices[draw[one.name]] for one in self.decisions}

    def mixed(self) -> dict[str, Any]:
        """The value of each distribution as a whole."""
        return {one.name: one.mixed(self.policy.probabilities(one.name)) for one in self.decisions}

    def likeliest(self, count: int) -> list[Draw]:
        """The most probable combinations, the first one first."""
        beam: list[tuple[float, Draw]] = [(0.0, {})]
        for name in self.policy.logits:
            log_p = np.log(np.maximum(self.policy.probabilities(name), 1e-300))
            longer = [
                (score + float(one), {**draw, name: i})
                for score, draw in beam
                for i, one in enumerate(log_p)
            ]
            # The best of all are among the best of what has been joined so far.
            beam = sorted(longer, key=lambda pair: -pair[0])[:count]
        return [draw for _, draw in beam]

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return dict(
            choices={one.name: [repr(v) for v in one.choices] for one in self.decisions},
            policy=self.policy.state_dict(),
            baseline=self.baseline.state_dict(),
            curve=self.curve,
            losses=self._losses,
            stopped=self.stopped,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            BadInputError: it is the state of another space.
        """
        ours = {one.name: [repr(v) for v in one.choices] for one in self.decisions}
        if ours != state["choices"]:
            raise BadInputError(
                f"space: expected that of the run which is resumed, {state['choices']}, got {ours};"
                " give the same space, or another work dir"
            )
        self.policy.load_state_dict(state["policy"])
        self.baseline.load_state_dict(state["baseline"])
        self.curve, self._losses = list(state["curve"]), list(state["losses"])
        self.stopped = bool(state["stopped"])
