"""Points move as their pixels do."""

import cv2
import numpy as np
import pytest

from mmext.pose.fastpose import points

RNG = np.random.default_rng(0)
PAIRS = [(0, 1), (3, 4)]


def some_points(*shape):
    xy = RNG.uniform(0, 100, (*shape, 2))
    return np.concatenate([xy, RNG.integers(1, 3, (*shape, 1))], -1).astype(np.float32)


def slow(keypoints, matrix, pairs):
    """Point by point, from the definition."""
    out = np.zeros_like(keypoints)
    partner = {a: b for one, other in pairs for a, b in ((one, other), (other, one))}
    mirrors = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0] < 0
    for g, row in enumerate(keypoints):
        for k, (x, y, v) in enumerate(row):
            place = partner.get(k, k) if mirrors else k
            if v > 0:
                out[g, place] = (*(matrix @ (x, y, 1))[:2], v)
    return out


def test_it_equals_the_loop():
    for _ in range(50):
        matrix = np.eye(3)
        matrix[:2] = RNG.normal(size=(2, 3))
        keypoints = some_points(3, 5)
        keypoints[RNG.random((3, 5)) < 0.3] = 0
        found = points.moved(keypoints, matrix, PAIRS)
        np.testing.assert_allclose(found, slow(keypoints, matrix, PAIRS), rtol=1e-5, atol=1e-4)


def test_half_a_turn_swaps_nothing_and_each_mirror_does():
    keypoints = some_points(1, 5)
    for sx, sy in ((-1, 1), (1, -1), (-1, -1)):
        matrix = np.diag([sx, sy, 1.0])
        swaps = sx * sy < 0
        found = points.moved(keypoints, matrix, PAIRS)
        source = keypoints[:, [1, 0, 2, 4, 3]] if swaps else keypoints
        np.testing.assert_allclose(found[..., :2], source[..., :2] * [sx, sy])
        np.testing.assert_array_equal(points.moved(found, matrix, PAIRS), keypoints)


def test_unlabelled_points_stay_zero_and_a_cut_unlabels():
    matrix = np.array([[1.0, 0, 50], [0, 1, 0], [0, 0, 1]])
    keypoints = np.array([[[0, 0, 0], [10, 10, 2], [60, 10, 1]]], np.float32)
    moved = points.moved(keypoints, matrix)
    np.testing.assert_array_equal(moved, [[[0, 0, 0], [60, 10, 2], [110, 10, 1]]])
    np.testing.assert_array_equal(
        points.without_outside(moved, 20, 100), [[[0, 0, 0], [60, 10, 2], [0, 0, 0]]]
    )
    edge = np.array([[100, 20, 2]], np.float32)
    np.testing.assert_array_equal(points.without_outside(edge, 20, 100), edge)


@pytest.mark.parametrize(("low", "high"), [(None, None), (10, 20), (0, 10), (20, None)])
def test_sizes_within_a_range_count(low, high):
    sides = np.array([[5.0, 5], [10, 10], [40, 10], [20, 20], [80, 80], [0, 9]])
    boxes = np.concatenate([np.ones((6, 2)), 1 + sides], 1)
    sizes = [5, 10, 20, 20, 80, 0]
    least, most = low or 0, np.inf if high is None else high
    expected = [not least <= size <= most for size in sizes]
    assert points.out_of_range(boxes, low, high).tolist() == expected


def test_no_point_and_no_object_are_no_trouble():
    for shape in ((0, 5), (2, 0)):
        empty = np.zeros((*shape, 3), np.float32)
        pairs = PAIRS if shape[1] else []
        assert points.moved(empty, np.diag([-1.0, 1, 1]), pairs).shape == empty.shape
        assert points.without_outside(empty, 4, 4).shape == empty.shape


def test_mirroring_is_that_of_pixels():
    picture = np.zeros((8, 10), np.uint8)
    picture[2, 3] = 255  # its middle is (3.5, 2.5)
    mirror = np.array([[-1.0, 0, 10], [0, 1, 0], [0, 0, 1]])
    (found,) = points.moved(np.array([[3.5, 2.5, 2]]), mirror)
    row, column = np.argwhere(cv2.flip(picture, 1))[0]
    np.testing.assert_array_equal(found, [column + 0.5, row + 0.5, 2])
