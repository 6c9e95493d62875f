"""Parameters as genes and back, and the pool against Optuna's own quasi-random sampler."""

import itertools

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mmext.search.nars.genes import Genes, keys_of
from mmext.search.nars.pool import Allowed, quasi_random_pool

SPACE = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "depth": IntDistribution(1, 9, step=2),
    "width": IntDistribution(8, 64, log=True),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "decay": FloatDistribution(0.0, 1.0),
    "optimiser": CategoricalDistribution([dict(type="SGD"), dict(type="AdamW"), None]),
}
FINITE = {
    "depth": IntDistribution(1, 3),
    "width": IntDistribution(8, 16, step=4),
    "norm": CategoricalDistribution(["BN", "GN"]),
}


def test_every_value_comes_back_from_its_gene():
    genes = Genes(SPACE)
    rows = genes.snap(np.random.default_rng(0).random((300, len(SPACE))))
    params = genes.to_params(rows)
    assert genes.to_params(genes.to_genes(params)) == params
    assert {one["depth"] for one in params} == {1, 3, 5, 7, 9}
    assert all(8 <= one["width"] <= 64 and isinstance(one["width"], int) for one in params)
    np.testing.assert_allclose(genes.snap(rows), rows, atol=1e-12)
    np.testing.assert_allclose(genes.to_genes(params), rows, atol=1e-12)


@pytest.mark.parametrize("end", [0.0, np.nextafter(1, 0), 1.0])
def test_ends_of_the_range_stay_inside(end):
    genes = Genes(SPACE)
    (found,) = genes.to_params(np.full((1, len(SPACE)), end))
    for name, d in SPACE.items():
        assert d._contains(d.to_internal_repr(found[name])), name


def test_all_values_of_a_finite_parameter_are_equally_likely():
    genes = Genes({"depth": IntDistribution(1, 9, step=2), "norm": CategoricalDistribution("abc")})
    even = np.stack([(np.arange(1500) + 0.5) / 1500] * 2, 1)
    params = genes.to_params(even)
    for name, count in (("depth", 5), ("norm", 3)):
        values, sizes = np.unique([one[name] for one in params], return_counts=True)
        assert len(values) == count
        assert set(sizes) == {1500 // count}


def test_features_have_a_column_a_choice():
    genes = Genes(FINITE)
    rows = genes.to_genes([dict(depth=2, width=8, norm="GN")])
    np.testing.assert_allclose(genes.features(rows), [[0.5, 1 / 6, 0.0, 1.0]])
    assert genes.owners() == ["depth", "width", "norm", "norm"]


def test_the_grid_has_every_candidate_once():
    found = Genes(FINITE).to_params(Genes(FINITE).grid())
    wanted = itertools.product([1, 2, 3], [8, 12, 16], ["BN", "GN"])
    assert [tuple(one.values()) for one in found] == list(wanted)


def test_an_empty_space_is_refused():
    with pytest.raises(ValueError, match="at least one parameter with several values, got none"):
        Genes({})


def everything(rows):
    return np.ones(len(rows), dtype=bool)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_pool_is_the_sequence_of_optuna_s_sampler():
    space = {name: SPACE[name] for name in ("lr", "depth", "decay", "optimiser")}
    genes = Genes(space)
    pool = genes.to_params(quasi_random_pool(genes, 12, seed=7, allowed=everything))
    sampler = optuna.samplers.QMCSampler(scramble=True, seed=7)
    study = optuna.create_study()
    for one in pool:
        theirs = sampler.sample_relative(study, None, space)
        assert theirs.keys() == one.keys()
        for name, value in one.items():
            assert theirs[name] == (value if name == "optimiser" else pytest.approx(value))


def test_the_pool_meets_the_constraint_and_holds_nothing_twice():
    genes = Genes(FINITE)
    asked = []

    def constraint(params):
        asked.append(tuple(params.values()))
        return [params["depth"] * params["width"] - 24, params["depth"] - 2.5]

    allowed = Allowed(genes, constraint)
    pool = quasi_random_pool(genes, 100, seed=0, allowed=allowed)
    found = {tuple(one.values()) for one in genes.to_params(pool)}
    assert found == {
        (d, w, n) for d in (1, 2) for w in (8, 12, 16) for n in ("BN", "GN") if d * w <= 24
    }
    assert len(pool) == len(set(keys_of(pool))) == len(found)
    assert len(asked) == len(set(asked)) == 18


def test_a_pool_has_the_size_that_is_asked_for():
    genes = Genes(SPACE)
    allowed = Allowed(genes, lambda params: params["depth"] - 3)
    pool = quasi_random_pool(genes, 100, seed=1, allowed=allowed)
    assert len(pool) == 100
    assert all(one["depth"] <= 3 for one in genes.to_params(pool))
    other = quasi_random_pool(genes, 100, seed=2, allowed=allowed)
    assert not set(keys_of(pool)) & set(keys_of(other))


def test_an_impossible_constraint_is_told():
    genes = Genes(FINITE)
    with pytest.raises(ValueError, match="got none among 18 of the space; loosen the constraint"):
        quasi_random_pool(genes, 10, seed=0, allowed=Allowed(genes, lambda params: 1.0))
