"""RFPFeedback: recursion for backbones that know nothing of it: Swin and the test's ConvNeXt."""

import copy
import pickle

import pytest
import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import nn
from torch.testing import assert_close

from mmext.detection.detecto_rs.feedback import RFPFeedback
from mmext.registry import MODELS
from tests.detection.detecto_rs.nets import (
    FEEDBACK,
    FPN,
    PLAIN,
    Detector,
    backbone,
    evaluation,
    gradients,
    images,
    lively,
)


class Block(nn.Module):
    """Of a ConvNeXt: a wide depthwise convolution, then a small network at each place."""

    def __init__(self, dim, channels_last):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.channels_last = channels_last

    def forward(self, x):
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        y = x + self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return y.permute(0, 2, 3, 1) if self.channels_last else y


class TinyConvNeXt(BaseModule):
    """Four stages of two blocks; with ``channels_last`` the blocks hand on (B, H, W, C)."""

    def __init__(self, dims=(8, 16, 24, 32), channels_last=False):
        super().__init__()
        self.channels_last = channels_last
        before = (3, *dims[:-1])
        self.downsample = nn.ModuleList(
            nn.Conv2d(a, b, 4 if i == 0 else 2, 4 if i == 0 else 2, padding=1)
            for i, (a, b) in enumerate(zip(before, dims, strict=True))
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(d, channels_last) for _ in range(2))) for d in dims
        )

    def forward(self, x):
        maps = []
        for down, stage in zip(self.downsample, self.stages, strict=True):
            x = down(x)
            y = stage(x.permute(0, 2, 3, 1) if self.channels_last else x)
            x = y.permute(0, 3, 1, 2) if self.channels_last else y
            maps.append(x)
        return maps


@pytest.fixture(autouse=True, scope="module")
def registered():
    """The test's ConvNeXt can be named in a config as long as these tests run."""
    MODELS.register_module(name="TinyConvNeXt", module=TinyConvNeXt)
    yield
    del MODELS._module_dict["TinyConvNeXt"]


SWIN = dict(
    type="mmdet.SwinTransformer",
    embed_dims=8,
    depths=(2, 2, 2, 2),
    num_heads=(1, 2, 2, 4),
    window_size=4,
    drop_path_rate=0.0,
)
CASES = {  # backbone, names of its stages' first blocks, widths, layout
    "swin": (SWIN, "stages.{}.blocks.0", (8, 16, 32, 64), "NLC"),
    "convnext": (dict(type="mmext.TinyConvNeXt"), "stages.{}.0", (8, 16, 24, 32), "NCHW"),
    "convnext-nhwc": (
        dict(type="mmext.TinyConvNeXt", channels_last=True),
        "stages.{}.0",
        (8, 16, 24, 32),
        "NHWC",
    ),
}
ALL = pytest.mark.parametrize("case", CASES)


def wrapped(case, feedback=True, stages=(1, 2, 3), **cfg):
    net, name, widths, layout = CASES[case]
    where = dict(
        stages=tuple(name.format(i) if i in stages else None for i in range(4)),
        channels=tuple(widths[i] if i in stages else None for i in range(4)),
        rfp_inplanes=FEEDBACK,
        layout=layout,
    )
    return dict(
        type="mmext.RFPFeedback", backbone=copy.deepcopy(net), **(where if feedback else {}), **cfg
    )


def build(cfg, seed=0):
    torch.manual_seed(seed)
    net = MODELS.build(cfg)
    for p in net.backbone.parameters():  # fresh ones are so small that feedback would drown
        nn.init.normal_(p, std=0.3) if p.ndim > 1 else None
    return net


def detector(case, sharing=False, **neck):
    """Two backbones of equal weights, or one, and the pyramid."""
    first = build(wrapped(case, feedback=sharing, output_img=True))
    later = dict(rfp_sharing=True) if sharing else dict(rfp_backbone=wrapped(case))
    cfg = dict(
        type="mmext.RFP", in_channels=list(CASES[case][2]), aspp_out_channels=FEEDBACK // 4, **FPN
    )
    model = Detector(first, MODELS.build({**cfg, **later, **neck}))
    for part in model.neck.rfp_modules:
        part.backbone.load_state_dict(first.backbone.state_dict())
    return model.eval()


@torch.no_grad()
def fed(model):
    """The model with feedback and fusion that do something."""
    g = torch.Generator().manual_seed(2)
    for name, p in model.named_parameters():
        if any(part in name for part in ("rfp_convs", "rfp_aspp", "rfp_weight")):
            p.copy_(0.1 * torch.randn(p.shape, generator=g))
    return model


