"""One optimizer a member, with the pose machine's rates, and precision for all by one word."""

import pytest
import torch
from mmengine.config import Config

from mmext.engine import amp
from mmext.errors import BadInputError
from mmext.landmarks.ts3.optimizers import TS3OptimWrapperConstructor
from tests.landmarks.ts3.faces import model

SGD = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.01)


@pytest.fixture(scope="module")
def net():
    return model()


def test_each_member_has_an_optimizer_of_all_its_parameters(net):
    found = TS3OptimWrapperConstructor(
        dict(
            student_a=dict(optimizer=SGD),
            student_b=dict(optimizer=dict(type="RMSprop", lr=0.2)),
            teacher=dict(optimizer=dict(type="Adam", lr=0.3), clip_grad=dict(max_norm=1.0)),
        )
    )(net)
    kinds = {name: type(found[name].optimizer) for name in found.keys()}  # noqa: SIM118
    assert kinds == dict(
        student_a=torch.optim.SGD, student_b=torch.optim.RMSprop, teacher=torch.optim.Adam
    )
    for name in kinds:
        trained = {id(p) for group in found[name].optimizer.param_groups for p in group["params"]}
        assert trained == {id(p) for p in getattr(net, name).parameters()}
    assert found["teacher"].clip_grad_kwargs == dict(max_norm=1.0)
    assert found["student_a"].clip_grad_kwargs is None


def test_a_pose_machine_gets_its_rates_and_the_others_do_not(net):
    found = TS3OptimWrapperConstructor(dict(optimizer=SGD))(net)
    rates = {group["name"]: group["lr"] for group in found["student_a"].optimizer.param_groups}
    assert rates == pytest.approx(
        dict(trunk_weight=0.1, trunk_bias=0.2, stage_weight=0.4, stage_bias=0.8)
    )
    decays = {
        group["name"]: group["weight_decay"] for group in found["student_a"].optimizer.param_groups
    }
    assert decays["stage_weight"] == 0.01
    assert decays["stage_bias"] == 0
    for other in ("student_b", "teacher"):
        assert {group["lr"] for group in found[other].optimizer.param_groups} == {0.1}


def test_a_members_own_paramwise_cfg_is_mmengines(net):
    plain = dict(optimizer=SGD, paramwise_cfg=dict(bias_decay_mult=0.0))
    found = TS3OptimWrapperConstructor(dict(optimizer=SGD, student_a=plain))(net)
    groups = found["student_a"].optimizer.param_groups
    assert {group["lr"] for group in groups} == {0.1}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.01}


def test_amp_sets_the_precision_of_all_members(net):
    cfg = Config(
        dict(
            optim_wrapper=dict(
                type="OptimWrapper",
                constructor="mmext.TS3OptimWrapperConstructor",
                student_a=dict(optimizer=SGD),
                student_b=dict(optimizer=SGD),
                teacher=dict(optimizer=SGD),
            )
        )
    )
    amp.use(cfg, "bfloat16")
    wrapper = dict(cfg.optim_wrapper)
    wrapper.pop("constructor")
    found = TS3OptimWrapperConstructor(wrapper)(net)
    assert {type(one) for one in found.values()} == {amp.Bfloat16OptimWrapper}
    wrapper["teacher"]["type"] = "OptimWrapper"
    found = TS3OptimWrapperConstructor(wrapper)(net)
    assert type(found["teacher"]) is not amp.Bfloat16OptimWrapper


def test_a_member_without_an_optimizer_is_refused():
    with pytest.raises(BadInputError, match=r"an optimizer for .* got none for student_b, teacher"):
        TS3OptimWrapperConstructor(dict(student_a=dict(optimizer=SGD)))
    with pytest.raises(BadInputError, match=r"got none for student_a, student_b, teacher; add"):
        TS3OptimWrapperConstructor(dict(type="OptimWrapper"))


def test_it_builds_as_often_as_it_is_asked(net):
    build = TS3OptimWrapperConstructor(dict(optimizer=SGD, student_b=dict(paramwise_cfg={})))
    first, second = build(net), build(net)
    for name, one in first.items():
        rates = [[g["lr"] for g in w.optimizer.param_groups] for w in (one, second[name])]
        assert rates[0] == rates[1]
