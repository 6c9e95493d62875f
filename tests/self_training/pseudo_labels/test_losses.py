"""The joint loss and its running means: against a loop, and what they must not depend on."""

import math

import pytest
import torch

from mmext.self_training.pseudo_labels import joint_loss, loss_ratio, updated_means


def run(steps, decay=0.9997):
    """Means after steps of (L_h or None, L_p or None)."""
    sums = weights = torch.zeros(2)
    for step in steps:
        losses = torch.tensor([math.nan if one is None else one for one in step])
        seen = torch.tensor([one is not None for one in step])
        sums, weights = updated_means(sums, weights, losses, seen, decay=decay)
    return sums, weights


def oracle(values, decay):
    """Mean of what was seen, each weighted by how long ago that was."""
    seen = [one for one in values if one is not None]
    shares = [decay**age for age in reversed(range(len(seen)))]
    return sum(s * v for s, v in zip(shares, seen, strict=True)) / sum(shares)


def test_the_means_are_those_of_a_loop_and_an_absent_branch_keeps_its_own():
    g = torch.Generator().manual_seed(0)
    human, pseudo = torch.rand(2, 30, generator=g).tolist()
    pseudo[0] = pseudo[7] = human[9] = None
    sums, weights = run(zip(human, pseudo, strict=True), decay=0.9)
    expected = [oracle(human, 0.9), oracle(pseudo, 0.9)]
    torch.testing.assert_close(sums / weights, torch.tensor(expected))


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_constant_losses_give_the_human_one_from_the_first_step(alpha):
    for steps in (1, 2, 50):
        ratio = loss_ratio(*run([(2.0, 0.5)] * steps))
        total = joint_loss(torch.tensor(2.0), torch.tensor(0.5), ratio, alpha=alpha)
        assert abs(float(total) - 2) <= 1e-6


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_the_gradient_is_the_branches_own_and_none_flows_through_the_means(alpha):
    human, pseudo = (torch.tensor(x, requires_grad=True) for x in (2.0, 0.5))
    losses = torch.stack([human, pseudo])
    means = updated_means(
        torch.zeros(2), torch.zeros(2), losses.detach(), torch.ones(2, dtype=torch.bool), decay=0.9
    )
    joint_loss(human, pseudo, loss_ratio(*means), alpha=alpha).backward()
    torch.testing.assert_close(float(human.grad), 1 / (1 + alpha))
    torch.testing.assert_close(float(pseudo.grad), alpha / (1 + alpha) * 2 / 0.5)


def test_the_scale_of_the_pseudo_loss_changes_nothing_between_the_bounds():
    def total_and_gradient(scale):
        g = torch.Generator().manual_seed(1)
        seen = [(float(a), scale * float(b)) for a, b in torch.rand(40, 2, generator=g) + 0.5]
        pseudo = torch.tensor(0.7, requires_grad=True)
        total = joint_loss(
            torch.tensor(1.3), scale * pseudo, loss_ratio(*run(seen, decay=0.9)), alpha=1.0
        )
        total.backward()
        return torch.stack([total.detach(), pseudo.grad])

    for scale in (1 / 50, 50):
        torch.testing.assert_close(total_and_gradient(scale), total_and_gradient(1.0))


@pytest.mark.parametrize(("scale", "bound"), [(1e4, 0.01), (1e-4, 100.0)])
def test_the_ratio_is_bounded(scale, bound):
    assert float(loss_ratio(*run([(1.0, scale)]))) == pytest.approx(bound, rel=1e-7)


def test_a_branch_alone_counts_in_full():
    human, pseudo = torch.tensor(2.0), torch.tensor(0.5)
    assert joint_loss(human, None, torch.tensor(4.0), alpha=3.0) == 2
    assert joint_loss(None, pseudo, torch.tensor(4.0), alpha=3.0) == 2
    assert loss_ratio(*run([(2.0, None)] * 3)) == 1  # nothing to compare with yet
    with pytest.raises(ValueError, match="expected human or pseudo, got neither"):
        joint_loss(None, None, torch.tensor(1.0), alpha=1.0)


def test_a_loss_that_is_not_finite_leaves_the_means_alone():
    before = run([(2.0, 0.5)])
    after = run([(2.0, 0.5), (math.inf, math.nan)])
    torch.testing.assert_close(after, before)
