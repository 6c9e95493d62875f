"""HOTA against a loop over thresholds, frames and hits."""

import itertools
import math

import numpy as np
import pytest

from mmext.pose.fastpose.hota import hota
from mmext.pose.fastpose.scoring import ALPHAS
from tests.pose.fastpose.test_scoring import two, video


def alike(frame, k, i, j, reach) -> float:
    there = frame.true_has[k, i] and frame.found_has[k, j]
    return max(0.0, 1 - frame.distance[k, i, j] / reach) if there else 0.0


def best_pairs(score: dict[tuple[int, int], float], rows: int, columns: int) -> list:
    """The pairs of the greatest sum, by trying all."""
    if rows > columns:
        flipped = {(j, i): one for (i, j), one in score.items()}
        return [(i, j) for j, i in best_pairs(flipped, columns, rows)]
    ways = itertools.permutations(range(columns), rows)
    return list(enumerate(max(ways, key=lambda way: sum(score[i, j] for i, j in enumerate(way)))))


def fits(frames, k, reach) -> dict[tuple[int, int], float]:
    """Jaccard index of two identities over the video, softened by likeness."""
    shared: dict[tuple[int, int], float] = {}
    count: dict = {}
    for f in frames:
        sizes = len(f.true_ids), len(f.found_ids)
        for i in range(sizes[0]):
            count["t", f.true_ids[i]] = count.get(("t", f.true_ids[i]), 0) + f.true_has[k, i]
        for j in range(sizes[1]):
            count["f", f.found_ids[j]] = count.get(("f", f.found_ids[j]), 0) + f.found_has[k, j]
        for i, j in itertools.product(*map(range, sizes)):
            own = alike(f, k, i, j, reach)
            row = sum(alike(f, k, i, b, reach) for b in range(sizes[1]))
            column = sum(alike(f, k, a, j, reach) for a in range(sizes[0]))
            pair = (f.true_ids[i], f.found_ids[j])
            shared[pair] = shared.get(pair, 0) + (own / (row + column - own) if own else 0)
    return {
        (t, p): one / max(1, count["t", t] + count["f", p] - one) for (t, p), one in shared.items()
    } | {("count", *key): value for key, value in count.items()}


def hota_by_loop(frames, k, reach, by_identity) -> float:
    fit = fits(frames, k, reach)
    values = []
    for alpha in ALPHAS:
        hits, true, found = [], 0, 0
        for f in frames:
            sizes = len(f.true_ids), len(f.found_ids)
            true, found = true + f.true_has[k].sum(), found + f.found_has[k].sum()
            score = {
                (i, j): alike(f, k, i, j, reach)
                * (fit[f.true_ids[i], f.found_ids[j]] if by_identity else 1)
                for i, j in itertools.product(*map(range, sizes))
            }
            for i, j in best_pairs(score, *sizes):
                if alike(f, k, i, j, reach) >= alpha - 1e-12:
                    hits.append((f.true_ids[i], f.found_ids[j]))
        ass = sum(
            (n := hits.count(hit)) / (fit["count", "t", hit[0]] + fit["count", "f", hit[1]] - n)
            for hit in hits
        )
        det = len(hits) / max(1, true + found - len(hits))
        values.append(math.sqrt(det * ass / max(1, len(hits))))
    return sum(values) / len(values)


@pytest.mark.parametrize("by_identity", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_hota_equals_its_loop(seed, by_identity):
    frames = video(seed, points=2, frames=5)
    ours = hota(frames, reach=0.7, num_points=2, by_identity=by_identity).numbers["HOTA"]
    expected = [hota_by_loop(frames, k, 0.7, by_identity) for k in range(2)]
    np.testing.assert_allclose(ours, expected)


def test_a_swap_costs_association_and_no_detection():
    perfect = hota([two(False)] * 10).numbers
    assert {name: float(one[0]) for name, one in perfect.items()} == dict.fromkeys(perfect, 1.0)
    swapped = hota([two(False)] * 5 + [two(True)] * 5).numbers
    assert swapped["DetA"] == 1
    # each identity shares half its frames with each partner: 5 / (10 + 10 - 5)
    assert swapped["AssA"] == pytest.approx(1 / 3)


def test_videos_add_up_and_an_empty_one_adds_nothing():
    frames = [two(False)] * 3
    both = hota(frames) + hota([])
    np.testing.assert_array_equal(both.hits, hota(frames).hits)
    assert hota([]).numbers["HOTA"] == 0
