"""Trunk and stages, weights and biases of a pose machine have rates of their own."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmext.errors import BadInputError
from mmext.landmarks.groups import cpm_groups
from mmext.landmarks.supervised import VGGCPM, CPMOptimWrapperConstructor, StackedHourglass

CFG = dict(
    constructor="mmext.CPMOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.5),
)


def test_each_parameter_has_its_factor():
    net = VGGCPM(5, width_mult=0.125)
    wrapper = build_optim_wrapper(net, CFG)
    rate = {
        id(p): (group["lr"], group["weight_decay"])
        for group in wrapper.optimizer.param_groups
        for p in group["params"]
    }
    expected = dict(
        features=((0.1, 0.5), (0.2, 0.0)),
        reduce=((0.1, 0.5), (0.2, 0.0)),
        stages=((0.4, 0.5), (0.8, 0.0)),
    )
    for name, parameter in net.named_parameters():
        weight, bias = expected[name.split(".")[0]]
        assert rate.pop(id(parameter)) == pytest.approx(bias if "bias" in name else weight), name
    assert not rate


def test_other_nets_beside_it_take_the_plain_rate_and_frozen_parameters_none():
    model = torch.nn.ModuleDict(
        dict(a=VGGCPM(5, width_mult=0.125), b=StackedHourglass(5, width_mult=0.125, num_stacks=1))
    )
    model.a.features[0].weight.requires_grad_(False)
    groups = {group["name"]: group for group in cpm_groups(model, 0.1, 0.5)}
    assert list(groups) == ["trunk_weight", "trunk_bias", "stage_weight", "stage_bias", "rest"]
    assert (groups["rest"]["lr"], groups["rest"]["weight_decay"]) == (0.1, 0.5)
    assert len(groups["rest"]["params"]) == len(list(model.b.parameters()))
    together = [p for group in groups.values() for p in group["params"]]
    assert len(together) == len(list(model.parameters())) - 1
    assert [group["name"] for group in cpm_groups(model.b, 0.1)] == ["rest"]


@pytest.mark.parametrize("optimizer", [dict(type="SGD"), None])
def test_an_optimizer_without_a_rate_is_refused(optimizer):
    with pytest.raises(BadInputError, match=r"expected a rate lr, .* got none; give one"):
        CPMOptimWrapperConstructor(dict(optimizer=optimizer))


def test_rates_of_ones_own_are_refused():
    with pytest.raises(ValueError, match="expected no paramwise_cfg, got one"):
        CPMOptimWrapperConstructor(CFG, dict(bias_lr_mult=2))
