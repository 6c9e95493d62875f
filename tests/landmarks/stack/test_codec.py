"""The registered codec gives what its functions give, at its own sizes."""

import pytest
import torch
from torch.testing import assert_close

from mmext.landmarks.heatmaps import decoded, gaussians
from mmext.landmarks.stack import GaussianHeatmapCodec


def test_it_is_its_functions():
    codec = GaussianHeatmapCodec(input_size=(64, 96), stride=4, sigma=3)
    points = torch.tensor([[[20.0, 30.0], [95.0, 0.0]]])
    maps = codec.encode(points, torch.ones(1, 2))
    assert maps.shape == (1, 2, 16, 24)
    expected = gaussians(points, torch.ones(1, 2), cells=(16, 24), stride=4, sigma_px=3)
    assert_close(maps, expected, rtol=0, atol=0)
    assert_close(codec.decode(maps), decoded(maps, stride=4), rtol=0, atol=0)


def test_maps_of_another_size_have_cells_of_another_size():
    """As when maps of two nets with unequal strides are joined."""
    codec = GaussianHeatmapCodec(input_size=64, stride=8, sigma=8)
    fine = GaussianHeatmapCodec(input_size=64, stride=4, sigma=8)
    points = torch.tensor([[[31.0, 25.0]]])
    found, _ = codec.decode(fine.encode(points, torch.ones(1, 1)))
    assert_close(found, points, atol=0.25, rtol=0)


def test_a_size_that_is_no_multiple_of_the_stride_is_refused():
    with pytest.raises(ValueError, match="input_size divisible by the stride 8, got 60 x 64"):
        GaussianHeatmapCodec(input_size=(60, 64), stride=8)
