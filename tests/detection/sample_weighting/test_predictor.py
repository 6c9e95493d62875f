"""The mathematics of sample weights against slow loops; the network's size, start, short cut."""

import math

import pytest
import torch
from torch.testing import assert_close

from mmext.detection.sample_weighting import clamp_log_variance, optimal_log_variance
from mmext.detection.sample_weighting.predictor import SWNPredictor


def newton(loss, lam, divisor, count, steps=200):
    """Argmin of ``exp(-m) * loss / divisor + lam * m / count``, step by step."""
    m = 0.0
    for _ in range(steps):
        slope = -math.exp(-m) * loss / divisor + lam / count
        m -= max(min(slope / (math.exp(-m) * loss / divisor), 0.5), -0.5)
    return m


@pytest.mark.parametrize("lam", [0.25, 0.5, 2.0])
def test_the_optimum_is_where_newton_ends(lam):
    losses = torch.tensor([0.02, 0.3, 1.0, 7.0], dtype=torch.float64)
    found = optimal_log_variance(losses, lam=lam, divisor=128, count=31)
    expected = [newton(float(loss), lam, 128, 31) for loss in losses]
    assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-5)


def test_at_the_optimum_all_weighted_losses_are_the_same():
    losses = torch.rand(9, dtype=torch.float64) + 0.1
    m = optimal_log_variance(losses, lam=0.5, divisor=20, count=9)
    assert_close(torch.exp(-m) * losses, torch.full_like(losses, 0.5 * 20 / 9))


def test_a_loss_of_zero_has_the_greatest_weight_that_the_clamp_allows():
    m = clamp_log_variance(optimal_log_variance(torch.zeros(1), lam=0.5, divisor=4, count=2), -2, 2)
    assert_close(torch.exp(-m), torch.tensor([math.exp(2)]))


@pytest.mark.parametrize("mode", ["hard", "inward", "tanh"])
def test_every_clamp_keeps_its_range_and_its_middle(mode):
    m = torch.linspace(-9, 9, 37)
    found = clamp_log_variance(m, -2, 2, mode=mode)
    assert found.min() >= -2
    assert found.max() <= 2
    assert found[18] == 0
    assert (found.diff() >= 0).all()


def test_a_range_of_one_value_gives_that_value():
    for mode in ("hard", "inward", "tanh"):
        assert (clamp_log_variance(torch.tensor([-1.0, 0.0, 3.0]), 0, 0, mode=mode) == 0).all()


def slope(m, mode, sign):
    """Gradient at ``m`` of ``sign`` times the clamped value."""
    m = torch.tensor([m], requires_grad=True)
    (sign * clamp_log_variance(m, -2, 2, mode=mode)).sum().backward()
    return float(m.grad)


def test_outside_the_range_only_inward_lets_values_come_back():
    for m, back in ((-5.0, -1), (5.0, 1)):  # descending the gradient must raise -5 and lower 5
        assert slope(m, "hard", back) == 0
        assert slope(m, "inward", back) == back
        assert slope(m, "inward", -back) == 0
        assert abs(slope(m, "tanh", back)) > 0
    for mode in ("hard", "inward"):
        assert slope(1.0, mode, -1) == -1


def test_inside_the_range_gradients_are_those_of_finite_differences():
    m = torch.linspace(-1.9, 1.9, 7, dtype=torch.float64, requires_grad=True)
    for mode in ("hard", "inward", "tanh"):
        assert torch.autograd.gradcheck(
            lambda x, mode=mode: clamp_log_variance(x, -2, 2, mode=mode), (m,)
        )


@pytest.mark.parametrize(
    ("inputs", "outputs", "size"),
    [
        (("iou", "prob", "cls", "box"), 2, 33_922),
        (("iou", "prob", "cls", "box", "mask"), 3, 42_371),
    ],
)
def test_its_size_is_the_authors(inputs, outputs, size):
    assert sum(p.numel() for p in SWNPredictor(inputs, outputs).parameters()) == size


def features(count, dtype=torch.float32, *, zeros=False):
    g = torch.Generator().manual_seed(0)
    widths = dict(iou=1, prob=1, cls=1, box=4)
    found = {
        name: torch.rand(count, width, generator=g, dtype=dtype) for name, width in widths.items()
    }
    return {name: x * (name == "cls" or not zeros) for name, x in found.items()}


@pytest.mark.parametrize("inputs", [("iou", "prob", "cls", "box"), ("box", "cls"), ("iou",)])
def test_the_short_cut_for_negatives_changes_nothing(inputs):
    torch.manual_seed(0)
    net = SWNPredictor(inputs).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    known = features(11, torch.float64, zeros=True)
    whole, short = net(known, known["cls"][:, 0])
    assert_close(short, whole[:, 0])


def test_both_starts_give_weights_of_one():
    for init in ("zero_last", "official"):
        assert SWNPredictor(init=init)(features(5), torch.rand(3))[0].abs().max() < 1e-12


def test_hosts_may_draw_the_start_again():
    net = SWNPredictor()
    torch.nn.init.ones_(net.last.weight)
    net.init_weights()
    assert all((m == 0).all() for m in net(features(5), torch.rand(3)))


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(ValueError, match="inputs must be some of"):
        SWNPredictor(("iou", "size"))
    with pytest.raises(ValueError, match="init must be one of"):
        SWNPredictor(init="ones")
