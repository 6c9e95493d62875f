"""DetectoRS_ResNet, DetectoRS_ResNeXt: equal to mmdet's, feedback as asked, freezing, bad input."""

import copy
import pickle

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from mmext.measure import bytes_kept_for_backward
from mmext.registry import MODELS
from tests.detection.detecto_rs.nets import (
    FEEDBACK,
    OUR_SAC,
    PLAIN,
    SAC,
    TINY,
    UPSTREAM,
    backbone,
    channels,
    evaluation,
    gradients,
    images,
    lively,
)

THREE_STAGES = dict(num_stages=3, out_indices=(0, 1, 2), strides=(1, 2, 2), dilations=(1, 1, 1))
GROUPED = dict(base_channels=16, groups=4, base_width=4)


def feedback(maps, seed=5):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(len(x), FEEDBACK, *x.shape[2:], generator=g) for x in maps]


class Fed(torch.nn.Module):
    """A backbone's forward with feedback as a module's forward."""

    def __init__(self, net, feats):
        super().__init__()
        self.net, self.feats = net, feats

    def forward(self, x):
        return self.net.rfp_forward(x, self.feats)


class TestParity:
    @pytest.mark.parametrize(
        ("kind", "ours", "theirs"),
        [
            ("ResNet", PLAIN, PLAIN),
            ("ResNet", SAC, SAC),
            ("ResNet", OUR_SAC, SAC),
            ("ResNeXt", {**OUR_SAC, **GROUPED}, {**SAC, **GROUPED}),
        ],
        ids=["plain", "mmcv-sac", "sac", "resnext-sac"],
    )
    def test_keys_outputs_and_gradients_are_mmdet_s(self, kind, ours, theirs):
        upstream = lively(backbone(UPSTREAM, kind, rfp_inplanes=FEEDBACK, **theirs))
        mine = backbone(kind=kind, rfp_inplanes=FEEDBACK, **ours)
        mine.load_state_dict(upstream.state_dict(), strict=True)
        upstream.load_state_dict(mine.state_dict(), strict=True)
        evaluation(mine.double(), upstream.double())
        x = images(1, 65, 96).double()
        assert_close(mine(x), upstream(x), rtol=1e-10, atol=1e-10)
        feats = [f.double() for f in feedback(mine(x))]
        (maps, grads), (their_maps, their_grads) = (
            gradients(Fed(m, feats), x) for m in (mine, upstream)
        )
        assert min(m.abs().mean() for m in maps) > 0.05
        assert_close(maps, their_maps, rtol=1e-10, atol=1e-10)
        for name, grad in their_grads.items():
            assert (grads[name] - grad).norm() <= 1e-8 * grad.norm(), name
            assert grad.abs().max() > 0, f"{name} plays no part in this test"

    @pytest.mark.parametrize(
        "cfg",
        [
            dict(depth=18),
            dict(depth=34, deep_stem=True),
            dict(depth=50, style="caffe"),
            dict(depth=50, deep_stem=True, avg_down=True),
            dict(
                depth=50,
                dcn=dict(type="DCNv2", deform_groups=1),
                stage_with_dcn=(False, False, True, True),
            ),
            dict(
                depth=50,
                plugins=[dict(cfg=dict(type="ContextBlock", ratio=0.25), position="after_conv3")],
                norm_cfg=dict(type="GN", num_groups=4),
            ),
        ],
        ids=["18", "34-deep-stem", "50-caffe", "50-d", "50-dcn", "50-plugin-gn"],
    )
    def test_without_the_paper_s_parts_it_is_mmdet_s_resnet(self, cfg):
        host = lively(
            MODELS.build(dict(type="mmdet.ResNet", base_channels=8, **copy.deepcopy(cfg)))
        )
        mine = backbone(base_channels=8, **cfg)
        mine.load_state_dict(host.state_dict(), strict=True)
        evaluation(host, mine)
        x = images(1)
        assert_close(mine(x), host(x), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("net", [TINY, PLAIN])
    def test_standardised_weights_of_a_plain_network_change_nothing(self, net):
        host = lively(MODELS.build(dict(type="mmdet.ResNet", **net)))
        mine = backbone(**net, conv_cfg=dict(type="mmext.ConvAWS"))
        assert mine.load_state_dict(host.state_dict()).missing_keys == []
        evaluation(host, mine)
        for ours, theirs in zip(mine(images()), host(images()), strict=True):
            assert (ours - theirs).norm() < 1e-5 * theirs.norm()

    @pytest.mark.parametrize("net", [TINY, PLAIN])
    def test_checkpointed_blocks_give_the_same(self, net):
        torch.manual_seed(0)
        plain, thrifty = (
            lively(backbone(**net, rfp_inplanes=FEEDBACK, with_cp=flag)) for flag in (False, True)
        )
        evaluation(plain, thrifty)
        x = images().requires_grad_()
        feats = feedback(plain(x))
        results = [gradients(Fed(m, feats), x) for m in (plain, thrifty)]
        assert_close(*results, rtol=1e-5, atol=1e-6)
        kept = [bytes_kept_for_backward(lambda m=m: m(x)) for m in (plain, thrifty)]
        assert kept[1] < 0.5 * kept[0]


class TestFeedback:
    @pytest.mark.parametrize(
        ("asked", "stages"),
        [
            (None, (1, 2, 3)),
            ((True, True, True, True), (0, 1, 2, 3)),
            ((False, False, False, True), (3,)),
            ((False,) * 4, ()),
        ],
    )
    def test_it_enters_the_first_block_of_the_stages_asked_for(self, asked, stages):
        net = backbone(**TINY, rfp_inplanes=FEEDBACK, stage_with_rfp=asked)
        assert net.rfp_stages == stages
        names = [name for name, _ in net.named_parameters() if "rfp_conv" in name]
        assert names == [
            f"layer{i + 1}.0.rfp_conv.{key}" for i in stages for key in ("weight", "bias")
        ]
        lively(net).eval()
        before = net(images())
        for stage in range(4):
            feats = [f if i == stage else None for i, f in enumerate(feedback(before))]
            if stage not in stages:
                continue
            only = backbone(
                **TINY, rfp_inplanes=FEEDBACK, stage_with_rfp=[i == stage for i in range(4)]
            ).eval()
            only.load_state_dict(net.state_dict(), strict=False)
            after = only.rfp_forward(images(), feats)
            changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            assert changed == [i >= stage for i in range(4)]

    @pytest.mark.parametrize("net", [TINY, PLAIN, OUR_SAC], ids=["18", "50", "sac"])
    def test_a_fresh_one_ignores_it(self, net):
        fresh = backbone(**net, rfp_inplanes=FEEDBACK).eval()
        maps = fresh(images())
        assert_close(fresh.rfp_forward(images(), feedback(maps)), maps, rtol=0, atol=0)

    @pytest.mark.parametrize("size", [(64, 96), (65, 33), (33, 65), (31, 70)])
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_any_size_and_precision_gives_finite_gradients(self, size, precision):
        net = backbone(**{**OUR_SAC, "depth": 50}, rfp_inplanes=FEEDBACK).eval()
        x = images(1, *size)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            maps = net(x)
            again = net.rfp_forward(x, feedback(maps))
        assert [m.shape for m in maps] == [m.shape for m in again]
        sum(m.float().mean() for m in again).backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())

    def test_the_image_comes_first_if_asked_for_and_the_backbone_goes_with_it(self):
        net = backbone(**TINY, output_img=True).eval()
        x = images()
        image, *maps = outs = net(x)
        assert image is x
        assert outs.backbone is net
        assert isinstance(outs, tuple)
        net.output_img = False
        assert_close(tuple(maps), net(x), rtol=0, atol=0)

    def test_copies_and_pickles_are_the_same(self):
        net = lively(backbone(**OUR_SAC, rfp_inplanes=FEEDBACK)).eval()
        feats = feedback(net(images()))
        expected = net.rfp_forward(images(), feats)
        for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert_close(twin.rfp_forward(images(), feats), expected, rtol=0, atol=0)

    def test_widths_are_told_to_the_neck(self):
        for cfg in (TINY, PLAIN, dict(TINY, out_indices=(1, 3))):
            net = backbone(**cfg).eval()
            assert net.level_channels == [x.shape[1] for x in net(images(1, 32, 32))]


