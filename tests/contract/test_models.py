"""What every part must bear, in the model of a small config that uses it."""

import copy
from functools import partial

import pytest
import torch
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from tests.contract.parts import host_of, name_of, small_configs, trained

CASES = {
    "usual": dict(counts=(4, 3)),
    "batch-of-one": dict(counts=(4,)),
    "one-image-empty": dict(counts=(0, 4)),
    "no-positives": dict(counts=(0, 0)),
    "all-ignored": dict(counts=(3, 3), ignored=True),
    "odd-size": dict(counts=(4, 3), size=(83, 117)),
}


@pytest.fixture(scope="module", params=small_configs(), ids=name_of)
def host_and_model(request):
    host = host_of(request.param)
    return host, host.build(request.param)


@pytest.fixture
def host(host_and_model):
    return host_and_model[0]


@pytest.fixture
def model(host_and_model):
    host_and_model[1].zero_grad(set_to_none=True)
    return host_and_model[1]


def gradients(host, model, data):
    """Loss and gradients of one step; the model is left without gradients."""
    model.zero_grad(set_to_none=True)
    loss = host.loss(model, data)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in trained(model)}


# In half precision, which costs CPUs ten times as much, the two that hold all kinds of images:
# with objects, empty beside others, and a batch without any.
STEPS = [("fp32", case) for case in CASES]
STEPS += [("bf16", "one-image-empty"), ("bf16", "no-positives")]


@pytest.mark.parametrize(("precision", "case"), STEPS)
def test_a_step_is_finite_and_reaches_every_parameter(host, model, case, precision):
    if precision == "bf16" and (why := host.why_not_bf16(model)):
        pytest.skip(why)
    data = host.batch(**CASES[case])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = host.loss(model, data)
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in trained(model):
        assert parameter.grad is not None, f"{name} has no gradient: two ranks would hang"
        assert torch.isfinite(parameter.grad).all(), name


def test_copies_and_reloads_are_the_same_model(host, model):
    data = host.batch(counts=(4, 3))
    twin, state = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    expected = gradients(host, model, copy.deepcopy(data))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    twin.load_state_dict(state, strict=True)
    assert_close(gradients(host, twin, copy.deepcopy(data)), expected, rtol=0, atol=0)
    before, after = (host.predictions(m, copy.deepcopy(data)) for m in (model, twin))
    assert_close(before, after, rtol=0, atol=0)


def test_activation_checkpointing_changes_nothing(host, model):
    data = host.batch(counts=(4, 3))
    twin = copy.deepcopy(model)
    expected = gradients(host, model, copy.deepcopy(data))
    ours = [m for m in twin.modules() if type(m).__module__.startswith("mmext.")]
    if not ours:
        pytest.skip("what mmext gives to this config is no module, and so cannot be checkpointed")
    for module in ours:
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    assert_close(gradients(host, twin, copy.deepcopy(data)), expected, rtol=1e-5, atol=1e-7)
