"""The predictors: the Gaussian process against its equations, all of them on a known function."""

import sys

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import gamma, kv

from mmext.search.nars.early_stop import rank_correlation
from mmext.search.nars.mlp import Perceptron
from mmext.search.nars.predictors import (
    JITTER,
    Forest,
    GaussianProcess,
    Predictor,
    maker_of,
    matern,
    objective,
    squares_of,
)
from mmext.search.nars.pretraining import cross_validated, pretrained

ARCHITECTURE = np.array([True, True, False, False])


def problem(n, seed=0):
    """Scores that depend on three of four features, bent and with an interaction."""
    X = np.random.default_rng(seed).random((n, 4))
    return X, 50 + 10 * np.sin(3 * X[:, 0]) + 8 * X[:, 1] * X[:, 2]


def test_the_kernel_is_matern_s():
    """Against the definition by Bessel functions."""
    lengths, rng = np.array([0.3, 2.0]), np.random.default_rng(0)
    X, Z = rng.random((5, 2)), rng.random((4, 2)) + 2
    found = matern(squares_of(X, Z), lengths)[0]
    for i, x in enumerate(X):
        for j, z in enumerate(Z):
            r = np.sqrt(5) * np.sqrt((((x - z) / lengths) ** 2).sum())
            assert found[i, j] == pytest.approx(2**-1.5 / gamma(2.5) * r**2.5 * kv(2.5, r))


def test_the_slope_of_the_posterior_is_its_difference():
    X, y = problem(12)
    squares, z = squares_of(X, X), (y - y.mean()) / y.std()
    at = np.random.default_rng(1).normal(-1, 0.5, size=6)
    error = check_grad(
        lambda t: objective(t, squares, z)[0], lambda t: objective(t, squares, z)[1], at
    )
    assert error < 1e-4 * np.abs(objective(at, squares, z)[1]).max()


def test_the_process_predicts_by_its_equation():
    X, y = problem(20)
    process = GaussianProcess().fit(X, y)
    Z = problem(5, seed=1)[0]
    K = np.array([[kernel(process, a, b) for b in X] for a in X])
    k = np.array([[kernel(process, a, b) for b in X] for a in Z])
    noise = (process.noise**2 + JITTER) * np.eye(20)
    wanted = y.mean() + k @ np.linalg.inv(K + noise) @ (y - y.mean())
    np.testing.assert_allclose(process.predict(Z), wanted, rtol=1e-6)


def kernel(process, a, b):
    r = np.sqrt(5 * (((a - b) / process.lengths) ** 2).sum())
    return process.amplitude**2 * (1 + r + r**2 / 3) * np.exp(-r)


def test_the_process_finds_the_feature_that_does_not_matter():
    X, y = problem(60)
    lengths = GaussianProcess().fit(X, y).lengths
    assert lengths[3] > 2 * lengths[:3].max()


@pytest.mark.parametrize("name", ["gp", "mlp", "forest"])
def test_a_predictor_ranks_what_it_has_not_seen(name):
    if name == "forest":
        pytest.importorskip("sklearn")
    X, y = problem(40)
    Z, wanted = problem(200, seed=1)
    make = maker_of(name)
    predictor = make(architecture=ARCHITECTURE, seed=0)
    assert isinstance(predictor, Predictor)
    said = predictor.fit(X, y) and predictor.predict(Z)
    assert rank_correlation(said, wanted) > 0.9
    again = make(architecture=ARCHITECTURE, seed=0).fit(X, y).predict(Z)
    np.testing.assert_array_equal(said, again)


@pytest.mark.parametrize("name", ["gp", "mlp"])
def test_equal_scores_are_no_trouble(name):
    X = problem(6)[0]
    said = maker_of(name)(architecture=ARCHITECTURE).fit(X, np.full(6, 3.0)).predict(X)
    np.testing.assert_allclose(said, 3.0, atol=1e-3)


def test_the_perceptron_leaves_the_random_state_alone():
    import torch

    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    X, y = problem(6)
    Perceptron(ARCHITECTURE, epochs=2).pretrain(X, X[:, :1]).fit(X, y).predict(X)
    assert torch.rand(1) == wanted


def test_the_encoder_sees_the_architecture_alone():
    perceptron = Perceptron(ARCHITECTURE, epochs=2)
    assert perceptron.encoder[0].in_features == 2
    assert perceptron.head[0].in_features == 24 + 2
    sizes = [
        one.out_features
        for one in (*perceptron.encoder, *perceptron.head)
        if hasattr(one, "out_features")
    ]
    assert sizes == [256, 128, 24, 256, 128, 1]


def test_free_labels_help_where_the_score_follows_from_them_and_are_left_out_where_they_do_not():
    """The cost is a bent function of the architecture; the score is it, or is of the recipe."""
    rng = np.random.default_rng(0)
    pool, X = rng.random((300, 4)), rng.random((12, 4))

    def cost(Z):
        return np.sin(8 * Z[:, :1]) * np.cos(6 * Z[:, 1:2])

    def make():
        return Perceptron(ARCHITECTURE, seed=0, epochs=100)

    free, y = (pool, cost(pool)), cost(X)[:, 0]
    Z = rng.random((300, 4))
    fit = [make().fit(X, y), pretrained(make, "on", free, X, y).fit(X, y)]
    plain, taught = (rank_correlation(one.predict(Z), cost(Z)[:, 0]) for one in fit)
    assert taught > plain + 0.1
    assert learnt(pretrained(make, "cv", free, X, y), make)
    by_recipe = X[:, 3]
    helps = cross_validated(lambda: make().pretrain(*free), X, by_recipe) > cross_validated(
        make, X, by_recipe
    )
    assert learnt(pretrained(make, "cv", free, X, by_recipe), make) == helps


def learnt(perceptron, make):
    """Whether its encoder is no longer the one that it began with."""
    return bool((perceptron.encoder[0].weight != make().encoder[0].weight).any())


def test_a_process_has_nothing_to_pretrain():
    X, y = problem(6)
    with pytest.raises(ValueError, match="got GaussianProcess; take predictor='mlp'"):
        pretrained(GaussianProcess, "on", (X, X), X, y)


def test_a_misspelt_name_is_told():
    with pytest.raises(
        ValueError, match=r"gp, mlp, forest or what makes one, got 'forrest'.*'forest'"
    ):
        maker_of("forrest")


def test_a_forest_without_scikit_learn_says_what_to_do(monkeypatch):
    for name in ("sklearn", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install scikit-learn, or take predictor='gp'"):
        Forest()
