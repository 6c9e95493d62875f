"""The genetic search: its rates by hand, its children under the constraint, its end."""

import itertools

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mmext.search.nars.genes import Genes, keys_of
from mmext.search.nars.genetic import adaptive_rates, adaptive_search, best_of, cross, mutate
from mmext.search.nars.pool import Allowed, quasi_random_pool

SPACE = {
    "depth": IntDistribution(1, 10),
    "width": IntDistribution(16, 64, step=4),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "optimiser": CategoricalDistribution(["sgd", "adam", "rmsprop"]),
}
GENES = Genes(SPACE)


def everything(rows):
    return np.ones(len(rows), dtype=bool)


def test_rates_are_the_equations_of_1994():
    """p = k (best - f) / (best - mean) above the mean, k below it."""
    rng = np.random.default_rng(0)
    fitness = rng.normal(size=50)
    best, mean = fitness.max(), fitness.mean()
    for most in (1.0, 0.5):
        wanted = [most * (best - f) / (best - mean) if f >= mean else most for f in fitness]
        np.testing.assert_allclose(adaptive_rates(fitness, best, mean, most=most), wanted)
    np.testing.assert_array_equal(adaptive_rates(np.ones(3), 1.0, 1.0, most=0.5), 0.0)


def test_a_child_has_each_gene_from_one_of_its_parents():
    rng = np.random.default_rng(0)
    first, second = np.zeros((400, 4)), np.ones((400, 4))
    children = cross(first, second, np.repeat([0.0, 1.0], 200), rng)
    assert not children[:200].any()
    assert set(np.unique(children[200:])) == {0.0, 1.0}
    assert 0.45 < children[200:].mean() < 0.55


def test_a_mutation_stays_in_the_space_and_what_is_not_changed_stays_as_it_is():
    rng = np.random.default_rng(0)
    rows = GENES.snap(rng.random((500, 4)))
    changed = mutate(GENES, rows, np.full(500, 0.5), rng)
    assert ((changed >= 0) & (changed <= 1)).all()
    np.testing.assert_allclose(GENES.snap(changed), changed, atol=1e-12)
    assert 0.35 < (changed != rows).mean() < 0.5
    still = mutate(GENES, rows, np.zeros(500), rng)
    assert 0 < (still != rows).mean() < 0.04


def test_the_best_come_first_and_once():
    rows = np.array([[0.1], [0.2], [0.1], [0.3]])
    found, scores = best_of(rows, np.array([1.0, 3.0, 1.0, 2.0]), 3)
    assert found[:, 0].tolist() == [0.2, 0.3, 0.1]
    assert scores.tolist() == [3.0, 2.0, 1.0]


def score(rows):
    """Two optima; the higher one is narrow and needs the second choice."""
    depth, width, lr, optimiser = rows.T
    wide = 1 - (depth - 0.2) ** 2 - (width - 0.3) ** 2
    narrow = 2 * np.exp(-20 * ((depth - 0.8) ** 2 + (width - 0.7) ** 2 + (lr - 0.6) ** 2))
    return wide + narrow * (np.abs(optimiser - 0.5) < 0.1)


def heavy(params):
    return params["depth"] * params["width"] - 450


def test_every_child_meets_the_constraint_and_the_best_beat_the_pool():
    """NARS-2: so under the constraint, in each of 5 seeds."""
    for seed in range(5):
        asked = []
        allowed = Allowed(GENES, lambda params, asked=asked: asked.append(params) or heavy(params))
        pool = quasi_random_pool(GENES, 200, seed=seed, allowed=allowed)
        found = adaptive_search(
            GENES, score, pool[:50], allowed=allowed, rng=np.random.default_rng(seed)
        )
        assert len(found.genes) == len(set(keys_of(found.genes))) == 50
        assert all(heavy(one) <= 0 for one in GENES.to_params(found.genes))
        assert any(heavy(one) > 0 for one in asked)  # some children did not
        np.testing.assert_allclose(found.scores, score(found.genes))
        assert (np.diff(found.scores) <= 0).all()
        assert found.scores[:5].mean() >= score(pool).mean() + 0.2
        assert found.scores[0] > score(pool[:50]).max()


def test_it_finds_the_best_of_a_finite_space():
    """Against all 3,900 candidates of ten learning rates."""
    genes = Genes({**SPACE, "lr": IntDistribution(0, 9)})
    everyone = genes.grid()
    assert len(everyone) == 3900
    wins = 0
    for seed in range(5):
        start = everyone[np.random.default_rng(seed).permutation(3900)[:40]]
        found = adaptive_search(
            genes, score, start, allowed=everything, rng=np.random.default_rng(seed)
        )
        wins += bool(np.isclose(found.scores[0], score(everyone).max()))
    assert wins >= 4


def test_it_ends_when_the_score_no_longer_grows():
    start = GENES.snap(np.random.default_rng(0).random((20, 4)))
    flat = adaptive_search(
        GENES, lambda rows: np.zeros(len(rows)), start, allowed=everything,
        rng=np.random.default_rng(0), patience=3,
    )  # fmt: skip
    assert flat.generations == 3
    rising = itertools.count()
    grows = adaptive_search(
        GENES, lambda rows: np.full(len(rows), float(next(rising))), start, allowed=everything,
        rng=np.random.default_rng(0), generations=7,
    )  # fmt: skip
    assert grows.generations == 7


def test_the_best_is_never_lost():
    start = GENES.snap(np.random.default_rng(0).random((20, 4)))
    best = score(start).max()
    found = adaptive_search(
        GENES, score, start, allowed=everything, rng=np.random.default_rng(0), generations=1
    )
    assert found.scores[0] >= best


def test_a_first_generation_outside_of_the_constraint_is_told():
    start = GENES.snap(np.random.default_rng(0).random((20, 4)))
    with pytest.raises(ValueError, match="got none; start from a pool that meets it"):
        adaptive_search(
            GENES, score, start, allowed=lambda rows: np.zeros(len(rows), bool),
            rng=np.random.default_rng(0),
        )  # fmt: skip