def feedback(net, x):
    """Feedback for each of the net's maps."""
    g = torch.Generator().manual_seed(1)
    return [torch.randn(len(y), FEEDBACK, *y.shape[2:], generator=g) for y in net(x)]


class TestFeedback:
    @ALL
    @pytest.mark.parametrize("size", [(64, 96), (61, 45)])
    def test_fresh_feedback_changes_nothing_and_any_other_does(self, case, size):
        net = build(wrapped(case)).eval()
        x = images(2, *size)
        before, feats = net(x), feedback(net, x)
        assert_close(net.rfp_forward(x, feats), before, rtol=0, atol=0)
        after = fed(net).rfp_forward(x, feats)
        changed = [(a - b).abs().max().item() for a, b in zip(before, after, strict=True)]
        assert changed[0] == 0
        assert min(changed[1:]) > 0.01
        assert_close(net(x), before, rtol=0, atol=0)  # and nothing is left of it

    @ALL
    @pytest.mark.parametrize("stage", [0, 2])
    def test_it_enters_where_it_is_asked_to(self, case, stage):
        net = fed(build(wrapped(case, stages=(stage,)))).eval()
        x = images()
        before, after = net(x), net.rfp_forward(x, feedback(net, x))
        changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert changed == [i >= stage for i in range(4)]

    @ALL
    def test_it_is_added_to_the_named_module_s_output(self, case):
        net = fed(build(wrapped(case, stages=(3,)))).eval()
        x = images()
        feats = feedback(net, x)
        block = net.backbone.get_submodule(CASES[case][1].format(3))
        seen = []
        # runs after the feedback's
        block.register_forward_hook(lambda m, args, out: seen.append(out))
        net(x)
        net.rfp_forward(x, feats)
        added = net.rfp_convs["3"](feats[3])
        layouts = {"NCHW": added, "NHWC": added.permute(0, 2, 3, 1), "NLC": added.flatten(2).mT}
        assert_close(seen[1] - seen[0], layouts[CASES[case][3]], rtol=1e-4, atol=1e-5)

    def test_named_at_the_last_norm_of_a_resnet_it_is_the_paper_s(self):
        torch.manual_seed(0)
        paper = lively(backbone(**PLAIN, rfp_inplanes=FEEDBACK))
        names = (None, *(f"layer{i}.0.bn3" for i in (2, 3, 4)))
        channels = (None, *paper.level_channels[1:])
        mine = MODELS.build(
            dict(
                type="mmext.RFPFeedback",
                backbone=dict(type="mmdet.ResNet", **PLAIN),
                stages=names,
                channels=channels,
                rfp_inplanes=FEEDBACK,
            )
        )
        mine.backbone.load_state_dict(paper.state_dict(), strict=False)
        for i in (1, 2, 3):
            mine.rfp_convs[str(i)].load_state_dict(
                getattr(paper, f"layer{i + 1}")[0].rfp_conv.state_dict()
            )
        evaluation(paper.double(), mine.double())
        x = images(1).double()
        feats = [f.double() for f in feedback(paper, x)]
        assert_close(
            mine.rfp_forward(x, feats), paper.rfp_forward(x, feats), rtol=1e-10, atol=1e-10
        )

    @pytest.mark.parametrize("case", ["convnext", "convnext-nhwc"])
    @pytest.mark.parametrize("change", [1, -1])
    def test_a_row_more_or_less_is_resized(self, case, change):
        net = fed(build(wrapped(case))).eval()
        x = images()
        feats = [
            f[..., : f.shape[-1] + change] if change < 0 else nn.functional.pad(f, (0, 1, 0, 1))
            for f in feedback(net, x)
        ]
        assert [m.shape for m in net.rfp_forward(x, feats)] == [m.shape for m in net(x)]


