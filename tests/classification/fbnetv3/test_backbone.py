"""The backbone and its head: start, sizes, freezing, drop path, checkpointing, wrong input."""

import copy

import pytest
import torch
from mmengine.model import PretrainedInit
from torch import nn
from torch.testing import assert_close

from mmext.classification.fbnetv3.backbone import FBNetV3
from mmext.classification.fbnetv3.blocks import InvertedResidual
from mmext.classification.fbnetv3.head import FBNetV3Head
from tests.classification.fbnetv3.nets import TINY, learnt, whole


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_odd_sizes_and_a_batch_of_one():
    for padding, last in (("same", (8, 10)), ("official", (6, 8))):
        net = FBNetV3("a", padding=padding).eval()
        with torch.no_grad():
            maps = net(images(1, 3, 225, 301))
        assert [one.shape[1] for one in maps] == [24, 40, 120, 224]
        assert maps[-1].shape[2:] == last


def test_weights_are_the_same_for_both_paddings():
    same, official = (
        learnt(FBNetV3("a", padding=padding)).eval() for padding in ("same", "official")
    )
    official.load_state_dict(same.state_dict(), strict=True)
    x = images(1, 3, 64, 64)
    with torch.no_grad():
        found, other = same(x), official(x)
    assert_close(found[1], other[1])  # up to stride 8 all pad alike
    assert found[2].shape != other[2].shape


def test_it_starts_as_the_identity_and_finite():
    torch.manual_seed(0)
    net = whole("a0", "same", classes=10)
    net[0].init_weights()
    net[1].init_weights()
    residual = [m for m in net.modules() if isinstance(m, InvertedResidual) and m.is_residual]
    assert len(residual) == 13
    net.eval()
    for block in residual:
        x = images(1, block.project.conv.out_channels, 5, 7)
        with torch.no_grad():
            assert torch.equal(block(x), x)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert net(images(2, 3, 64, 64)).isfinite().all()


def test_convolutions_start_by_fan_out():
    torch.manual_seed(0)
    net = FBNetV3("a")
    net.init_weights()
    convs = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    for name, conv in convs.items():
        if name.endswith("se.excite"):  # PyTorch's own start
            continue
        places = conv.kernel_size[0] * conv.kernel_size[1]
        fan_out = conv.out_channels * places / conv.groups
        if conv.weight.numel() > 1000:
            # A depthwise convolution's fan is that of one channel in PyTorch's count.
            count = conv.out_channels * places if conv.groups > 1 else fan_out
            assert float(conv.weight.detach().std()) == pytest.approx(
                (2 / count) ** 0.5, rel=0.15
            ), name


@pytest.mark.parametrize("frozen", [-1, 0, 2, 4])
def test_frozen_stages_neither_learn_nor_move(frozen):
    net = FBNetV3(TINY, frozen_stages=frozen)
    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    rest = {
        name
        for name, _ in net.named_parameters()
        if not (frozen >= 0 and name.startswith("stem"))
        and not any(name.startswith(f"stages.{i}.") for i in range(frozen + 1))
    }
    assert learning == rest  # already when it is made, which is when a wrapper counts
    before = copy.deepcopy(net.state_dict())
    net.train()
    net(images(2, 3, 64, 64))
    moved = {
        name
        for name, tensor in net.state_dict().items()
        if name.endswith("running_mean") and not torch.equal(tensor, before[name])
    }
    assert bool(moved) == (frozen < 4)
    assert not any(name.startswith(f"stages.{i}.") for name in moved for i in range(frozen + 1))


def test_norm_eval_keeps_statistics_and_lets_weights_learn():
    net = FBNetV3(TINY, norm_eval=True).train()
    before = copy.deepcopy(net.state_dict())
    sum(one.sum() for one in net(images(2, 3, 64, 64))).backward()
    assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("with_cp", [False, True])