class TestFreezing:
    @pytest.mark.parametrize("frozen_stages", [-1, 0, 1, 2])
    @pytest.mark.parametrize("norm_eval", [True, False])
    def test_frozen_stages_and_norms_stay_so(self, frozen_stages, norm_eval):
        net = backbone(
            **TINY, frozen_stages=frozen_stages, norm_eval=norm_eval, rfp_inplanes=FEEDBACK
        )
        assert net.eval() is net
        assert net.train() is net
        frozen = [["conv1", "bn1"], ["layer1"], ["layer2"]][: frozen_stages + 1]
        prefixes = tuple(name for names in frozen for name in names)
        for name, p in net.named_parameters():
            frozen = name.startswith(prefixes or "nothing") and "rfp_conv" not in name
            assert p.requires_grad is not frozen, name
        for name, m in net.named_modules():
            if isinstance(m, _BatchNorm):
                assert m.training is not (norm_eval or name.startswith(prefixes or "nothing")), name


class TestBadInput:
    @pytest.mark.parametrize(
        ("cfg", "message"),
        [
            (
                dict(depth=20),
                r"depth of DetectoRS_ResNet must be one of \(18, 34, 50, 101, 152\), got 20",
            ),
            (
                dict(rfp_inplanes=8, stage_with_rfp=(False, True)),
                "stage_with_rfp must have one entry for each",
            ),
            (
                dict(**THREE_STAGES, rfp_inplanes=8, stage_with_rfp=(False, True, True, True)),
                r"each of the 3 stages, got \(False, True, True, True\)",
            ),
            (
                dict(stage_with_rfp=(False, True, True, True)),
                "needs rfp_inplanes, the channels of the feed",
            ),
            (
                dict(stage_with_sac=(False, True, True, True)),
                "needs sac, a convolution's config, got None",
            ),
            (
                dict(sac=dict(type="mmext.SAC"), stage_with_sac=(True,)),
                "stage_with_sac must have one entry",
            ),
            (
                dict(init_cfg="a.pth"),
                "init_cfg must be None, a dict or a list of dicts with a type, got 'a.pth'",
            ),
            (
                dict(init_cfg=["a.pth"]),
                r"with a type, got \['a.pth'\]; a file goes into dict\(type='Pretr",
            ),
            (
                dict(init_cfg=dict(checkpoint="a.pth")),
                "a list of dicts with a type, got {'checkpoint'",
            ),
            (dict(init_cfg=dict(type="Pretrained")), "must have a checkpoint, a file, got {'type'"),
            (
                dict(init_cfg=dict(type="Pretrained", checkpoint="a"), pretrained="b"),
                "expected init_cfg or pretrained, got both",
            ),
            (
                dict(init_cfg=[dict(type="Pretrained", checkpoint="a")], pretrained="b"),
                "expected init_cfg or pretrained, got both",
            ),
        ],
    )
    def test_a_config_that_cannot_be_is_refused_with_a_sentence(self, cfg, message):
        with pytest.raises(ValueError, match=message):
            backbone(**{**TINY, **cfg})

    def test_a_stage_is_deformable_in_one_way(self):
        dcn = dict(
            dcn=dict(type="DCNv2", deform_groups=1), stage_with_dcn=(False, True, True, True)
        )
        with pytest.raises(ValueError, match="layer2 can use dcn or sac, got both"):
            backbone(
                **PLAIN, **dcn, sac=dict(type="mmext.SAC"), stage_with_sac=(False, True, True, True)
            )

    def test_resnext_has_no_18(self):
        with pytest.raises(
            ValueError, match=r"DetectoRS_ResNeXt must be one of \(50, 101, 152\), got 18"
        ):
            backbone(kind="ResNeXt", **TINY)

    def test_an_image_that_mmcv_s_sac_cannot_pad_is_refused(self):
        net = backbone(**SAC).eval()
        assert all(torch.isfinite(m).all() for m in net(images(1, 65, 65)))
        with pytest.raises(
            ValueError, match=r"at least 65 pixels high and wide, got \(96, 64\): SAC pads by"
        ):
            net(images(1, 96, 64))
        assert len(backbone(**OUR_SAC).eval()(images(1, 96, 64))) == 4

    @pytest.mark.xfail(strict=True, raises=RuntimeError, reason="mmdet's fails without saying why")
    def test_mmdet_s_takes_such_an_image(self):
        evaluation(net := backbone(UPSTREAM, **SAC))
        net(images(1, 96, 64))


@pytest.mark.xfail(
    strict=True, raises=KeyError, reason="mmdet knows bottlenecks only (defect A6.10)"
)
def test_mmdet_s_has_a_depth_of_18():
    backbone(UPSTREAM, **TINY)


def test_both_kinds_are_registered():
    for kind in ("DetectoRS_ResNet", "DetectoRS_ResNeXt"):
        assert MODELS.get(f"mmext.{kind}").__name__ == kind
    assert channels(**TINY) == [8, 16, 32, 64]
