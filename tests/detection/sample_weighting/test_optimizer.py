"""One optimiser for both: it steps as its parts would, and returns from a checkpoint bit by bit."""

import copy
import pickle

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.optim.scheduler import MultiStepLR
from mmengine.registry import init_default_scope
from torch.testing import assert_close

from tests.detection.sample_weighting.roi_scenes import build, losses_of, scene

SGD = dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4)


def wrapper_of(model, **paramwise):
    init_default_scope("mmdet")
    cfg = dict(
        constructor="mmext.SWNOptimWrapperConstructor",
        optimizer=SGD,
        paramwise_cfg=paramwise,
        clip_grad=dict(max_norm=35, norm_type=2),
    )
    return build_optim_wrapper(model, cfg)


def train(model, wrapper, schedulers, steps):
    """Losses of some steps."""
    found = []
    for step in steps:
        torch.manual_seed(step)
        x = scene(seed=step)
        feats = torch.rand(len(x.labels), 4, 3, 3)
        cls_score, bbox_pred = model(feats)
        losses = losses_of(model, x._replace(cls_score=cls_score, bbox_pred=bbox_pred))
        total = sum(value for key, value in losses.items() if "loss" in key)
        wrapper.update_params(total)
        for scheduler in schedulers:
            scheduler.step()
        found.append(total.detach())
    return torch.stack(found)


def start():
    model = build(swn={})
    wrapper = wrapper_of(model)
    return model, wrapper, [MultiStepLR(wrapper, milestones=[4, 8], gamma=0.1, by_epoch=False)]


def test_it_steps_as_two_optimisers_would():
    model = build(swn={})
    twin = copy.deepcopy(model)
    found = train(model, wrapper_of(model), [], range(5))
    ours = list(twin.swn.parameters())
    rest = [p for p in twin.parameters() if all(p is not q for q in ours)]
    parts = [
        torch.optim.SGD(rest, lr=0.02, momentum=0.9, weight_decay=1e-4),
        torch.optim.Adam(ours, lr=1e-3, weight_decay=1e-4),
    ]

    class Both:
        def update_params(self, loss):
            twin.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 35)
            for part in parts:
                part.step()

    assert_close(train(twin, Both(), [], range(5)), found, rtol=0, atol=0)
    assert_close(dict(twin.state_dict()), dict(model.state_dict()), rtol=0, atol=0)


def test_it_resumes_bit_by_bit(tmp_path):
    model, wrapper, schedulers = start()
    train(model, wrapper, schedulers, range(5))
    kept = dict(
        model=model.state_dict(),
        optimizer=wrapper.state_dict(),
        schedulers=[s.state_dict() for s in schedulers],
    )
    torch.save(kept, tmp_path / "kept.pth")
    expected = train(model, wrapper, schedulers, range(5, 10))
    again, wrapper, schedulers = start()
    kept = torch.load(tmp_path / "kept.pth", weights_only=True)
    again.load_state_dict(kept["model"])
    wrapper.load_state_dict(kept["optimizer"])
    for scheduler, state in zip(schedulers, kept["schedulers"], strict=True):
        scheduler.load_state_dict(state)
    assert_close(train(again, wrapper, schedulers, range(5, 10)), expected, rtol=0, atol=0)
    assert_close(dict(again.state_dict()), dict(model.state_dict()), rtol=0, atol=0)


def test_its_state_holds_momentum_of_both():
    model, wrapper, schedulers = start()
    train(model, wrapper, schedulers, range(2))
    kinds = {key for state in wrapper.optimizer.state_dict()["state"].values() for key in state}
    assert {"momentum_buffer", "exp_avg", "exp_avg_sq"} <= kinds
    assert len(wrapper.optimizer.state_dict()["state"]) == len(list(model.parameters()))


def test_schedulers_reach_both_rates():
    model, wrapper, schedulers = start()
    train(model, wrapper, schedulers, range(5))
    assert wrapper.get_lr()["lr"] == pytest.approx([0.002, 1e-4])


def test_rules_for_parameters_hold_and_frozen_ones_stay():
    model = build(swn={})
    model.fc_cls.bias.requires_grad_(False)
    before = model.fc_cls.bias.clone()
    custom = {"fc_reg": dict(lr_mult=0.1)}
    wrapper = wrapper_of(model, swn=dict(type="AdamW", lr=3e-4), custom_keys=custom)
    rates = {
        id(p): group["lr"] for group in wrapper.optimizer.param_groups for p in group["params"]
    }
    assert rates[id(model.fc_reg.weight)] == pytest.approx(0.002)
    assert rates[id(model.fc_cls.weight)] == pytest.approx(0.02)
    assert rates[id(model.swn.predictor.last.weight)] == pytest.approx(3e-4)
    train(model, wrapper, [], range(2))
    assert torch.equal(model.fc_cls.bias, before)


RULES = {
    "nothing": ({}, 1, 1, 1),
    "key": (dict(custom_keys={"swn": dict(lr_mult=1)}), 1, 1, 1),
    "keys": (dict(custom_keys={"swn": dict(lr_mult=0.5, decay_mult=2.0)}), 0.5, 0.5, 2),
    "biases": (dict(bias_lr_mult=2.0), 1, 2, 1),
    "decays": (dict(flat_decay_mult=1.0, custom_keys={"fc_": dict(decay_mult=0.0)}), 1, 1, 1),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("swn", "lr", "decay"),
    [({}, 1e-3, 1e-4), (dict(swn=dict(type="AdamW", lr=3e-4, weight_decay=0.02)), 3e-4, 0.02)],
    ids=["authors", "AdamW"],
)
def test_rules_multiply_the_rates_of_the_optimiser_that_a_parameter_belongs_to(
    rule, swn, lr, decay
):
    """Seen before: Adam's network at SGD's 0.02."""
    paramwise, of_weights, of_biases, of_decay = RULES[rule]
    model = build(swn={})
    wrapper = wrapper_of(model, **swn, **paramwise)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group["params"]}
    last = model.swn.predictor.last
    assert groups[id(last.weight)]["lr"] == pytest.approx(lr * of_weights)
    assert groups[id(last.bias)]["lr"] == pytest.approx(lr * of_biases)
    assert groups[id(last.weight)]["weight_decay"] == pytest.approx(decay * of_decay)
    of_biases = 2 if "bias_lr_mult" in paramwise else 1
    assert groups[id(model.fc_cls.weight)]["lr"] == pytest.approx(0.02)
    assert groups[id(model.fc_cls.bias)]["lr"] == pytest.approx(0.02 * of_biases)
    assert len(groups) == len(list(model.parameters()))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_train_on_as_the_original_does(copied):
    """Seen before: a copy had lost its parts."""
    model, wrapper, schedulers = start()
    train(model, wrapper, schedulers, range(2))
    twin, optimizer = copied((model, wrapper.optimizer))
    assert all(part.state is optimizer.state for part in optimizer.parts)
    expected = train(model, wrapper, [], range(2, 4))
    wrapper.optimizer = optimizer
    assert_close(train(twin, wrapper, [], range(2, 4)), expected, rtol=0, atol=0)
    assert_close(dict(twin.state_dict()), dict(model.state_dict()), rtol=0, atol=0)


def test_a_frozen_detector_leaves_the_network_alone_to_train():
    model = build(swn={})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("swn."))
    wrapper = wrapper_of(model)
    assert [group["lr"] for group in wrapper.optimizer.param_groups] == [1e-3]


def test_a_model_without_a_network_is_refused():
    with pytest.raises(ValueError, match="expects a model with a sample weighting network"):
        wrapper_of(build("Shared2FCBBoxHead"))
