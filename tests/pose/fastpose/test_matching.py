"""Assignments: the best of all, and the swap that a joint one makes."""

import itertools

import numpy as np
import pytest

from mmext.pose.fastpose.matching import assign, match

FRONT, REAR = 0, 1
EVERY = np.ones(2, bool)


def test_passes_do_not_swap_where_a_joint_assignment_does():
    # rows: the front person's track, seen last frame; the rear one's, lost 3 frames ago
    score = np.array([[0.90, 0.60], [0.45, 0.20]])
    # the rear detection is not clear enough to find its own track again
    allowed = np.array([[True, True], [True, False]])
    one, other = np.array([True, False]), np.array([False, True])
    assert match(score, allowed, [one, other], EVERY).tolist() == [[FRONT, FRONT]]
    joint = match(score, allowed, [EVERY], EVERY).tolist()
    assert joint == [[FRONT, REAR], [REAR, FRONT]]  # .60 + .45 > .90


def best_by_trying(score, allowed) -> float:
    """The greatest sum over all ways to pair tracks with detections, forbidden pairs counting 0."""
    worth = np.where(allowed, score, 0)
    tracks, found = worth.shape
    if tracks > found:
        worth, tracks, found = worth.T, found, tracks
    ways = itertools.permutations(range(found), tracks)
    return max(sum(worth[i, j] for i, j in enumerate(way)) for way in ways)


@pytest.mark.parametrize("seed", range(10))
def test_an_assignment_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    score = rng.random(rng.integers(1, 6, 2))
    allowed = rng.random(score.shape) > 0.4
    pairs = assign(score, allowed)
    assert allowed[tuple(pairs.T)].all()
    assert all(len(set(side)) == len(pairs) for side in pairs.T.tolist())
    assert score[tuple(pairs.T)].sum() == pytest.approx(best_by_trying(score, allowed))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nobody_to_pair(shape):
    assert assign(np.zeros(shape), np.ones(shape, bool)).shape == (0, 2)


def test_who_is_no_candidate_stays_out():
    score = np.full((2, 2), 0.9)
    only = np.array([False, True])
    assert match(score, score > 0, [EVERY], only)[:, 1].tolist() == [1]
    assert match(score, score > 0, [], EVERY).shape == (0, 2)
