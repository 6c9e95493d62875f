"""Whether a predictor gains from learning free labels first, decided by cross-validation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from mmext.search.nars.early_stop import rank_correlation
from mmext.search.nars.predictors import Predictor

PRETRAINING = ("off", "on", "cv")
FOLDS = 5

Free = tuple[Float[np.ndarray, "M F"], Float[np.ndarray, "M P"]]
"""Features of untrained candidates, and what each of them costs."""


def cross_validated(
    make: Callable[[], Any], X: Float[np.ndarray, "N F"], y: Float[np.ndarray, " N"]
) -> float:
    """Rank correlation of scores with what predictors say that have not seen them."""
    fold = np.arange(len(y)) % min(FOLDS, len(y))
    said = np.empty(len(y))
    for one in np.unique(fold):
        held = fold == one
        predictor = make()
        predictor.fit(X[~held], y[~held])
        said[held] = predictor.predict(X[held])
    return rank_correlation(said, y)


def pretrained(
    make: Callable[[], Any],
    how: str,
    free: Free,
    X: Float[np.ndarray, "N F"],
    y: Float[np.ndarray, " N"],
) -> Predictor:
    """A predictor that has learnt the free labels; with ``cv`` only if that helps.

    Raises:
        ValueError: the predictor cannot be pre-trained.
    """
    if not hasattr(make(), "pretrain"):
        raise ValueError(
            f"pre-training needs a predictor with pretrain(X, proxies), got {type(make()).__name__}"
            "; take predictor='mlp' or pretrain='off'"
        )

    def taught() -> Any:
        return make().pretrain(*free)

    if how == "cv" and cross_validated(taught, X, y) <= cross_validated(make, X, y):
        return make()
    return taught()