class TestState:
    @ALL
    @pytest.mark.parametrize("how", ["deepcopy", "pickle"])
    def test_copies_feed_themselves_and_not_the_original(self, case, how):
        net = fed(build(wrapped(case))).eval()
        twin = copy.deepcopy(net) if how == "deepcopy" else pickle.loads(pickle.dumps(net))
        x = images()
        feats, before = feedback(net, x), net(x)
        expected = net.rfp_forward(x, feats)
        with torch.no_grad():
            for p in net.rfp_convs.parameters():
                p.zero_()
        assert_close(twin.rfp_forward(x, feats), expected, rtol=0, atol=0)
        assert_close(net.rfp_forward(x, feats), before, rtol=0, atol=0)
        # the twin's feedback is on its way, and the original must not see it
        with twin._feeding(feats):
            assert_close(fed(net)(x), before, rtol=0, atol=0)

    @ALL
    def test_nothing_is_left_after_an_error(self, case):
        net = fed(build(wrapped(case))).eval()
        x = images()
        feats, before = feedback(net, x), net(x)
        last = net.backbone.get_submodule(CASES[case][1].format(3))

        def fail(*_):
            raise RuntimeError("out of memory")

        hook = last.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            net.rfp_forward(x, feats)
        hook.remove()
        assert_close(net(x), before, rtol=0, atol=0)
        wrong = [torch.zeros(1)] * 4  # not even the feedback's own convolution takes this
        with pytest.raises(RuntimeError):
            net.rfp_forward(x, wrong)
        assert_close(net(x), before, rtol=0, atol=0)

    @ALL
    def test_plain_files_load_as_they_are_and_its_own_too(self, case):
        net = fed(build(wrapped(case)))
        plain = MODELS.build(CASES[case][0])
        result = net.load_state_dict(plain.state_dict(), strict=False)
        assert result.unexpected_keys == []
        assert sorted(result.missing_keys) == sorted(
            k for k in net.state_dict() if k.startswith("rfp_convs.")
        )
        assert_close(dict(net.backbone.state_dict()), dict(plain.state_dict()), rtol=0, atol=0)
        other = build(wrapped(case), seed=5)
        other.load_state_dict(net.state_dict(), strict=True)
        assert_close(dict(other.state_dict()), dict(net.state_dict()), rtol=0, atol=0)
        bare = build(wrapped(case, feedback=False))
        bare.load_state_dict(plain.state_dict(), strict=True)
        parent = nn.ModuleDict(dict(backbone=bare))
        parent.load_state_dict(
            {f"backbone.{k}": v for k, v in plain.state_dict().items()}, strict=True
        )

    @ALL
    def test_initialisation_keeps_the_identity(self, case):
        net = fed(build(wrapped(case, init_cfg=dict(type="Normal", layer="Conv2d", std=1.0))))
        net.init_weights()
        assert all(p.eq(0).all() for p in net.rfp_convs.parameters())
        assert net.train() is net


