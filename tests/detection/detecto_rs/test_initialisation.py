"""Backbones' start: what the paper adds is an identity, with or without a file of plain weights."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import PretrainedInit
from torch.testing import assert_close

from mmext.errors import BadInputError
from tests.detection.detecto_rs.nets import (
    FEEDBACK,
    OUR_SAC,
    PLAIN,
    SAC,
    TINY,
    UPSTREAM,
    backbone,
    evaluation,
    images,
    lively,
    plain_file,
)

NETS = pytest.mark.parametrize("net", [OUR_SAC, SAC], ids=["ours", "mmcv's"])


@pytest.fixture
def log(caplog):
    """Messages of mmengine's logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger=logger.name)
    yield caplog
    logger.removeHandler(caplog.handler)


def not_identity(net):
    """Names of the paper's tensors that do not hold an identity's value."""
    wrong = []
    for name, p in net.named_parameters():
        expected = 1 if name.endswith("switch.bias") else 0
        parts = ("rfp_conv", "switch", "context", "offset", "weight_diff")
        if any(part in name for part in parts) and not p.eq(expected).all():
            wrong.append(name)
    return wrong


class TestIdentity:
    @NETS
    @pytest.mark.parametrize("with_file", [False, True])
    def test_what_the_paper_adds_starts_as_one(self, net, with_file, tmp_path, log):
        pretrained = plain_file(tmp_path, PLAIN)[0] if with_file else None
        mine = lively(backbone(**net, rfp_inplanes=FEEDBACK, pretrained=pretrained))
        assert len(not_identity(mine)) == 13 * 11 + 6
        mine.init_weights()
        assert not_identity(mine) == []
        (line,) = [r.message for r in log.records if "new layers" in r.message]
        assert line.endswith("16 new layers keep their identity init (13 SAC, 3 rfp_conv)")
        assert (pretrained or "random weights") in line
        assert not any("missing" in r.message or r.levelno > logging.INFO for r in log.records)

    @NETS
    def test_from_a_classifier_s_weights_it_computes_what_the_classifier_computes(
        self, net, tmp_path
    ):
        file, classifier = plain_file(tmp_path, PLAIN)
        mine = backbone(**net, pretrained=file)
        mine.init_weights()
        for ours, theirs in zip(
            evaluation(mine)(images(1, 65, 65)), classifier(images(1, 65, 65)), strict=True
        ):
            assert (ours - theirs).norm() < 1e-5 * theirs.norm()

    @NETS
    @pytest.mark.parametrize("zero_init_residual", [True, False])
    def test_random_weights_give_maps_of_a_sane_size(self, net, zero_init_residual):
        torch.manual_seed(0)
        mine = backbone(**net, rfp_inplanes=FEEDBACK, zero_init_residual=zero_init_residual)
        mine.init_weights()
        maps = mine.train()(images(1, 65, 96))
        assert all(0 < m.abs().max() < 1e3 for m in maps)

    @pytest.mark.parametrize(
        "net", [TINY, OUR_SAC, dict(OUR_SAC, depth=34)], ids=["18", "50-sac", "34-sac"]
    )
    def test_random_weights_are_drawn_as_mmdet_draws_a_resnet_s(self, net):
        mine = lively(backbone(**net))
        mine.init_weights()
        block = mine.layer2[1]
        assert getattr(block, block.LAST_NORM).weight.eq(0).all()
        assert block.norm1.weight.eq(1).all()
        weight = mine.layer4[1].conv2.weight
        assert weight.std().item() == pytest.approx((2 / (9 * len(weight))) ** 0.5, rel=0.05)
        if hasattr(block.conv1, "weight_gamma"):
            w = block.conv1.weight
            sd = (w.flatten(1).var(1) + 1e-5).sqrt()
            assert_close(block.conv1.weight_gamma.flatten(), sd)
            assert_close(
                block.conv1.weight_beta.flatten(), w.flatten(1).mean(1), atol=1e-7, rtol=1e-4
            )

    def test_plugins_and_deformable_convolutions_keep_theirs(self):
        mine = backbone(
            **PLAIN,
            dcn=dict(type="DCNv2", deform_groups=1),
            stage_with_dcn=(False, False, False, True),
            plugins=[dict(cfg=dict(type="ContextBlock", ratio=0.25), position="after_conv3")],
        )
        mine.init_weights()
        assert mine.layer4[0].conv2.conv_offset.weight.eq(0).all()
        assert mine.layer1[0].context_block.channel_add_conv[-1].weight.eq(0).all()


