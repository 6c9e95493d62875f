"""Corrupted labels: what may happen to a face, and how large it is; errors of labels."""

import torch
from torch.testing import assert_close

from mmext.landmarks.ts3.corruptions import LEAST, MOST, corrupted, mean_error
from tests.landmarks.ts3.faces import PAIRS, faces

SIDE = 64.0
PARTNER = torch.arange(9)
for left, right in PAIRS:
    PARTNER[left], PARTNER[right] = right, left


def many(seed=0, partner=PARTNER, count=2000):
    _, points = faces(8, 3)
    points = points.repeat(count // 8, 1, 1)
    g = torch.Generator().manual_seed(seed)
    return points, corrupted(points, side=SIDE, generator=g, partner=partner)


def test_each_kind_of_corruption_occurs():
    points, moved = many()
    change = moved - points
    together = (change - change[:, :1]).abs().amax((1, 2)) < 1e-4
    swapped = (moved - points[:, PARTNER]).abs().amax((1, 2)) < 1e-4
    partly = (change.abs().amax(-1) < 1e-6).float().mean(1)
    assert 0.1 < (together & ~swapped).float().mean() < 0.25
    assert 0.15 < swapped.float().mean() < 0.25
    assert ((partly > 0.2) & (partly < 0.9)).float().mean() > 0.1, "some points, not all"


def test_sizes_are_log_uniform():
    _, points = faces(8, 3)
    points = points.repeat(500, 1, 1)
    moved = corrupted(points, side=SIDE, generator=torch.Generator().manual_seed(1))
    change = moved - points
    together = (change - change[:, :1]).abs().amax((1, 2)) < 1e-4
    sizes = change[together][:, 0].norm(dim=-1) / SIDE
    sizes = sizes[sizes > 0]  # a jitter of no point at all leaves the truth
    assert sizes.min() > LEAST * 0.99
    assert sizes.max() < MOST * 1.01
    middle = (LEAST * MOST) ** 0.5
    assert abs((sizes < middle).float().mean() - 0.5) < 0.06


def test_draws_follow_from_the_generator_alone_in_either_precision():
    assert_close(many(5), many(5), rtol=0, atol=0)
    assert not torch.equal(many(5)[1], many(6)[1])
    points, _ = many()
    g = torch.Generator().manual_seed(0)
    double = corrupted(points.double(), side=SIDE, generator=g, partner=PARTNER)
    assert double.dtype == torch.float64
    assert_close(double.float(), many(0)[1], atol=1e-4, rtol=0)


def test_without_pairs_nothing_is_swapped():
    points, moved = many(partner=None)
    assert not ((moved - points[:, PARTNER]).abs().amax((1, 2)) < 1e-4).any()


def test_the_error_is_the_mean_over_visible_points():
    truth = torch.tensor([[[0.0, 0], [10, 0], [float("nan")] * 2], [[float("nan")] * 2] * 3])
    shown = torch.tensor([[[3.0, 4], [10, 0], [50, 50]]] * 2)
    visible = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    assert_close(mean_error(shown, truth, visible, side=100.0), torch.tensor([0.025, 0.0]))
