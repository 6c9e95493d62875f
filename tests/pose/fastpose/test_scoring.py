"""Counts of identities, against loops that follow their definitions word by word."""

import itertools

import numpy as np
import pytest

from mmext.pose.fastpose.scoring import (
    FramePairs,
    box_pairs,
    clear_mot,
    identity_counts,
    idf1,
)

LIMIT = 0.5


def video(seed: int, points: int = 3, frames: int = 8) -> list[FramePairs]:
    """People and what a bad tracker makes of them: points missing, identities exchanged."""
    rng = np.random.default_rng(seed)
    told = []
    for _ in range(frames):
        true = rng.permutation(4)[: rng.integers(0, 5)]
        found = 10 + rng.permutation(5)[: rng.integers(0, 5)]
        distance = rng.random((points, len(true), len(found)))
        distance[rng.random(distance.shape) < 0.2] = np.inf
        has = rng.random((points, len(true))) > 0.2, rng.random((points, len(found))) > 0.2
        told.append(FramePairs(true, found, distance, *has))
    return told


def assigned(near: dict[tuple[int, int], float]) -> set[tuple[int, int]]:
    """The most pairs at the least distance, by trying all."""
    best: tuple[int, float, set] = (0, 0.0, set())
    for size in range(len(near) + 1):
        for some in itertools.combinations(near, size):
            sides = list(zip(*some, strict=True)) or [(), ()]
            if all(len(set(side)) == size for side in sides):
                length = sum(near[pair] for pair in some)
                if (-size, length) < (-best[0], best[1]):
                    best = (size, length, set(some))
    return best[2]


def clear_by_loop(frames: list[FramePairs], k: int) -> dict[str, float]:
    """CLEAR MOT of one point, as py-motmetrics walks through a frame."""
    last: dict[int, int] = {}
    counts = dict.fromkeys(("objects", "matches", "misses", "false_positives", "switches"), 0)
    length = 0.0
    for frame in frames:
        true = [i for i in range(len(frame.true_ids)) if frame.true_has[k, i]]
        found = [j for j in range(len(frame.found_ids)) if frame.found_has[k, j]]
        pairs = set()
        for i in true:
            for j in found:
                same = last.get(frame.true_ids[i]) == frame.found_ids[j]
                free = all(i != a and j != b for a, b in pairs)
                if same and free and frame.distance[k, i, j] <= LIMIT:
                    pairs.add((i, j))
        near = {
            (i, j): frame.distance[k, i, j]
            for i in true
            for j in found
            if frame.distance[k, i, j] <= LIMIT and all(i != a and j != b for a, b in pairs)
        }
        for i, j in assigned(near):
            before = last.get(frame.true_ids[i])
            counts["switches"] += before not in (None, frame.found_ids[j])
            last[frame.true_ids[i]] = frame.found_ids[j]
            pairs.add((i, j))
        length += sum(frame.distance[k, i, j] for i, j in pairs)
        counts["objects"] += len(true)
        counts["matches"] += len(pairs)
        counts["misses"] += len(true) - len(pairs)
        counts["false_positives"] += len(found) - len(pairs)
    return {**counts, "distance": length}


@pytest.mark.parametrize("seed", range(6))
def test_clear_mot_equals_its_loop(seed):
    frames = video(seed)
    counts = clear_mot(frames, limit=LIMIT, num_points=3)
    for k in range(3):
        for name, expected in clear_by_loop(frames, k).items():
            assert getattr(counts, name)[k] == pytest.approx(expected), name


@pytest.mark.parametrize("seed", range(4))
def test_idf1_is_the_best_over_all_ways_to_name_identities(seed):
    frames = video(seed, points=1)
    best = 0
    for names in itertools.permutations([*range(10, 15)], 4):
        hits = 0
        for frame in frames:
            for i, j in itertools.product(range(len(frame.true_ids)), range(len(frame.found_ids))):
                named = names[frame.true_ids[i]] == frame.found_ids[j]
                there = frame.true_has[0, i] and frame.found_has[0, j]
                hits += named and there and frame.distance[0, i, j] <= LIMIT
        best = max(best, hits)
    counts = identity_counts(frames, limit=LIMIT)
    total = sum(one.true_has.sum() + one.found_has.sum() for one in frames)
    assert counts[0] == best
    assert idf1(counts) == pytest.approx(2 * best / total)


def two(swapped: bool) -> FramePairs:
    boxes = np.array([[0.0, 0, 10, 10], [50.0, 0, 60, 10]])
    return box_pairs([0, 1], boxes, [8, 7] if swapped else [7, 8], boxes)


def test_one_swap_costs_two_switches_and_half_the_identity():
    frames = [two(False)] * 5 + [two(True)] * 5
    counts = clear_mot(frames, limit=LIMIT)
    assert counts.switches == 2
    assert counts.mota == pytest.approx(1 - 2 / 20)
    assert counts.motp == counts.precision == counts.recall == 1
    assert idf1(identity_counts(frames, limit=LIMIT)) == 0.5
    assert clear_mot([two(False)] * 10, limit=LIMIT).mota == 1


def test_who_has_no_identity_is_not_found():
    box = np.array([[0.0, 0, 10, 10]])
    counts = clear_mot([box_pairs([0], box, [-1], box)], limit=LIMIT)
    assert (counts.misses, counts.false_positives, counts.motp) == (1, 0, 0)


def test_nothing_there_is_no_number():
    none = np.zeros((0, 4))
    empty = box_pairs([], none, [], none)
    assert np.isnan(clear_mot([empty], limit=LIMIT).mota)
    assert np.isnan(idf1(identity_counts([empty], limit=LIMIT)))
    assert np.isnan(idf1(identity_counts([], limit=LIMIT)))


def test_two_who_had_the_same_partner_do_not_both_keep_it():
    near, far = np.full((1, 1, 1), 0.1), np.ones((1, 1), bool)
    both = np.full((1, 2, 1), 0.1)
    frames = [
        FramePairs(np.array([0]), np.array([5]), near, far, far),
        FramePairs(np.array([1]), np.array([5]), near, far, far),
        FramePairs(np.array([0, 1]), np.array([5]), both, np.ones((1, 2), bool), far),
    ]
    counts = clear_mot(frames, limit=LIMIT)
    assert (counts.matches, counts.misses, counts.switches) == (3, 1, 0)