class TestFiles:
    def test_what_a_file_holds_of_the_paper_s_parts_is_loaded(self, tmp_path, log):
        trained = lively(backbone(**OUR_SAC, rfp_inplanes=FEEDBACK))
        torch.save(dict(state_dict=trained.state_dict(), meta={}), tmp_path / "a.pth")
        mine = backbone(**OUR_SAC, rfp_inplanes=FEEDBACK, pretrained=str(tmp_path / "a.pth"))
        mine.init_weights()
        assert_close(dict(mine.state_dict()), dict(trained.state_dict()), rtol=0, atol=0)
        assert any("a.pth; 0 new layers" in r.message for r in log.records)

    def test_without_feedback_in_the_file_only_feedback_is_new(self, tmp_path, log):
        trained = lively(backbone(**OUR_SAC))
        torch.save(trained.state_dict(), tmp_path / "a.pth")
        init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "a.pth"))
        mine = backbone(**OUR_SAC, rfp_inplanes=FEEDBACK, init_cfg=init_cfg)
        mine.init_weights()
        assert all(
            "rfp_conv" in name
            for name in not_identity(lively(mine))
            if name not in trained.state_dict()
        )
        assert any(
            "3 new layers keep their identity init (3 rfp_conv)" in r.message for r in log.records
        )

    @pytest.mark.parametrize("prefix", ["backbone", "backbone.", "module.backbone."])
    def test_a_detector_s_backbone_is_found_below_its_prefix(self, prefix, tmp_path):
        _, classifier = plain_file(tmp_path)
        weights = {f"backbone.{key}": value for key, value in classifier.state_dict().items()}
        wrapped = {f"module.{key}": value for key, value in weights.items()}
        torch.save(dict(state_dict=wrapped if "module" in prefix else weights), tmp_path / "a.pth")
        init_cfg = dict(
            type="Pretrained",
            checkpoint=str(tmp_path / "a.pth"),
            prefix=prefix.removeprefix("module."),
        )
        mine = backbone(**TINY, init_cfg=init_cfg)
        mine.init_weights()
        assert_close(dict(mine.state_dict()), dict(classifier.state_dict()), rtol=0, atol=0)

    def test_a_net_of_fewer_stages_takes_what_it_has(self, tmp_path):
        file, classifier = plain_file(tmp_path)
        three = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))
        mine = backbone(**TINY, **three, pretrained=file)
        mine.init_weights()
        assert_close(mine.eval()(images())[0], classifier(images())[2])

    @pytest.mark.parametrize(
        ("other", "got"),
        [
            (dict(depth=34, base_channels=8), r"unknown \(layer1.2.bn1.bias, "),
            (dict(depth=50, base_channels=8), r"missing|of another shape"),
            (dict(depth=18, base_channels=16), r"of another shape \(.*\(16,\) instead of \(8,\)"),
        ],
        ids=["deeper", "other-blocks", "wider"],
    )
    def test_one_of_another_architecture_is_refused_with_a_sentence(self, other, got, tmp_path):
        file, _ = plain_file(tmp_path, other)
        message = (
            r"resnet.pth: expected the weights of a DetectoRS_ResNet of depth 18 "
            r"with base_channels=8, got"
        )
        with pytest.raises(
            BadInputError, match=f"{message}.*({got}).*; give a file of the same architecture"
        ):
            backbone(**TINY, pretrained=file).init_weights()

    def test_a_shallower_one_too(self, tmp_path):
        file, _ = plain_file(tmp_path)
        with pytest.raises(
            BadInputError, match=r"got \d+ missing \(layer1.2.bn1.bias, .* more\); give"
        ):
            backbone(depth=34, base_channels=8, pretrained=file).init_weights()

    def test_a_whole_detector_s_file_without_its_prefix_is_refused_with_the_cure(self, tmp_path):
        _, classifier = plain_file(tmp_path)
        torch.save(
            {f"backbone.{k}": v for k, v in classifier.state_dict().items()}, tmp_path / "a.pth"
        )
        with pytest.raises(
            BadInputError, match=r"missing .*, or prefix='backbone.' for a detector's"
        ):
            backbone(**TINY, pretrained=str(tmp_path / "a.pth")).init_weights()

    def test_one_that_is_not_there_is_named(self):
        with pytest.raises(BadInputError, match=r"nowhere.pth: not found"):
            backbone(**TINY, pretrained="nowhere.pth").init_weights()


