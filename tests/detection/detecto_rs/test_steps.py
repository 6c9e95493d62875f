"""What a later step leaves out: a stem that would repeat, and activations kept for backward."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from mmext.measure import bytes_kept_for_backward, flops
from mmext.registry import MODELS
from tests.detection.detecto_rs.nets import (
    FEEDBACK,
    FPN,
    OUR_SAC,
    PLAIN,
    TINY,
    Detector,
    backbone,
    detector,
    gradients,
    images,
    lively,
)

FROZEN = dict(TINY, frozen_stages=1)


@torch.no_grad()
def same_stems(model):
    """All backbones with the stem and first stage of the detector's own."""
    for part in model.neck.rfp_modules:
        for a, b in zip(model.backbone.stem_and_stage_1(), part.stem_and_stage_1(), strict=True):
            b.load_state_dict(a.state_dict(), strict=False)
    return model


def reused(model, x):
    """How many later steps took stem and first stage from the first."""
    calls = []
    hooks = [
        p.conv1.register_forward_hook(lambda *_: calls.append(1)) for p in model.neck.rfp_modules
    ]
    hooks += [model.backbone.conv1.register_forward_hook(lambda *_: calls.append(1))]
    model(x)
    for hook in hooks:
        hook.remove()
    return model.neck.rfp_steps - len(calls)


def pair(net=FROZEN, **neck):
    """Two detectors of equal weights, one that reuses the stem and one that never does."""
    models = [
        same_stems(lively(detector(net=net, reuse_stem=how, **neck))) for how in ("auto", "never")
    ]
    return [model.train() for model in models]


class TestStem:
    @pytest.mark.parametrize(
        "net", [FROZEN, dict(PLAIN, frozen_stages=1), dict(OUR_SAC, frozen_stages=1)]
    )
    @pytest.mark.parametrize("steps", [2, 3])
    def test_reusing_it_changes_no_bit(self, net, steps):
        auto, never = pair(net, rfp_steps=steps)
        x = images()
        assert reused(auto, x) == steps - 1
        assert reused(never, x) == 0
        assert_close(gradients(auto, x), gradients(never, x), rtol=0, atol=0)

    def test_sharing_reuses_it_with_gradients_too(self):
        auto, never = pair(TINY, sharing=True)
        x = images()
        assert reused(auto, x) == 1
        (levels, grads), (expected, expected_grads) = gradients(auto, x), gradients(never, x)
        assert_close(levels, expected, rtol=0, atol=0)
        for name, grad in expected_grads.items():
            assert (grads[name] - grad).norm() <= 1e-5 * grad.norm(), name

    @pytest.mark.parametrize("place", ["conv1.weight", "bn1.running_mean", "layer1.1.bn2.bias"])
    def test_one_other_weight_turns_it_off_and_back_on(self, place):
        auto, never = pair()
        x = images()
        assert reused(auto, x) == 1
        for model in (auto, never):
            tensor = model.neck.rfp_modules[0].state_dict()[place]
            tensor.view(-1)[0] += 0.5
        assert reused(auto, x) == 0
        assert_close(auto(x), never(x), rtol=0, atol=0)
        same_stems(auto)
        assert reused(auto, x) == 1

    def test_weights_exchanged_behind_autograd_s_back_count_from_the_next_change_of_mode(self):
        auto, _ = pair()
        assert reused(auto, images()) == 1
        auto.neck.rfp_modules[0].conv1.weight.data.add_(1)
        assert reused(auto.eval(), images()) == 0

    @pytest.mark.parametrize(
        ("net", "neck"),
        [
            (TINY, {}),
            (dict(TINY, norm_eval=False), dict(sharing=True)),
            (dict(FROZEN, stage_with_rfp=(True,) * 4), dict(sharing=True)),
            (FROZEN, dict(rfp=dict(dilations=(2, 1, 1, 1)))),
            (dict(FROZEN, out_indices=(1, 2, 3)), dict(in_channels=[16, 32, 64])),
        ],
        ids=[
            "trained",
            "moving-statistics",
            "feedback-to-stage-1",
            "other-dilation",
            "no-map-of-stage-1",
        ],
    )
    def test_where_it_would_not_be_exact_every_step_looks_for_itself(self, net, neck):
        assert reused(same_stems(lively(detector(net=net, **neck))).train(), images()) == 0

    def test_nor_where_the_backbone_is_unknown(self):
        auto, _ = pair()
        auto.backbone.register_forward_hook(lambda module, args, out: tuple(out))
        assert reused(auto, images()) == 0

    def test_without_gradients_trained_weights_may_be_reused(self):
        model = same_stems(lively(detector(net=TINY))).eval()
        assert reused(model, images()) == 0
        with torch.no_grad():
            assert reused(model, images()) == 1
        with torch.inference_mode():
            assert reused(model, images()) == 1

    def test_it_saves_a_fifth_of_a_resnet_50(self):
        with torch.device("meta"):
            net = backbone(depth=50, rfp_inplanes=256).eval()
            x = torch.empty(1, 3, 224, 224)
            stage_1, *others = net(x)
            feats = [None, *(torch.empty(1, 256, *y.shape[2:]) for y in others)]
            plain = backbone(depth=50)
            whole = flops(lambda: plain(x))
            saved = flops(lambda: net.rfp_forward(x, feats)) - flops(
                lambda: net.rfp_forward(x, feats, stage_1=stage_1)
            )
        assert whole == pytest.approx(2 * 4.087e9, rel=1e-3)
        assert saved == pytest.approx(2 * 0.786e9, rel=1e-3)
        assert saved / whole == pytest.approx(0.19, abs=0.01)

    def test_the_neck_saves_exactly_stem_and_first_stage(self):
        auto, never = pair(dict(PLAIN, frozen_stages=1))
        x = images()
        start = nn.Sequential(*auto.backbone.stem_and_stage_1())
        assert flops(lambda: never(x)) - flops(lambda: auto(x)) == flops(lambda: start(x))