def test_drop_path_skips_whole_images_more_often_with_depth(with_cp):
    net = FBNetV3(TINY, drop_path_rate=0.5, with_cp=with_cp, norm_eval=True).train()
    rates = [m.drop_path.drop_prob for m in net.modules() if getattr(m, "drop_path", None)]
    assert rates == sorted(rates)
    assert rates[-1] == 0.5
    learnt(net)
    block = net.stages[4][1]
    x = images(400, 32, 2, 2).requires_grad_()
    torch.manual_seed(0)
    out = block(x)
    skipped = (out == x).flatten(1).all(1)
    assert skipped.float().mean() == pytest.approx(0.5, abs=0.1)
    full = copy.deepcopy(block).eval()(x)
    assert_close(out[~skipped], (x + 2 * (full - x))[~skipped])  # scaled, so the mean stays
    out.sum().backward()
    assert torch.equal(x.grad[skipped], torch.ones_like(x.grad[skipped]))  # the same draw again


def test_checkpointing_changes_memory_and_nothing_else():
    found = []
    for with_cp in (False, True):
        net = learnt(FBNetV3(TINY, with_cp=with_cp, drop_path_rate=0.3)).train()
        torch.manual_seed(0)
        sum(one.square().mean() for one in net(images(3, 3, 64, 64))).backward()
        found.append(([p.grad for p in net.parameters()], net.state_dict()))
    assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("as_class", [False, True])
def test_a_trained_start_survives(as_class, tmp_path):
    torch.save(learnt(FBNetV3(TINY)).state_dict(), tmp_path / "weights.pth")
    kind = PretrainedInit if as_class else "Pretrained"
    net = FBNetV3(TINY, init_cfg=dict(type=kind, checkpoint=str(tmp_path / "weights.pth")))
    for _ in range(2):  # once more, as when a model is built of initialised parts
        net.init_weights()
        assert_close(net.state_dict(), torch.load(tmp_path / "weights.pth"), rtol=0, atol=0)


def test_stages_that_nobody_asks_for_are_not_there():
    net = FBNetV3("a", out_indices=(1, 2))
    assert len(net.stages) == 3
    sum(one.sum() for one in net(images(1, 3, 32, 32))).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_one_map_without_a_tuple():
    net = FBNetV3(TINY, out_indices=(4,), single_map=True).eval()
    assert net(images(2, 3, 64, 64)).shape == (2, 32, 2, 2)


def test_grey_pictures_and_another_norm():
    net = FBNetV3(TINY, in_channels=1, norm_cfg=dict(type="GN", num_groups=2))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert net(images(1, 1, 32, 32))[-1].shape == (1, 32, 1, 1)


def test_too_small_images_are_refused_with_the_number():
    net = FBNetV3("a", padding="official").eval()
    with pytest.raises(ValueError, match=r"at least 49 pixels, got \(100, 48\); resize them"):
        net(images(1, 3, 100, 48))
    with torch.no_grad():
        assert net(images(1, 3, 49, 49))[-1].shape[2:] == (1, 1)
    # Without the stage whose map would be empty there is another limit.
    assert FBNetV3("a", out_indices=(1, 2), padding="official").smallest_side == 1


@pytest.mark.parametrize(
    ("cfg", "words"),
    [
        (dict(out_indices=(1, 5)), r"stages from 0 to 4, got \(1, 5\)"),
        (dict(out_indices=()), r"stages from 0 to 4, got \(\)"),
        (dict(padding="valid"), "one of .*'official'.*, got 'valid'"),
        (dict(frozen_stages=5), "from -1 to 4, got 5"),
        (dict(single_map=True), r"one index in out_indices, got \(1, 2, 3, 4\)"),
    ],
)
def test_a_wrong_option_is_named(cfg, words):
    with pytest.raises(ValueError, match=words):
        FBNetV3(TINY, **cfg)


def test_a_head_of_another_architecture_is_named():
    net = nn.Sequential(FBNetV3(TINY), FBNetV3Head(10, "a"))
    with pytest.raises(ValueError, match="a map of 224 channels, got"):
        net(images(1, 3, 64, 64))
