"""Stage 2: an adaptive genetic search that asks a predictor, not a training.

Rates     after Srinivas and Patnaik 1994, https://doi.org/10.1109/21.286385, which the paper names:
          pairs and children above the mean are changed the less the better they are,
          ``p_cross = (best - better parent) / (best - mean)`` and
          ``p_mutate = 1/2 (best - fitness) / (best - mean)``; the others with 1 and 1/2
Letters   P members, N children, D genes
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mmext.search.nars.genes import Genes, keys_of

Score = Callable[[Float[np.ndarray, "N D"]], Float[np.ndarray, " N"]]
Allow = Callable[[Float[np.ndarray, "N D"]], Bool[np.ndarray, " N"]]

LEAST_MUTATION = 0.02
"""Without it the best member would only ever be copied."""
NEAR = 0.1
"""Deviation of a small mutation, in parts of a parameter's range."""


class Found(NamedTuple):
    """The last generation, the best first, and how many generations it took."""

    genes: Float[np.ndarray, "P D"]
    scores: Float[np.ndarray, " P"]
    generations: int


def adaptive_rates(
    fitness: Float[np.ndarray, " N"], best: float, mean: float, *, most: float
) -> Float[np.ndarray, " N"]:
    """Probability of a change: ``most`` up to the mean, from there falling to 0 at the best.

    Example:
        >>> adaptive_rates(np.array([0.0, 2.0, 3.0, 4.0]), best=4.0, mean=2.0, most=0.5)
        array([0.5 , 0.5 , 0.25, 0.  ])
    """
    span = max(best - mean, 1e-12)
    return most * np.clip((best - fitness) / span, 0.0, 1.0)


def cross(
    first: Float[np.ndarray, "N D"],
    second: Float[np.ndarray, "N D"],
    rates: Float[np.ndarray, " N"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "N D"]:
    """Children of pairs: with a pair's probability each gene comes from either, else from one."""
    mixes = rng.random(len(first)) < rates
    from_second = (rng.random(first.shape) < 0.5) & mixes[:, None]
    return np.where(from_second, second, first)


def mutate(
    genes: Genes,
    rows: Float[np.ndarray, "N D"],
    rates: Float[np.ndarray, " N"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "N D"]:
    """Change each gene with its row's probability: half of them a little, half of them freely.

    What has no order is always drawn freely.
    """
    changes = rng.random(rows.shape) < np.maximum(rates, LEAST_MUTATION)[:, None]
    free, near = rng.random(rows.shape), rows + rng.normal(0.0, NEAR, rows.shape)
    near = 1 - np.abs(1 - np.abs(near) % 2)  # reflected at both ends
    little = (rng.random(rows.shape) < 0.5) & genes.ordered
    return genes.snap(np.where(changes, np.where(little, near, free), rows))


def best_of(
    rows: Float[np.ndarray, "N D"], scores: Float[np.ndarray, " N"], size: int
) -> tuple[Float[np.ndarray, "P D"], Float[np.ndarray, " P"]]:
    """The best different members, the best first."""
    order = np.argsort(-scores, kind="stable")
    first = {key: i for i, key in reversed(list(zip(order, keys_of(rows[order]), strict=True)))}
    kept = sorted(first.values(), key=lambda i: (-scores[i], i))[:size]
    return rows[kept], scores[kept]


def adaptive_search(
    genes: Genes,
    score: Score,
    start: Float[np.ndarray, "P D"],
    *,
    allowed: Allow,
    rng: np.random.Generator,
    children: int = 100,
    generations: int = 40,
    patience: int = 5,
    tolerance: float = 1e-3,
) -> Found:
    """Breed candidates until the best predicted score has stopped growing.

    Args:
        genes: the space.
        score: predicted scores of candidates; higher is better.
        start: the first generation: the best trained candidates and random ones.
        allowed: which candidates meet the constraint; others are never kept.
        rng: draws parents, crossings and mutations.
        children: of a generation.
        generations: at most so many.
        patience: generations without a gain after which the search ends.
        tolerance: a gain, in deviations of the first generation's scores.

    Raises:
        ValueError: nothing of the first generation is allowed.
    """
    rows = genes.snap(start)
    rows = rows[allowed(rows)]
    if not len(rows):
        raise ValueError(
            "expected a first generation with members that meet the constraint, got none; start "
            "from a pool that meets it"
        )
    size = len(start)
    rows, fitness = best_of(rows, score(rows), size)
    least = tolerance * float(fitness.std()) + 1e-12
    waited, generation = 0, 0
    while generation < generations and waited < patience:
        generation += 1
        before, mean = fitness[0], float(fitness.mean())
        pairs = rng.integers(len(rows), size=(2, 2, children)).min(1)  # the better of two, twice
        better = fitness[pairs.min(0)]
        crossing = adaptive_rates(better, before, mean, most=1.0)
        bred = cross(rows[pairs[0]], rows[pairs[1]], crossing, rng)
        changing = adaptive_rates(score(bred), before, mean, most=0.5)
        bred = mutate(genes, bred, changing, rng)
        bred = bred[allowed(bred)]
        joined = np.concatenate([rows, bred])
        rows, fitness = best_of(joined, np.concatenate([fitness, score(bred)]), size)
        waited = 0 if fitness[0] > before + least else waited + 1
    return Found(rows, fitness, generation)
