"""Maps and points against loops over every cell, and the numbers of the specification."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mmext.landmarks.heatmaps import decoded, gaussians, heatmap_loss


def random_points(count, side, margin=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    return margin + (side - 1 - 2 * margin) * torch.rand(1, count, 2, generator=g)


def slow_gaussians(keypoints, visible, cells, stride, sigma):
    """exp(-d^2 / 2 sigma^2) cell by cell."""
    maps = torch.zeros(*keypoints.shape[:2], *cells)
    for b, k in torch.cartesian_prod(*map(torch.arange, keypoints.shape[:2])).tolist():
        for row in range(cells[0]):
            for column in range(cells[1]):
                x, y = column * stride + stride / 2 - 0.5, row * stride + stride / 2 - 0.5
                px, py = keypoints[b, k].tolist()
                value = math.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
                maps[b, k, row, column] = value if value >= 0.01 and visible[b, k] > 0 else 0
    return maps


def slow_decoded(one, stride, window):
    """The highest cell and the centroid around it, in plain Python."""
    height, width = one.shape
    best = max((one[r, c].item(), -r, -c) for r in range(height) for c in range(width))
    peak, row, column = best[0], -best[1], -best[2]
    total = x = y = 0.0
    for r in range(max(row - window, 0), min(row + window, height - 1) + 1):
        for c in range(max(column - window, 0), min(column + window, width - 1) + 1):
            value = one[r, c].item()
            value = torch.finfo(torch.float32).eps if value <= 1e-6 else value
            total, x, y = total + value, x + value * c, y + value * r
    return [v / total * stride + stride / 2 - 0.5 for v in (x, y)], peak


def test_targets_are_those_of_the_loop():
    keypoints = random_points(6, 40).reshape(2, 3, 2)
    visible = torch.tensor([[1.0, 0.0, 0.3], [1.0, 1.0, 0.0]])
    fast = gaussians(keypoints, visible, cells=(10, 12), stride=4, sigma_px=4.0)
    assert_close(fast, slow_gaussians(keypoints, visible, (10, 12), 4, 4.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["random", "negative", "gaussian"])
def test_points_are_those_of_the_loop(kind):
    g = torch.Generator().manual_seed(3)
    maps = torch.rand(2, 5, 9, 13, generator=g)
    if kind == "negative":
        maps = maps - 2
    if kind == "gaussian":
        points = 36 * torch.rand(2, 5, 2, generator=g)
        maps = gaussians(points, torch.ones(2, 5), cells=(9, 13), stride=4, sigma_px=4.0)
    points, peaks = decoded(maps, stride=4, window=4)
    for b in range(2):
        for k in range(5):
            point, peak = slow_decoded(maps[b, k], 4, 4)
            assert_close(points[b, k], torch.tensor(point), rtol=1e-4, atol=1e-4)
            assert peaks[b, k].item() == pytest.approx(peak)


@pytest.mark.parametrize(("side", "stride", "most"), [(64, 4, 0.1), (32, 8, 0.35)])
def test_500_points_come_back(side, stride, most):
    """TS-2 of the specification: measured .05 and .28 pixels."""
    margin = 10.0 if side == 64 else 8.0
    points = random_points(500, side, margin=margin)
    cells = (side // stride,) * 2
    maps = gaussians(points, torch.ones(1, 500), cells=cells, stride=stride, sigma_px=4.0)
    found, peaks = decoded(maps, stride=stride)
    assert (found - points).norm(dim=-1).mean() <= most
    assert float(peaks.max()) <= 1


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(-30, 94),
    y=st.floats(-30, 94),
    kind=st.sampled_from(["point", "noise", "empty", "nan"]),
)
def test_what_is_decoded_lies_in_the_picture(x, y, kind):
    maps = gaussians(
        torch.tensor([[[x, y]]]), torch.ones(1, 1), cells=(16, 16), stride=4, sigma_px=4
    )
    if kind == "noise":
        maps = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(int(x)))
    if kind == "empty":
        maps = torch.zeros(1, 1, 16, 16)
    found, _ = decoded(maps, stride=4)
    assert 0 <= float(found.min()) <= float(found.max()) <= 63


def test_rows_do_not_drift():
    """Upstream divides the index by the width as floats, which moves rows by up to a cell."""
    maps = torch.zeros(1, 30, 30, 30)
    for number in range(30):
        maps[0, number, number, 29 - number] = 1.0
    found, _ = decoded(maps, stride=8, window=0)
    rows = 8 * torch.arange(30.0) + 3.5
    assert_close(found[0], torch.stack([rows.flip(0), rows], -1))


def test_a_shift_of_a_cell_shifts_by_the_stride():
    maps = gaussians(
        random_points(9, 64, 16), torch.ones(1, 9), cells=(16, 16), stride=4, sigma_px=4
    )
    before, _ = decoded(maps, stride=4)
    after, _ = decoded(maps.roll((1, -1), (2, 3)), stride=4)
    assert_close(after - before, torch.tensor([-4.0, 4.0]).expand(1, 9, 2), atol=1e-3, rtol=0)


def test_half_precision_is_decoded_in_single():
    maps = gaussians(
        random_points(9, 64, 16), torch.ones(1, 9), cells=(16, 16), stride=4, sigma_px=4
    ).bfloat16()
    points, peaks = decoded(maps, stride=4)
    assert points.dtype == peaks.dtype == torch.float32
    assert_close(points, decoded(maps.float(), stride=4)[0], rtol=0, atol=0)


def test_no_picture_gives_no_point():
    points, peaks = decoded(torch.zeros(0, 3, 8, 8), stride=4)
    assert points.shape == (0, 3, 2)
    assert peaks.shape == (0, 3)
    loss = heatmap_loss(
        torch.zeros(0, 3, 8, 8), torch.zeros(0, 3, 8, 8), torch.ones(0, 3), average=True
    )
    assert loss.shape == (0,)


@pytest.mark.parametrize("average", [False, True])
def test_the_loss_is_that_of_the_loop(average):
    g = torch.Generator().manual_seed(0)
    maps, target = torch.rand(2, 3, 4, 5, generator=g), torch.rand(2, 3, 4, 5, generator=g)
    weights = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    found = heatmap_loss(maps, target, weights, average=average)
    total = 0.0
    for k, weight in enumerate(weights[0].tolist()):
        for row in range(4):
            for column in range(5):
                total += weight * (maps[0, k, row, column] - target[0, k, row, column]).item() ** 2
    assert found[0].item() == pytest.approx(total / (2 * 20 if average else 1), rel=1e-5)
    assert found[1].item() == 0


def test_the_gradient_is_exact_and_invisible_points_have_none():
    g = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 4, 4, generator=g, dtype=torch.float64, requires_grad=True)
    points = 16 * torch.rand(2, 3, 2, generator=g, dtype=torch.float64)
    points[0, 1] = float("nan")
    visible = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64)
    target = gaussians(points, visible, cells=(4, 4), stride=4, sigma_px=4.0)
    assert torch.isfinite(target).all()
    for average in (False, True):
        assert torch.autograd.gradcheck(
            lambda x, average=average: heatmap_loss(x, target, visible, average=average), (maps,)
        )
    (grad,) = torch.autograd.grad(heatmap_loss(maps, target, visible, average=False).sum(), maps)
    assert grad[0, 0].abs().sum() > 0
    assert grad[0, 1].abs().sum() == grad[1].abs().sum() == 0
