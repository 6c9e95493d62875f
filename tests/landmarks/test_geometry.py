"""Maps between picture and crop take points and pixels alike, there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext.landmarks import geometry


def random_map(seed=0):
    rng = np.random.default_rng(seed)
    crop = geometry.box_to_crop(np.array([20.0, 10.0, 90.0, 60.0]), (64, 96))
    move = geometry.random_affine(
        (64, 96),
        scale=rng.uniform(0.5, 2),
        degrees=rng.uniform(-180, 180),
        shift_px=tuple(rng.uniform(-20, 20, 2)),
    )
    return geometry.composed(move, crop)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_there_and_back(seed):
    matrix = random_map(seed)
    points = np.random.default_rng(seed).uniform(-50, 150, (7, 2))
    crop = geometry.moved(points, matrix)
    np.testing.assert_allclose(geometry.moved(crop, geometry.inverse(matrix)), points, atol=1e-9)
    batch = geometry.moved_back(torch.from_numpy(crop)[None], torch.from_numpy(matrix)[None])
    np.testing.assert_allclose(batch[0].numpy(), points, atol=1e-9)


def test_edges_of_the_box_are_edges_of_the_crop():
    matrix = geometry.box_to_crop(np.array([20.0, 10.0, 90.0, 60.0]), (64, 96))
    corners = np.array([[19.5, 9.5], [89.5, 59.5]])
    np.testing.assert_allclose(
        geometry.moved(corners, matrix), [[-0.5, -0.5], [95.5, 63.5]], atol=1e-9
    )


def test_the_middle_stays_where_nothing_is_shifted():
    move = geometry.random_affine((64, 96), scale=1.3, degrees=77, shift_px=(0, 0))
    np.testing.assert_allclose(geometry.moved(np.array([[47.5, 31.5]]), move), [[47.5, 31.5]])
    turned = geometry.random_affine((64, 64), scale=1, degrees=90, shift_px=(3, 0))
    # y points down: a quarter turn takes right to below
    np.testing.assert_allclose(
        geometry.moved(np.array([[63.0, 31.5]]), turned), [[34.5, 63.0]], atol=1e-9
    )


def test_two_mirrors_are_none():
    mirror = geometry.mirrored(50)
    np.testing.assert_allclose(geometry.composed(mirror, mirror), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(geometry.moved(np.array([[0.0, 7.0]]), mirror), [[49.0, 7.0]])


def test_boxes_grow_about_their_middle():
    box = np.array([10.0, 20.0, 30.0, 60.0])
    np.testing.assert_allclose(geometry.widened(box, 0.2), [8, 16, 32, 64])
    np.testing.assert_allclose(geometry.with_aspect(box, 1.0), [0, 20, 40, 60])
    np.testing.assert_allclose(geometry.with_aspect(box, 0.25), [10, 0, 30, 80])


@pytest.mark.parametrize("scale", [1.7, 1.0, 0.6, 0.3, 0.11])
def test_pixels_go_where_points_go(scale):
    """The bright spot of a picture lies in the crop where the map takes its centre."""
    side = 240
    y, x = np.mgrid[:side, :side]
    spot = np.array([131.0, 84.0])
    image = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 9.0**2))
    move = geometry.random_affine((side, side), scale=scale, degrees=20, shift_px=(-3.5, 6))
    crop = geometry.warped(image.astype(np.float32), move, (side, side))
    mass = crop / crop.sum()
    centre = [(mass * x).sum(), (mass * y).sum()]
    np.testing.assert_allclose(centre, geometry.moved(spot[None], move)[0], atol=0.12)


def test_what_is_shrunk_is_averaged():
    stripes = np.zeros((240, 240), np.float32)
    stripes[::2] = 100
    matrix = geometry.box_to_crop(np.array([0.0, 0.0, 240.0, 240.0]), (40, 40))
    assert geometry.warped(stripes, matrix, (40, 40))[2:-2, 2:-2].std() < 1e-3
    assert geometry.warped(stripes, matrix, (40, 40))[20, 20] == pytest.approx(50)
