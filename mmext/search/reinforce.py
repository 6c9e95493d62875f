"""REINFORCE over categorical decisions: rewards become advantages, advantages move logits.

Equations  p = softmax(theta), and for K draws c_1 … c_K with advantages A_k the score-function
           estimate of the gradient is  g = 1/K sum_k A_k (onehot(c_k) - p);  Adam moves theta up g
Sources    Williams 1992, https://doi.org/10.1007/BF00992696; baseline and ramp as in TuNAS, Bender
           et al. 2020, https://arxiv.org/abs/2008.06120
Host       numpy alone: AutoHAS and the sampler of ``mmext search`` share it
Letters    K draws a step, C choices of a decision, theta (C,) its logits
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Draw = dict[str, int]
"""The index that was drawn for each decision."""


def softmax(theta: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Probabilities of the choices.

    Example:
        >>> softmax(np.log(np.array([1.0, 3.0]))).round(3)
        array([0.25, 0.75])
    """
    shifted = np.exp(theta - theta.max())
    return shifted / shifted.sum()


def score_gradient(
    theta: Float[np.ndarray, " C"],
    drawn: Sequence[int] | np.ndarray,
    advantages: Float[np.ndarray, " K"],
) -> Float[np.ndarray, " C"]:
    """Gradient of the expected reward with regard to the logits, estimated from K draws.

    A choice that was drawn twice counts twice.

    Example:
        >>> score_gradient(np.zeros(2), [0, 1], np.array([1.0, -1.0]))
        array([ 0.5, -0.5])
    """
    onehot = np.eye(len(theta))[np.asarray(drawn, dtype=int)]  # (K, C)
    return np.asarray(advantages) @ (onehot - softmax(theta)) / len(onehot)


def normalised_advantages(
    rewards: Float[np.ndarray, " K"] | Sequence[float], eps: float = 1e-6
) -> Float[np.ndarray, " K"]:
    """``(R_k - mean R) / (std R + eps)``: zero if all are equal, so nothing is learnt from them.

    Example:
        >>> normalised_advantages([1.0, 3.0]).round(3)
        array([-1.,  1.])
    """
    R = np.asarray(rewards, dtype=float)
    return (R - R.mean()) / (R.std() + eps)


def worst_for_missing(rewards: Sequence[float] | np.ndarray) -> Float[np.ndarray, " K"]:
    """Rewards in which NaN and infinity have become the lowest finite one; 0 if none is finite.

    Example:
        >>> worst_for_missing([2.0, float("nan"), 1.0])
        array([2., 1., 1.])
    """
    R = np.asarray(rewards, dtype=float)
    finite = np.isfinite(R)
    return np.where(finite, R, R[finite].min() if finite.any() else 0.0)


def ramp(step: int, total: int, delay: int = 0, factor: float = 10.0) -> float:
    """TuNAS's factor on the controller's rate: 0 until ``delay``, from there 1 … ``factor``.

    The growth is exponential, ``factor ** progress``.

    Example:
        >>> [round(ramp(step, 100, delay=20), 2) for step in (0, 19, 20, 60, 100)]
        [0.0, 0.0, 1.0, 3.16, 10.0]
    """
    if step < delay:
        return 0.0
    return float(factor ** ((step - delay) / max(1, total - delay)))