def swin_detector():
    """One whose backbones know nothing of feedback."""
    net = dict(
        type="mmdet.SwinTransformer",
        embed_dims=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 2, 4),
        drop_path_rate=0.0,  # what is dropped at random differs between two ranks and one process
    )
    cfg = dict(type="mmext.RFPFeedback", backbone=dict(net, window_size=4, drop_path_rate=0.0))
    later = dict(
        cfg,
        stages=(None, *(f"stages.{i}.blocks.0" for i in (1, 2, 3))),
        channels=(None, 16, 32, 64),
        rfp_inplanes=FEEDBACK,
        layout="NLC",
    )
    neck = dict(
        in_channels=[8, 16, 32, 64], aspp_out_channels=FEEDBACK // 4, rfp_backbone=later, **FPN
    )
    return Detector(
        MODELS.build(dict(cfg, output_img=True)), MODELS.build(dict(type="mmext.RFP", **neck))
    )


class TestFewerMaps:
    def test_feedback_goes_to_the_stages_of_the_maps(self):
        model = lively(
            detector(net=dict(FROZEN, out_indices=(1, 2, 3)), in_channels=[16, 32, 64])
        ).train()
        assert len(model(images())) == 5
        assert model.neck.rfp_modules[0].rfp_stages == (1, 2, 3)
        _, grads = gradients(model, images())
        assert all(
            grads[name] is not None for name, p in model.named_parameters() if p.requires_grad
        )


class TestCheckpointing:
    @pytest.mark.parametrize("steps", [2, 3])
    @pytest.mark.parametrize("sharing", [False, True])
    @pytest.mark.parametrize("norm_eval", [True, False])
    def test_it_changes_neither_numbers_nor_statistics(self, steps, sharing, norm_eval):
        net = dict(TINY, norm_eval=norm_eval)
        kept, forgotten = (
            lively(detector(net=net, rfp_steps=steps, sharing=sharing, step_cp=flag)).train()
            for flag in (False, True)
        )
        x = images()
        (levels, grads), (expected, expected_grads) = gradients(forgotten, x), gradients(kept, x)
        assert_close(levels, expected, rtol=0, atol=0)
        for name, grad in expected_grads.items():
            assert (grads[name] - grad).norm() <= 1e-5 * grad.norm(), name
        assert_close(dict(forgotten.named_buffers()), dict(kept.named_buffers()), rtol=0, atol=0)
        moved = any(
            int(b) for name, b in kept.named_buffers() if name.endswith("num_batches_tracked")
        )
        assert moved is not norm_eval

    @pytest.mark.parametrize(
        "net", [dict(PLAIN, base_channels=16), OUR_SAC], ids=["r50", "sac-r50"]
    )
    def test_it_keeps_about_half_of_the_bytes(self, net):
        x = images(1, 96, 96)
        models = [detector(net=net, step_cp=flag).train() for flag in (False, True)]
        kept, forgotten = (bytes_kept_for_backward(lambda m=m: m(x)) for m in models)
        # of the step, which no hook sees
        inputs = x.nbytes + sum(level.nbytes for level in models[1](x))
        assert forgotten + inputs <= 0.55 * kept

    def test_without_gradients_nothing_is_prepared(self):
        model = lively(detector(step_cp=True)).eval()
        with torch.no_grad():
            levels = model(images())
        assert not any(level.requires_grad for level in levels)


RANKS = {
    "checkpointed": lambda: detector(net=FROZEN, step_cp=True),
    "kept": lambda: detector(net=FROZEN),
    "sharing": lambda: detector(net=TINY, sharing=True, step_cp=True),
    "any-backbone": swin_detector,
}


def after_two_steps(case, x, wrap=lambda model: model):
    """State after two steps of gradient descent."""
    model = lively(RANKS[case](), seed=3).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    wrapped = wrap(model)
    for _ in range(2):
        optimizer.zero_grad()
        sum(level.square().mean() for level in wrapped(x)).backward()
        optimizer.step()
    return model.state_dict()


def of_rank(rank):
    wrap = partial(DistributedDataParallel, find_unused_parameters=False)
    x = images(2, 64, 64)[rank : rank + 1]
    return {case: after_two_steps(case, x, wrap) for case in RANKS}


@pytest.fixture(scope="module")
def ranks(two_ranks):
    """What two ranks have learnt, case by case."""
    return two_ranks(of_rank)


@pytest.mark.parametrize("case", RANKS)
def test_two_ranks_train_as_one(ranks, case):
    assert_close(ranks[0][case], ranks[1][case], rtol=0, atol=0)
    for name, expected in after_two_steps(case, images(2, 64, 64)).items():
        error = (ranks[0][case][name] - expected).float().norm()
        assert error <= 1e-4 * expected.float().norm() + 1e-6, name
