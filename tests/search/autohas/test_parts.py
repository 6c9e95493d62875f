"""Choice, snapshots, batches of validation, the controller's rates."""

import numpy as np
import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from torch import nn

from mmext.errors import BadInputError
from mmext.search.autohas.batches import annotations_first, validation_loader, without_augments
from mmext.search.autohas.controller import Controller
from mmext.search.autohas.decisions import Decision
from mmext.search.autohas.knobs import choice_decisions
from mmext.search.autohas.snapshot import Snapshot

TWO = [dict(type="mmext.MLPBackbone", in_shape=(1, 4, 4), widths=(w,)) for w in (2, 3)]


def test_a_choice_is_the_active_module_and_searched_by_its_place():
    model = nn.Module()
    model.backbone = MODELS.build(dict(type="mmext.Choice", choices=TWO, active=1))
    x = torch.rand(2, 1, 4, 4)
    assert model.backbone(x)[0].shape == (2, 3)
    model.backbone.active = 0
    assert model.backbone(x)[0].shape == (2, 2)
    assert choice_decisions(model) == [Decision("model.backbone", (0, 1), None)]
    assert "active=0" in repr(model)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(choices=TWO[:1]), "choices of Choice must be two modules or more, got 1"),
        (dict(choices=TWO, active=2), "active of Choice must be from 0 to 1, got 2"),
    ],
)
def test_choices_that_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        MODELS.build(dict(type="mmext.Choice", **options))


def test_a_first_step_is_taken_back_with_the_state_that_it_made():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    wrapper = OptimWrapper(torch.optim.Adam(net.parameters(), lr=0.1))
    snapshot = Snapshot(net, wrapper)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    snapshot.take()
    wrapper.update_params(net(torch.randn(4, 3)).square().sum())
    wrapper.optimizer.param_groups[0]["lr"] = 5.0
    net[1].running_mean = torch.full((3,), 7.0)  # another tensor in the place of the buffer
    snapshot.restore()
    assert not wrapper.optimizer.state
    assert wrapper.optimizer.param_groups[0]["lr"] == 0.1
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_loss_scale_is_taken_back():
    net = nn.Linear(3, 3)
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1))
    wrapper.loss_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    wrapper.loss_scaler.scale(torch.ones(()))  # makes the scale
    snapshot = Snapshot(net, wrapper)
    snapshot.take()
    wrapper.loss_scaler.update(2.0)
    snapshot.restore()
    assert wrapper.loss_scaler.get_scale() == 1024.0


def test_annotations_come_before_sizes_and_other_pipelines_stay():
    names = ["LoadImageFromFile", "Resize", "mmdet.LoadAnnotations", "PackDetInputs"]
    found = annotations_first([dict(type=name) for name in names])
    assert [one["type"] for one in found] == [names[0], names[2], names[1], names[3]]
    plain = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
    assert annotations_first(plain) == plain


def test_validation_batches_are_like_those_of_training():
    config = dict(
        batch_size=1,
        drop_last=False,
        batch_sampler=dict(type="AspectRatioBatchSampler"),
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type="RepeatDataset",
            dataset=dict(
                pipeline=[dict(type=n) for n in ("LoadImage", "Resize", "LoadAnnotations")]
            ),
        ),
    )
    found = validation_loader(config, 8)
    assert found["batch_size"] == 8
    assert found["sampler"] == dict(type="mmengine.InfiniteSampler", shuffle=True)
    inner = found["dataset"]["dataset"]["pipeline"]
    assert [one["type"] for one in inner] == ["LoadImage", "LoadAnnotations", "Resize"]
    assert config["dataset"]["dataset"]["pipeline"][1]["type"] == "Resize"
    with pytest.raises(BadInputError, match="expected val_dataloader in the config"):
        validation_loader(None, 8)


def test_mixtures_are_left_out_for_a_while():
    preprocessor = ImgDataPreprocessor()
    preprocessor.batch_augments = nn.ModuleList([nn.Identity()])
    with without_augments(preprocessor):
        assert preprocessor.batch_augments is None
    assert len(preprocessor.batch_augments) == 1


def made(total: int, **options) -> Controller:
    return Controller([Decision("a", (1.0, 2.0, 3.0), "log")], total, seed=100, **options)


def test_rates_of_short_searches_are_constant_after_a_tenth_and_ramp_in_long_ones():
    short, long = made(100), made(100_000)
    assert [short.rate(step) for step in (0, 9, 10, 99)] == [0.0, 0.0, 0.1, 0.1]
    assert long.rate(24_999) == 0
    np.testing.assert_allclose([long.rate(25_000), long.rate(100_000)], [3e-4, 3e-3])
    given = made(100_000, learning_rate=0.2, delay=0.5)
    assert [given.rate(step) for step in (49_999, 50_000)] == [0.0, 0.2]


def test_likeliest_combinations_against_all_of_them():
    controller = Controller([Decision("a", (1, 2, 3), None), Decision("b", (1, 2), None)], 10, 0)
    controller.policy.logits.update(a=np.array([0.0, 1.0, 0.5]), b=np.array([0.1, 0.3]))
    scores = {
        (i, j): controller.policy.logits["a"][i] + controller.policy.logits["b"][j]
        for i in range(3)
        for j in range(2)
    }
    best = sorted(scores, key=scores.get, reverse=True)[:4]
    assert [(one["a"], one["b"]) for one in controller.likeliest(4)] == best
    assert controller.likeliest(1) == [controller.policy.mode()]


def test_entropy_is_one_at_the_start_and_nearly_nothing_at_the_end():
    controller = made(10)
    assert controller.entropy() == pytest.approx(1.0)
    controller.policy.logits["a"][:] = [0.0, 0.0, 50.0]
    assert controller.entropy() < 1e-10
