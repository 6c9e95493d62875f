"""The gradient through one update: against autograd, and that it finds a rate."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper

from mmext.errors import BadInputError
from mmext.search.autohas.decisions import Decision
from mmext.search.autohas.differentiable import (
    DifferentiableHASLoop,
    slopes_of,
    straight_through,
)
from mmext.search.reinforce import softmax
from tests.search.autohas.small_run import BEST, LR, RATES, Net, loop_of

DECAY = "optim_wrapper.optimizer.weight_decay"


def test_gradient_of_the_logits_is_that_of_the_relaxed_choice():
    theta, noise = np.array([0.2, -0.4, 1.0]), np.array([0.1, 2.0, -0.3])
    slopes, step = np.array([1.0, -2.0, 0.5]), 1e-6
    choice, found = straight_through(theta, noise, slopes, tau=0.7)
    assert choice == 1

    def relaxed(at):
        return softmax((at + noise) / 0.7) @ slopes

    by_difference = [
        (relaxed(theta + step * e) - relaxed(theta - step * e)) / (2 * step) for e in np.eye(3)
    ]
    np.testing.assert_allclose(found, by_difference, atol=1e-8)


def test_slopes_of_a_basis():
    log = Decision("a", (0.1, 1.0, 10.0), "log")
    np.testing.assert_allclose(slopes_of(log, 0.2), np.log([0.1, 1, 10]))  # dL/dlog h is 1
    linear = Decision("a", (0.0, 2.0), "linear")
    np.testing.assert_allclose(slopes_of(linear, 0.4), [0.0, 2.0])  # dL/dh is 1


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_change_of_the_loss_is_that_of_autograd(tmp_path, momentum):
    """For SGD the update can be written down and differentiated."""
    space = {LR: dict(basis=[0.05, 0.5]), DECAY: dict(basis=[0.0, 0.1])}

    def sgd(model):
        return OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum))

    model = Net().double()
    loop = loop_of(
        tmp_path, space=space, model=model, optimiser=sgd, kind=DifferentiableHASLoop, cap=1e9
    )
    loop._prepare()
    _, (data,), _, validation = loop.batches()
    data, validation = (dict(x, inputs=x["inputs"].double()) for x in (data, validation))
    values = {LR: 0.2, DECAY: 0.05}
    h = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in values.items()}
    weights = dict(model.named_parameters())
    slopes = torch.autograd.grad(model(**data)["loss"], list(weights.values()))
    # The first step of momentum is the plain gradient.
    after = {
        name: w.detach() - h[LR] * (g + h[DECAY] * w.detach())
        for (name, w), g in zip(weights.items(), slopes, strict=True)
    }
    loss = torch.func.functional_call(model, after, (), validation)["loss"]
    d_lr, d_decay = (x.item() for x in torch.autograd.grad(loss, [h[LR], h[DECAY]]))

    loop.snapshot.take()
    loop._update(data, values)
    found, toward = loop._validation_gradient(validation)
    assert found == pytest.approx(loss.item(), rel=1e-6)
    rate, decay = loop.decisions
    change = loop._change(data, values, rate, toward)
    # d/dlog h over two steps of 0.1; sinh is what a central difference makes of an exponential.
    assert change == pytest.approx(2 * np.sinh(0.1) * 0.2 * d_lr, rel=1e-5)
    change = loop._change(data, values, decay, toward)
    assert change == pytest.approx(2 * 0.1 * 0.1 * d_decay, rel=1e-5)


def test_it_finds_a_rate_within_a_decade_of_the_best(tmp_path):
    loop = loop_of(
        tmp_path,
        steps=200,
        space={LR: dict(basis=RATES[1:5])},
        kind=DifferentiableHASLoop,
        controller=dict(delay=0.0),
    )
    loop.run()
    assert abs(1 + loop.controller.policy.mode()[LR] - BEST) <= 1


def test_what_is_not_smooth_is_refused(tmp_path):
    loop = loop_of(tmp_path, space={LR: dict(choices=[0.1, 1.0])}, kind=DifferentiableHASLoop)
    with pytest.raises(BadInputError, match="expected numbers with a basis, got choices"):
        loop.run()
    with pytest.raises(BadInputError, match="tau expected a number above 0"):
        loop_of(tmp_path, kind=DifferentiableHASLoop, tau=0.0)
