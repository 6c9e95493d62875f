"""Likeness of boxes and poses, against loops."""

import math

import numpy as np
import pytest

from mmext.pose.fastpose.similarity import (
    iou,
    mixed,
    oks,
    sigmas_of,
    unit,
    visible_share,
)


def people(rng, count, points=17):
    corner = rng.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (count, 2))], 1)
    poses = boxes[:, None, :2] + rng.uniform(0, 60, (count, points, 2))
    return boxes, poses, rng.random((count, points)) > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_iou_and_oks_equal_their_loops(seed):
    rng = np.random.default_rng(seed)
    (a, poses_a, seen_a), (b, poses_b, seen_b) = people(rng, 4), people(rng, 3)
    areas = rng.uniform(100, 5000, (4, 3))
    boxes, alike = iou(a, b), oks(poses_a, poses_b, seen_a, seen_b, areas)
    for i in range(4):
        for j in range(3):
            w = max(0, min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0]))
            h = max(0, min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1]))
            sizes = [(one[2] - one[0]) * (one[3] - one[1]) for one in (a[i], b[j])]
            assert boxes[i, j] == pytest.approx(w * h / (sum(sizes) - w * h))
            used = [k for k in range(17) if seen_a[i, k] and seen_b[j, k]]
            terms = [
                math.exp(
                    -(math.dist(poses_a[i, k], poses_b[j, k]) ** 2)
                    / (2 * areas[i, j] * (2 * sigmas_of(17)[k]) ** 2)
                )
                for k in used
            ]
            expected = sum(terms) / len(terms) if len(terms) >= 3 else 0
            assert alike[i, j] == pytest.approx(expected)


def test_the_same_pose_is_1_and_two_points_are_too_few():
    pose = np.arange(10.0).reshape(1, 5, 2)
    for seen, expected in ((3, 1.0), (2, 0.0), (0, 0.0)):
        visible = np.arange(5)[None] < seen
        assert oks(pose, pose, visible, np.ones((1, 5), bool), np.ones((1, 1))) == expected


def test_no_one_and_no_points():
    none = np.zeros((0, 5, 2))
    seen = np.zeros((0, 5), bool)
    assert oks(none, none, seen, seen, np.zeros((0, 0))).shape == (0, 0)
    boxes = np.zeros((1, 4))
    assert iou(boxes, boxes) == 0
    assert visible_share(np.zeros((2, 0))).tolist() == [1, 1]
    assert unit(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_weights_count_in_the_visible_share():
    assert visible_share(np.array([[1.0, 0.0]]), weights=(3.0, 1.0)).tolist() == [0.75]


def test_what_is_hidden_is_not_read():
    app, geo = np.array([[0.2]]), np.array([[0.9]])
    for unread in (None, 0.3):
        clear, gone = (
            mixed(app, geo, np.array([[v]]), weight=0.5, unread=unread) for v in (1.0, 0.0)
        )
        assert clear == pytest.approx(0.55)
        assert gone == pytest.approx(0.9 if unread is None else 0.6)


def test_each_kind_of_person_has_its_sigmas():
    assert sigmas_of(17)[:2] == (0.026, 0.025)
    assert sigmas_of(15)[:2] == (0.026, 0.079)
    assert (len(sigmas_of(17)), len(sigmas_of(15))) == (17, 15)
    assert sigmas_of(5) == (0.05,) * 5
