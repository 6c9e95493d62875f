"""The teacher's objectives against loops, and their gradients."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from mmext.landmarks.ts3 import losses

JUDGED = torch.tensor([0.9, 0.2, 0.4, 0.5], dtype=torch.float64)
ERROR = torch.tensor([0.0, 0.1, 0.1, 0.3], dtype=torch.float64)


def test_quality_is_one_for_the_truth_and_falls_by_e_a_tau():
    assert losses.quality(torch.tensor([0.0, 0.05, 0.1]), tau=0.05).tolist() == pytest.approx(
        [1, math.exp(-1), math.exp(-2)]
    )
    found = losses.quality_loss(JUDGED, ERROR, tau=0.1)
    pairs = zip(JUDGED.tolist(), ERROR.tolist(), strict=True)
    expected = [(t - math.exp(-e / 0.1)) ** 2 for t, e in pairs]
    assert found.tolist() == pytest.approx(expected)


def test_lsgan_wants_one_for_people_and_zero_for_students():
    real = torch.tensor([1.0, 0, 0, 1], dtype=torch.float64)
    assert losses.lsgan_loss(JUDGED, real).tolist() == pytest.approx([0.01, 0.04, 0.16, 0.25])


def test_rank_loss_is_the_loop_over_pairs():
    found = losses.rank_loss(JUDGED, ERROR, margin=0.3)
    for i in range(4):
        worse = [j for j in range(4) if ERROR[j] - ERROR[i] > 0.005]
        hinges = [max(0.3 - (JUDGED[i] - JUDGED[j]).item(), 0) for j in worse]
        assert found[i].item() == pytest.approx(sum(hinges) / max(len(worse), 1))


def test_rank_loss_is_nothing_where_all_are_in_order_by_the_margin():
    error = torch.arange(4) / 10
    assert not losses.rank_loss(-error * 10, error, margin=0.5).any()
    assert not losses.rank_loss(torch.rand(4), torch.zeros(4)).any()


@pytest.mark.parametrize(
    "loss",
    [
        lambda T: losses.quality_loss(T, ERROR, tau=0.1),
        lambda T: losses.rank_loss(T, ERROR, margin=0.35),
        lambda T: losses.lsgan_loss(T, torch.tensor([1.0, 0, 0, 1], dtype=torch.float64)),
    ],
)
def test_gradients(loss):
    assert gradcheck(loss, JUDGED.clone().requires_grad_())
