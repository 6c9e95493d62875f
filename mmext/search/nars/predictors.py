"""What predicts a candidate's score from its features: a Gaussian process, a forest, a perceptron.

Each has ``fit(X, y)`` and ``predict(X)``; higher is better, and y may have any scale. A predictor
of your own needs no more: hand its class, or a function that makes one, to ``NARSSampler``.

Letters   N trained candidates, F features, y (N,) their scores
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from mmext.errors import did_you_mean


@runtime_checkable
class Predictor(Protocol):
    """Learns the score of candidates."""

    def fit(self, X: Float[np.ndarray, "N F"], y: Float[np.ndarray, " N"]) -> Any:
        """Learn from trained candidates."""

    def predict(self, X: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """Scores of candidates."""


Make = Callable[..., Predictor]
"""Called with ``architecture``, which features belong to it, and ``seed``."""


def matern(
    squares: Float[np.ndarray, "F N M"], lengths: Float[np.ndarray, " F"]
) -> tuple[Float[np.ndarray, "N M"], Float[np.ndarray, "N M"]]:
    """Matern kernel of smoothness 5/2, and what the slope for each log length is a multiple of.

    ``k = (1 + r + r^2/3) exp(-r)`` with ``r^2 = 5 sum_f d_f^2 / l_f^2``; the slope for ``log l_f``
    is ``5/3 d_f^2 / l_f^2 (1 + r) exp(-r)``.
    """
    r = np.sqrt(5 * np.einsum("fnm,f->nm", squares, lengths**-2))
    decay = np.exp(-r)
    return (1 + r + r**2 / 3) * decay, 5 / 3 * (1 + r) * decay


def squares_of(
    X: Float[np.ndarray, "N F"], Z: Float[np.ndarray, "M F"]
) -> Float[np.ndarray, "F N M"]:
    """Squared differences in each feature."""
    return (X.T[:, :, None] - Z.T[:, None, :]) ** 2


class GaussianProcess:
    """A Gaussian process whose lengths, one a feature, and noise are the most probable ones.

    Priors keep them sensible for a few results: lengths around half of the range, noise around a
    tenth of the deviation.

    Args:
        architecture: not used; all features are alike to it.
        seed: not used; fitting draws nothing.
    """

    def __init__(self, architecture: Any = None, seed: int = 0) -> None:
        self.lengths, self.noise, self.amplitude = np.array([np.nan]), np.nan, np.nan

    def fit(self, X: Float[np.ndarray, "N F"], y: Float[np.ndarray, " N"]) -> "GaussianProcess":
        """Find lengths, noise and amplitude, and prepare predictions."""
        from scipy.optimize import minimize  # takes a second, and only who fits needs it

        self.X, self.mean, self.scale = X, y.mean(), y.std() + 1e-12
        z, squares = (y - self.mean) / self.scale, squares_of(X, X)
        start = np.concatenate([np.log(np.full(X.shape[1], 0.5)), np.log([0.1, 1.0])])
        found = minimize(
            lambda at: objective(at, squares, z), start, jac=True, method="L-BFGS-B",
            bounds=[(-4, 4)] * X.shape[1] + [(-7, 1), (-3, 3)], options=dict(maxiter=60),
        )  # fmt: skip
        *lengths, self.noise, self.amplitude = np.exp(found.x)
        self.lengths = np.array(lengths)
        K = self.amplitude**2 * matern(squares, self.lengths)[0]
        self.weights = np.linalg.solve(K + (self.noise**2 + JITTER) * np.eye(len(X)), z)
        return self

    def predict(self, X: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """Means of the posterior."""
        k = self.amplitude**2 * matern(squares_of(X, self.X), self.lengths)[0]
        return self.mean + self.scale * (k @ self.weights)


JITTER = 1e-6
CENTRES = np.log([0.5, 0.1, 1.0])
"""Where the priors of log length, log noise and log amplitude have their middle."""
WIDTHS = np.array([1.0, 1.0, 1.0])


def objective(
    at: Float[np.ndarray, " H"],
    squares: Float[np.ndarray, "F N N"],
    z: Float[np.ndarray, " N"],
) -> tuple[float, Float[np.ndarray, " H"]]:
    """Minus the log posterior of the logs of F lengths, noise and amplitude, and its slope."""
    lengths, noise, amplitude = np.exp(at[:-2]), np.exp(at[-2]), np.exp(at[-1])
    kernel, slope = matern(squares, lengths)
    K = amplitude**2 * kernel + (noise**2 + JITTER) * np.eye(len(z))
    inverse = np.linalg.inv(K)
    alpha = inverse @ z
    value = 0.5 * z @ alpha + 0.5 * np.linalg.slogdet(K)[1]
    # d/dt of the likelihood is half the trace of (K^-1 - alpha alpha^T) dK/dt.
    inner = 0.5 * (inverse - np.outer(alpha, alpha))
    for_lengths = np.einsum("nm,fnm->f", inner * slope * amplitude**2, squares) / lengths**2
    for_noise = 2 * noise**2 * np.trace(inner)
    for_amplitude = 2 * amplitude**2 * np.sum(inner * kernel)
    centres = np.concatenate([np.full(len(lengths), CENTRES[0]), CENTRES[1:]])
    widths = np.concatenate([np.full(len(lengths), WIDTHS[0]), WIDTHS[1:]])
    away = (at - centres) / widths
    gradient = np.concatenate([for_lengths, [for_noise, for_amplitude]]) + away / widths
    return float(value + 0.5 * away @ away), gradient


class Forest:
    """scikit-learn's random forest.

    Args:
        architecture: not used; all features are alike to it.
        seed: of its trees.

    Raises:
        ImportError: scikit-learn is not installed.
    """

    def __init__(self, architecture: Any = None, seed: int = 0) -> None:
        try:
            from sklearn.ensemble import RandomForestRegressor
        except ImportError as error:
            raise ImportError(
                "the predictor 'forest' needs scikit-learn, which is not installed; pip install "
                "scikit-learn, or take predictor='gp'"
            ) from error
        self.trees = RandomForestRegressor(n_estimators=100, random_state=seed, n_jobs=1)

    def fit(self, X: Float[np.ndarray, "N F"], y: Float[np.ndarray, " N"]) -> "Forest":
        """Grow the trees."""
        self.trees.fit(X, y)
        return self

    def predict(self, X: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """The mean over the trees."""
        return self.trees.predict(X)


def perceptron(architecture: Bool[np.ndarray, " F"], seed: int = 0) -> Predictor:
    """The paper's predictor, which needs torch."""
    from mmext.search.nars.mlp import Perceptron

    return Perceptron(architecture, seed=seed)


PREDICTORS: dict[str, Make] = dict(gp=GaussianProcess, mlp=perceptron, forest=Forest)


def maker_of(predictor: str | Make) -> Make:
    """What makes a predictor, by its name or as a user's own.

    Raises:
        ValueError: there is none of that name.
    """
    if callable(predictor):
        return predictor
    if predictor not in PREDICTORS:
        raise ValueError(
            f"predictor must be one of {', '.join(PREDICTORS)} or what makes one, got "
            f"{predictor!r}{did_you_mean(str(predictor), PREDICTORS)}"
        )
    return PREDICTORS[predictor]
