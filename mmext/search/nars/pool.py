"""The pool of stage 1: candidates of a quasi-random sequence that meet the constraint."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mmext.search.nars.genes import Genes, Params, keys_of

Constraint = Callable[[Params], Sequence[float] | float]
"""As Optuna has it: numbers that are at most 0 where a candidate is allowed."""
MOST_DRAWS = 16
"""Times the size of the pool: a constraint that fewer meet is called impossible."""


class Allowed:
    """Whether candidates meet the constraint; each is asked about once.

    Args:
        genes: the space.
        constraint: None allows everything.
    """

    def __init__(self, genes: Genes, constraint: Constraint | None) -> None:
        self._genes, self._constraint = genes, constraint
        self._known: dict[bytes, bool] = {}

    def __call__(self, rows: Float[np.ndarray, "N D"]) -> Bool[np.ndarray, " N"]:
        """One answer for each row."""
        if self._constraint is None:
            return np.ones(len(rows), dtype=bool)
        keys = keys_of(rows)
        for i, key in enumerate(keys):
            if key not in self._known:
                found = self._constraint(self._genes.to_params(rows[i : i + 1])[0])
                self._known[key] = bool(np.all(np.asarray(found, dtype=float) <= 0))
        return np.array([self._known[key] for key in keys], dtype=bool)


def quasi_random_pool(
    genes: Genes, size: int, *, seed: int, allowed: Callable[[Any], Any]
) -> Float[np.ndarray, "N D"]:
    """Up to ``size`` different candidates that are allowed, in the order of a Sobol sequence.

    It is the sequence that Optuna's QMCSampler gives one by one, scrambled by ``seed``. QMCSampler
    makes the sequence anew for each draw, which takes a pool of thousands minutes.

    Raises:
        ValueError: none of the many candidates that were drawn is allowed.
    """
    from scipy.stats import qmc  # takes a second, and not everyone who imports NARS draws a pool

    sequence = qmc.Sobol(len(genes.names), scramble=True, seed=seed)
    total = float(np.prod(genes.counts))
    kept: dict[bytes, np.ndarray] = {}
    seen: set[bytes] = set()
    drawn, chunk = 0, 1 << max(6, (size - 1).bit_length())
    while len(kept) < min(size, total) and len(seen) < total and drawn < MOST_DRAWS * chunk:
        rows = genes.snap(sequence.random(chunk))
        drawn += chunk
        fresh = {key: row for key, row in zip(keys_of(rows), rows, strict=True) if key not in seen}
        seen |= fresh.keys()
        if fresh:
            good = allowed(np.array(list(fresh.values())))
            kept |= {key: fresh[key] for key, one in zip(fresh, good, strict=True) if one}
    if not kept:
        raise ValueError(
            f"expected candidates that meet the constraint, got none among {len(seen)} of the "
            "space; loosen the constraint or widen the space"
        )
    return np.array(list(kept.values())[:size])
