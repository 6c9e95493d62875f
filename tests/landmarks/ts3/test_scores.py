"""Ranks, signals, weights and choices against loops and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.testing import assert_close

from mmext.landmarks.ts3 import scores


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=12))
def test_ranks_are_those_of_scipy_from_0_to_1(values):
    expected = (stats.rankdata(values) - 1) / (len(values) - 1)
    found = scores.ranks(torch.tensor(values, dtype=torch.float64))
    assert_close(found.numpy(), expected)


def test_spearman_is_that_of_scipy_and_nan_for_a_constant():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=20).round(1), rng.normal(size=20).round(1)
    found = scores.spearman(torch.tensor(first), torch.tensor(second))
    assert_close(float(found), stats.spearmanr(first, second).statistic)
    assert scores.spearman(torch.ones(4), torch.arange(4.0)).isnan()


def test_signals_and_weights_of_points_against_a_loop():
    g = torch.Generator().manual_seed(0)
    points = torch.rand(3, 2, 4, 2, generator=g) * 64
    peaks = torch.rand(3, 2, 4, generator=g) * 1.5 - 0.2
    quality = torch.rand(3, 2, generator=g)
    apart = scores.distances(points, 64.0)
    found = scores.signals_of(quality, apart, peaks)
    weights = scores.point_weights(apart, peaks, reach=0.03)
    assert found["teacher"] is quality
    for n in range(3):
        d = [(points[n, 0, k] - points[n, 1, k]).norm().item() / 64 for k in range(4)]
        for s in range(2):
            assert found["agreement"][n, s].item() == pytest.approx(-sum(d) / 4, rel=1e-5)
            assert found["peak"][n, s].item() == pytest.approx(peaks[n, s].mean().item(), rel=1e-5)
            for k in range(4):
                height = min(max(peaks[n, s, k].item(), 0), 1)
                expected = np.exp(-d[k] / 0.03) * height
                assert weights[n, s, k].item() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_the_mix_is_the_mean_of_ranks_and_ignores_scales():
    a, b = torch.tensor([[0.1, 0.2], [0.3, 0.4]]), torch.tensor([[40.0, 30.0], [20.0, 10.0]])
    assert_close(scores.mixed(dict(a=a)), torch.tensor([[0, 1], [2, 3]]) / 3)
    assert_close(scores.mixed(dict(a=a, b=b)), torch.full((2, 2), 0.5))
    assert_close(scores.mixed(dict(a=a.exp() * 7, b=b)), scores.mixed(dict(a=a, b=b)))


@pytest.mark.parametrize(
    ("signal", "tells"),
    [
        ([[1.0, 2.0]], True),
        ([[2.0, 2.0]], False),
        ([[float("nan"), 1.0]], False),
        ([[float("inf"), 1.0]], False),
    ],
)
def test_a_constant_or_broken_signal_tells_nothing_apart(signal, tells):
    assert scores.tells_apart(torch.tensor(signal)) is tells


def test_the_hard_filter_lets_more_pass_in_each_round():
    scored = torch.rand(10, 2, generator=torch.Generator().manual_seed(0))
    for number, count in ((1, 2), (2, 4), (3, 6), (5, 10), (9, 10)):
        kept = scores.best(scored, scores.share_of_round(number))
        assert kept.sum(0).tolist() == [count, count]
        for s in range(2):
            worst_kept = scored[kept[:, s], s].min()
            assert (scored[~kept[:, s], s] <= worst_kept).all()
    # ceil: of three faces a fifth is one
    assert scores.best(torch.rand(3, 2), 0.2).sum(0).tolist() == [1, 1]


def test_exchange_gives_own_the_others_or_the_mean():
    points, weights = torch.rand(2, 2, 3, 2), torch.rand(2, 2, 3)
    assert_close(scores.exchanged(points, weights, "self"), (points, weights))
    crossed = scores.exchanged(points, weights, "cross")
    assert_close(crossed, (points[:, [1, 0]], weights[:, [1, 0]]))
    both, weight = scores.exchanged(points, weights, "fused")
    for s in range(2):
        assert_close(both[:, s], (points[:, 0] + points[:, 1]) / 2)
        assert_close(weight[:, s], (weights[:, 0] + weights[:, 1]) / 2)
    with pytest.raises(ValueError, match=r"exchange must be one of .* got 'both'"):
        scores.exchanged(points, weights, "both")
