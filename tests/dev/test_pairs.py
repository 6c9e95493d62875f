"""Statistics of pairs, against numbers worked out by hand and by counting."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dev.evidence import pairs


def test_a_summary_by_hand():
    # Mean 4 / 4 = 1; squares of deviations 1 + 1 + 0 + 0 = 2, over 3; t(3) at 97.5 % is 3.182446.
    found = pairs.summarise([2.0, 0.0, 1.0, 1.0])
    assert (found.n, found.mean, found.wins, found.ties) == (4, 1.0, 3, 1)
    assert found.deviation == pytest.approx(math.sqrt(2 / 3))
    half = 3.182446305 * math.sqrt(2 / 3) / 2
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half))
    assert not found.excludes_zero


@pytest.mark.parametrize(
    ("found", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # only +++ and --- reach 6
        ([3.0, 2.0, -1.0], 4 / 8),  # sum 4: +++, ++-, and their opposites
        ([1.0, -1.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
        ([0.0, 1.0, 1.0], 4 / 8),  # the sign of a zero changes nothing
        ([0.1] * 5, 0.0625),
        ([-0.1] * 6, 0.03125),
        ([0.3] * 8, 2 / 256),
        ([0.1, 0.2, -0.3], 1.0),  # 0.1 + 0.2 - 0.3 is not 0 in floating point, and is
    ],
)
def test_the_sign_flip_test_by_hand(found, p):
    assert pairs.sign_flip_p(found) == p


@pytest.mark.parametrize("n", [2, 3, 6, 7, 11])
def test_the_sign_flip_test_counts_every_choice_of_signs(n):
    rng = np.random.default_rng(n)
    for _ in range(5):
        found = rng.normal(0.4, 1, n).round(2)  # rounded, so that sums tie
        sums = [abs(sum(s * x for s, x in zip(signs, found, strict=True))) for signs in _signs(n)]
        assert pairs.sign_flip_p(found) == pytest.approx(
            np.mean(np.array(sums) >= abs(found.sum()) - 1e-9)
        )


def _signs(n):
    return itertools.product((-1, 1), repeat=n)


def test_it_is_scipys_test_and_interval_where_scipy_can_count():
    found = np.random.default_rng(1).normal(0.5, 1, 9)
    exact = stats.permutation_test(
        (found,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    interval = stats.ttest_1samp(found, 0).confidence_interval(0.95)
    ours = pairs.summarise(list(found))
    assert ours.p == pytest.approx(exact.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))


def test_many_pairs_are_counted_too():
    assert pairs.sign_flip_p([1.0] * 32) == 2 / 2**32


def test_an_interval_covers_what_is_true_95_times_in_100():
    rng = np.random.default_rng(0)
    hits = [
        (one := pairs.summarise(list(rng.normal(1, 2, 6)))).low <= 1 <= one.high
        for _ in range(2000)
    ]
    assert 0.935 < np.mean(hits) < 0.965


def test_pairs_are_matched_by_seed_and_not_by_place():
    assert pairs.differences({"0": 1.0, "10": 5.0, "2": 2.0}, {"10": 1.0, "2": 1.0, "0": 1.0}) == [
        0,
        1,
        4,
    ]


@pytest.mark.parametrize(
    ("treated", "control", "words"),
    [
        ({"0": 1.0, "1": 1.0}, {"0": 1.0}, r"same seeds, got \['1'\] in one alone"),
        ({"0": math.nan}, {"0": 1.0}, "finite numbers, got"),
        ({"0": math.inf}, {"0": 1.0}, "finite numbers, got"),
    ],
)
def test_what_is_no_pair_is_refused(treated, control, words):
    with pytest.raises(ValueError, match=words):
        pairs.differences(treated, control)


@pytest.mark.parametrize("n", [0, 1, 41])
def test_too_few_and_too_many_pairs_are_refused(n):
    with pytest.raises(ValueError, match=f"expected 2 to 40 pairs, got {n}"):
        pairs.summarise([1.0] * n)


def test_a_row_names_its_arms_and_holds_the_summary_of_their_pairs():
    arms = dict(new={"0": 3.0, "1": 5.0}, old={"1": 1.0, "0": 1.0}, other={"0": 0.0, "1": 9.0})
    rows = pairs.compared(arms, [("new", "old"), ("old", "other")])
    assert [(row["treated"], row["control"]) for row in rows] == [("new", "old"), ("old", "other")]
    assert [row["mean"] for row in rows] == [3.0, -3.5]
    assert rows[0] == dict(treated="new", control="old", **vars(pairs.summarise([2.0, 4.0])))