def forms(file):
    """The ways to say that a file is to be loaded."""
    one = dict(type="Pretrained", checkpoint=file)
    by_class = dict(one, type=PretrainedInit)
    drawn = dict(type="Kaiming", layer="Conv2d")
    return [
        one,
        [one],
        [one, drawn],
        by_class,
        [drawn, by_class],
        dict(one, type="mmengine.Pretrained"),
    ]


class TestForms:
    @pytest.mark.parametrize("form", range(7))
    @NETS
    def test_a_trained_start_is_kept_in_every_form(self, net, form, tmp_path):
        trained = lively(backbone(**net, rfp_inplanes=FEEDBACK))
        file = str(tmp_path / "a.pth")
        torch.save(trained.state_dict(), file)
        start = dict(pretrained=file) if form == 6 else dict(init_cfg=forms(file)[form])
        mine = backbone(**net, rfp_inplanes=FEEDBACK, **start)
        mine.init_weights()
        assert_close(dict(mine.state_dict()), dict(trained.state_dict()), rtol=0, atol=0)

    @NETS
    def test_other_initialisers_draw_and_leave_identities(self, net):
        drawn = dict(type="Constant", layer=["Conv2d", "ConvAWS", "ConvAWS2d"], val=0.5)
        mine = backbone(**net, rfp_inplanes=FEEDBACK, init_cfg=drawn)
        mine.init_weights()
        assert not_identity(mine) == []
        assert mine.layer1[0].conv1.weight.eq(0.5).all()
        assert_close(mine.layer1[0].conv1.weight_beta.flatten(), torch.full((8,), 0.5))

    def test_frozen_stages_leave_what_no_file_brought_free(self, tmp_path):
        net = dict(OUR_SAC, rfp_inplanes=FEEDBACK, frozen_stages=4)
        torch.save(lively(backbone(**OUR_SAC)).state_dict(), tmp_path / "sac.pth")
        mine = backbone(**net, pretrained=str(tmp_path / "sac.pth"))
        mine.init_weights()
        free = {name for name, p in mine.train().named_parameters() if p.requires_grad}
        assert free == {
            f"layer{i}.0.rfp_conv.{key}" for i in (2, 3, 4) for key in ("weight", "bias")
        }
        random = backbone(**net)
        random.init_weights()
        free = {name for name, p in random.train().named_parameters() if p.requires_grad}
        assert len(free) == 6 + 13 * 11
        assert not any(name.endswith("conv2.weight") for name in free)
        random.requires_grad_(False).train()
        assert not any(p.requires_grad for p in random.parameters())


class TestUpstream:
    """Witnesses: when one of these passes, mmdet has mended the defect."""

    @pytest.mark.xfail(
        strict=True, raises=AssertionError, reason="rfp_conv keeps random weights (defect A6.1)"
    )
    def test_mmdet_s_feedback_starts_as_an_identity(self, tmp_path):
        file, _ = plain_file(tmp_path, PLAIN)
        net = backbone(UPSTREAM, **PLAIN, rfp_inplanes=FEEDBACK, pretrained=file)
        net.init_weights()
        assert not_identity(net) == []

    @pytest.mark.xfail(
        strict=True, raises=AssertionError, reason="every convolution is drawn anew (defect A6.3)"
    )
    def test_mmdet_s_switches_start_as_an_identity_without_a_file(self):
        net = backbone(UPSTREAM, **SAC)
        assert not_identity(net) == []  # else this would witness something else
        net.init_weights()
        assert not_identity(net) == []