class MovingBaseline:
    """Mean of the rewards so far, the recent ones counting most: what one draw is compared with.

    As in TuNAS a reward enters the mean before the mean is subtracted from it. The mean starts at
    the first reward instead of creeping up from zero.

    Args:
        momentum: weight of what was known before, in [0, 1).

    Example:
        >>> baseline = MovingBaseline(momentum=0.5)
        >>> baseline.advantages([4.0]), baseline.advantages([1.0])
        (array([0.]), array([-1.]))
    """

    def __init__(self, momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.mean = 0.0
        self.weight = 0.0

    def advantages(self, rewards: Sequence[float] | np.ndarray) -> Float[np.ndarray, " K"]:
        """Take the rewards of a step into the mean, and return how far each is above it."""
        R = np.asarray(rewards, dtype=float)
        self.mean = self.momentum * self.mean + (1 - self.momentum) * float(R.mean())
        self.weight = self.momentum * self.weight + (1 - self.momentum)
        return R - self.mean / self.weight

    def state_dict(self) -> dict[str, float]:
        """What a resumed run needs."""
        return dict(mean=self.mean, weight=self.weight)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from there."""
        self.mean, self.weight = float(state["mean"]), float(state["weight"])


class Policy:
    """Independent categorical distributions, one a decision, whose logits Adam moves.

    All logits start at 0: every choice is as likely as the next one.

    Args:
        sizes: number of choices of each decision.
        betas: of Adam; TuNAS takes (0, 0.999).

    Raises:
        ValueError: a decision has no choice.

    Example:
        >>> policy = Policy({"lr": 3})
        >>> policy.learn([{"lr": 0}, {"lr": 2}], np.array([-1.0, 1.0]), learning_rate=0.1)
        >>> policy.mode(), policy.logits["lr"].round(3)
        ({'lr': 2}, array([-0.1,  0. ,  0.1]))
    """

    def __init__(self, sizes: Mapping[str, int], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.betas = betas
        self.logits: dict[str, np.ndarray] = {}
        self._first: dict[str, np.ndarray] = {}
        self._second: dict[str, np.ndarray] = {}
        self._steps: dict[str, int] = {}
        for name, size in sizes.items():
            self.add(name, size)

    def add(self, name: str, size: int) -> None:
        """Add a decision.

        Raises:
            ValueError: it has no choice.
        """
        if size < 1:
            raise ValueError(f"{name}: expected at least one choice, got {size}; give it values")
        self.logits[name] = np.zeros(size)
        self._first[name] = np.zeros(size)
        self._second[name] = np.zeros(size)
        self._steps[name] = 0

    def probabilities(self, name: str) -> Float[np.ndarray, " C"]:
        """Of the choices of a decision."""
        return softmax(self.logits[name])

    def draw_one(self, name: str, rng: np.random.Generator) -> int:
        """Index of a choice of one decision; uses one number of ``rng``."""
        edges = np.cumsum(self.probabilities(name))[:-1]
        return int(np.searchsorted(edges, rng.random(), side="right"))

    def draw(self, rng: np.random.Generator) -> Draw:
        """A choice of each decision, in the order in which they were added."""
        return {name: self.draw_one(name, rng) for name in self.logits}

    def mode(self) -> Draw:
        """The most probable choice of each decision; the first of those that are equal."""
        return {name: int(theta.argmax()) for name, theta in self.logits.items()}

    def learn(
        self, draws: Sequence[Draw], advantages: Float[np.ndarray, " K"], learning_rate: float
    ) -> None:
        """Move all logits up the score-function gradient by one step of Adam.

        Args:
            draws: K of them; one may lack decisions that it did not come to.
            advantages: of the draws.
            learning_rate: of this step.
        """
        advantages = np.asarray(advantages, dtype=float)
        for name, theta in self.logits.items():
            has = [k for k, draw in enumerate(draws) if name in draw]
            if has:
                slope = score_gradient(theta, [draws[k][name] for k in has], advantages[has])
                self.ascend(name, slope * len(has) / len(draws), learning_rate)

    def ascend(self, name: str, slope: np.ndarray, learning_rate: float, eps: float = 1e-8) -> None:
        """Move the logits of one decision up a slope: Adam, Kingma and Ba 2015."""
        first, second = self.betas
        self._steps[name] += 1
        t, m, v = self._steps[name], self._first[name], self._second[name]
        m += (1 - first) * (slope - m)
        v += (1 - second) * (slope**2 - v)
        scale = np.sqrt(v / (1 - second**t)) + eps
        self.logits[name] += learning_rate * m / (1 - first**t) / scale

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Plain lists and numbers, for JSON and for checkpoints."""
        return {
            name: dict(
                logits=theta.tolist(),
                first=self._first[name].tolist(),
                second=self._second[name].tolist(),
                steps=self._steps[name],
            )
            for name, theta in self.logits.items()
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from there.

        Raises:
            ValueError: the decisions, or their numbers of choices, are not the same.
        """
        ours = {name: len(theta) for name, theta in self.logits.items()}
        theirs = {name: len(one["logits"]) for name, one in state.items()}
        if ours != theirs:
            raise ValueError(
                f"expected the state of decisions {ours}, got one of {theirs}; resume with the "
                "space of the first run, or start a new run"
            )
        for name, one in state.items():
            self.logits[name] = np.array(one["logits"], dtype=float)
            self._first[name] = np.array(one["first"], dtype=float)
            self._second[name] = np.array(one["second"], dtype=float)
            self._steps[name] = int(one["steps"])


def __getattr__(name: str) -> Any:
    """``ReinforceSampler``, whose module needs Optuna and is imported when it is asked for."""
    if name == "ReinforceSampler":
        from mmext.search.reinforce_sampler import ReinforceSampler

        return ReinforceSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