class TestInThePyramid:
    @ALL
    @pytest.mark.parametrize("sharing", [False, True])
    @pytest.mark.parametrize("steps", [2, 3])
    def test_it_starts_as_the_plain_pyramid(self, case, sharing, steps):
        model = detector(case, sharing, rfp_steps=steps)
        plain = MODELS.build(dict(type="mmdet.FPN", in_channels=list(CASES[case][2]), **FPN))
        plain.load_state_dict(model.neck.state_dict(), strict=False)
        x = images()
        expected = plain(model.backbone(x)[1:])
        assert_close(model(x), expected, rtol=0, atol=0)
        assert (fed(model)(x)[1] - expected[1]).abs().max() > 1e-3

    @ALL
    @pytest.mark.parametrize("sharing", [False, True])
    @pytest.mark.parametrize("step_cp", [False, True])
    def test_every_parameter_gets_a_gradient(self, case, sharing, step_cp):
        model = fed(detector(case, sharing, step_cp=step_cp)).train()
        levels, grads = gradients(model, images(2, 61, 45))
        skipped = [name for name, grad in grads.items() if grad is None]
        assert skipped == []
        expected, plain = gradients(fed(detector(case, sharing)).train(), images(2, 61, 45))
        assert_close(levels, expected, rtol=0, atol=0)
        assert_close(grads, plain, rtol=1e-4, atol=1e-5)

    @ALL
    @pytest.mark.parametrize("batch", [1, 2])
    def test_bf16_is_finite(self, case, batch):
        model = fed(detector(case)).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            levels = model(images(batch, 61, 45))
        sum(level.float().mean() for level in levels).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())

    def test_it_goes_without_the_first_stage_s_map(self):
        three = (None, "stages.2.blocks.0", "stages.3.blocks.0")
        later = wrapped("swin")
        later["backbone"]["out_indices"] = (1, 2, 3)
        later.update(stages=three, channels=(None, 32, 64))
        model = detector(
            "swin", sharing=True, in_channels=[16, 32, 64], add_extra_convs="on_output"
        )
        model.backbone = fed(build({**later, "output_img": True}))
        levels, grads = gradients(model.train(), images())
        assert len(levels) == 5
        assert [name for name, grad in grads.items() if grad is None] == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (dict(layout="CHW"), r"layout must be one of \('NCHW', 'NHWC', 'NLC'\), got 'CHW'"),
            (dict(stages=(None, "stages.9.0", None, None)), "must have one entry for each map"),
            (
                dict(stages=(None, "stages.9.0", None, None), channels=(None, 16, None, None)),
                "TinyConvNeXt has no module 'stages.9.0'; its children are downsample, stages",
            ),
            (dict(rfp_inplanes=None), "and rfp_inplanes, its channels, go together"),
            (dict(stages=(), channels=()), "go together, got .* and 16; give both or none"),
        ],
    )
    def test_a_config_that_cannot_be_is_refused_with_a_sentence(self, change, message):
        cfg = {**wrapped("convnext"), **change}
        cfg.pop("type")
        with pytest.raises(ValueError, match=message):
            RFPFeedback(**cfg)

    def test_a_place_that_is_computed_again_without_feedback_is_refused(self):
        cfg = dict(stages=(None, "layer2.0.bn3"), channels=(None, 64), rfp_inplanes=FEEDBACK)
        with pytest.raises(
            ValueError, match=r"layer2.0 has with_cp=True and is computed again .* step_cp=True"
        ):
            RFPFeedback(dict(type="mmdet.ResNet", **PLAIN, with_cp=True), **cfg)
        RFPFeedback(
            dict(type="mmdet.ResNet", **PLAIN, with_cp=True),
            **{**cfg, "stages": (None, "layer2.0")},
        )

    @pytest.mark.parametrize(
        ("case", "change", "message"),
        [
            (
                "convnext",
                dict(layout="NLC"),
                r"stages.1.0 must give a tensor laid out as NLC, got \(2, 16, ",
            ),
            (
                "swin",
                dict(layout="NCHW"),
                r"stages.1.blocks.0 must give a tensor laid out as NCHW, got \(2, ",
            ),
            (
                "convnext",
                dict(layout="NHWC"),
                r"does not fit the output of stages.1.0, .* as NHWC; name a module",
            ),
            ("convnext", dict(channels=(None, 17, 24, 32)), r"feedback \(2, 17, .* does not fit"),
            ("swin", dict(channels=(None, 17, 32, 64)), r"feedback .* does not fit the output of"),
            (
                "convnext",
                dict(
                    stages=(None, "stages.0.0", "stages.2.0", "stages.3.0"),
                    channels=(None, 8, 24, 32),
                ),
                "name a module of the stage whose map has the same size",
            ),
            (
                "swin",
                dict(stages=(None, "stages.1", "stages.2.blocks.0", "stages.3.blocks.0")),
                "stages.1 must give a tensor laid out as NLC, got tuple",
            ),
        ],
    )
    def test_feedback_that_does_not_fit_is_refused_with_a_sentence(self, case, change, message):
        net = build({**wrapped(case), **change}).eval()
        x = images()
        with pytest.raises(ValueError, match=message):
            net.rfp_forward(x, feedback(net, x))

    def test_a_pyramid_for_other_maps_is_told_so(self):
        model = detector("convnext")
        model.neck.in_channels = [8, 16, 24, 99]
        with pytest.raises(ValueError, match=r"expected maps of \[8, 16, 24, 99\] channels"):
            model(images())


@pytest.mark.parametrize("form", range(3))
def test_a_trained_start_is_kept(form, tmp_path):
    """Seen before: the convolutions of feedback were set back to zero."""
    cfg = dict(
        type="mmext.RFPFeedback",
        backbone=dict(type="mmdet.ResNet", depth=18, base_channels=8),
        rfp_inplanes=FEEDBACK,
        stages=(None, "layer2.0", "layer3.0", "layer4.0"),
        channels=(None, 16, 32, 64),
    )
    trained = lively(MODELS.build(copy.deepcopy(cfg)))
    torch.save(trained.state_dict(), tmp_path / "a.pth")
    by_name, by_class = (
        dict(type=kind, checkpoint=str(tmp_path / "a.pth"))
        for kind in ("Pretrained", PretrainedInit)
    )
    mine = MODELS.build(dict(cfg, init_cfg=[by_name, by_class, [by_name]][form]))
    mine.init_weights()
    assert_close(dict(mine.state_dict()), dict(trained.state_dict()), rtol=0, atol=0)
