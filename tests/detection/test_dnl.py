"""PluginResNet: plug-ins in single blocks, behind the addition; the host's network elsewhere."""

import copy

import pytest
import torch
from mmdet.models.backbones import ResNet
from torch.testing import assert_close

from mmext.detection.dnl import PluginResNet
from mmext.layers.disentangled_non_local import DisentangledNonLocal2d

DNL = dict(type="mmext.DisentangledNonLocal2d", variant="detection")
C4 = dict(cfg=DNL, stages=(False, False, True, False), blocks=(-2,), position="after_add")
C5 = dict(cfg=DNL, stages=(False, False, False, True), position="after_add")
SMALL = dict(base_channels=8)


def places(net):
    return [name for name, m in net.named_modules() if isinstance(m, DisentangledNonLocal2d)]


def image(size=(64, 96), batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


def opened(net):
    """Open the gates and draw weights large enough to be seen."""
    for name in places(net):
        block = net.get_submodule(name)
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return net


def test_the_authors_places():
    assert places(PluginResNet(50, plugins=[C4], **SMALL)) == ["layer3.4.dnl_block"]
    both = PluginResNet(50, plugins=[C4, C5], **SMALL)
    assert places(both) == ["layer3.4.dnl_block", *(f"layer4.{i}.dnl_block" for i in range(3))]
    assert both.layer3[4].dnl_block.in_channels == 8 * 4 * 4
    assert both.layer3[4].dnl_block.inter_channels == 8 * 4


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("with_cp", [False, True])
def test_without_plug_ins_it_is_the_host(depth, with_cp):
    theirs = ResNet(depth, **SMALL)
    ours = PluginResNet(depth, with_cp=with_cp, **SMALL)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = [image().requires_grad_() for _ in range(2)]
    outs = [net(one) for net, one in zip((ours, theirs), x, strict=True)]
    assert_close(*outs)
    for out in outs:
        sum(level.sum() for level in out).backward()
    assert_close(x[0].grad, x[1].grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("position", ["after_conv1", "after_conv2", "after_conv3"])
def test_the_hosts_positions_are_the_hosts(position):
    plugin = dict(cfg=dict(type="ContextBlock", ratio=1 / 4), stages=(False, True, True, True))
    plugin["position"] = position
    theirs = ResNet(50, plugins=[copy.deepcopy(plugin)], **SMALL)
    ours = PluginResNet(50, plugins=[plugin], **SMALL)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert_close(ours(image()), theirs(image()))


def test_one_block_at_the_hosts_position():
    plugin = dict(
        cfg=dict(type="ContextBlock", ratio=1 / 4), blocks=(0, -1), position="after_conv3"
    )
    net = PluginResNet(50, plugins=[plugin], **SMALL)
    have = [
        [hasattr(block, "context_block") for block in getattr(net, name)] for name in net.res_layers
    ]
    assert have == [[i in (0, n - 1) for i in range(n)] for n in (3, 4, 6, 3)]
    net(image())


def test_after_add_is_between_addition_and_relu():
    block = opened(PluginResNet(50, plugins=[C4], **SMALL)).layer3[4].eval()
    x = torch.randn(2, 128, 5, 7)
    branch = block.norm3(
        block.conv3(torch.relu(block.norm2(block.conv2(torch.relu(block.norm1(block.conv1(x)))))))
    )
    assert_close(block(x), torch.relu(block.dnl_block(branch + x)))
    assert (block.dnl_block(branch + x) < 0).any()


def test_two_plug_ins_of_one_kind_need_a_postfix():
    first, second = (dict(C4, cfg=dict(DNL, postfix=i)) for i in (1, 2))
    net = PluginResNet(50, plugins=[first, second], **SMALL)
    assert places(net) == ["layer3.4.dnl_block1", "layer3.4.dnl_block2"]
    net(image())


@pytest.mark.parametrize("depth", [18, 50])
def test_checkpointing_changes_nothing(depth):
    net = opened(PluginResNet(depth, plugins=[dict(C4)], norm_eval=True, **SMALL))
    net.train()  # the host's returns nothing
    twin = copy.deepcopy(net)
    for block in twin.modules():
        if hasattr(block, "with_cp"):
            block.with_cp = True
    for one in (net, twin):
        one(image())[-1].square().mean().backward()
    grads = [{name: p.grad for name, p in one.named_parameters()} for one in (net, twin)]
    assert_close(*grads, rtol=1e-4, atol=1e-6)
    assert grads[0][f"{places(net)[0]}.gate.weight"].abs() > 0


@pytest.mark.parametrize("size", [(50, 83), (33, 65)])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_odd_sizes_one_image_and_bf16(size, dtype):
    net = opened(PluginResNet(50, plugins=[C4, C5], **SMALL))
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        outs = net(image(size, batch=1))
    assert all(torch.isfinite(out).all() for out in outs)


def test_random_weights_start_as_the_hosts_and_leave_the_block_at_its_start():
    net = PluginResNet(50, plugins=[dict(C4, cfg=dict(DNL, variant="paper"))], **SMALL)
    net.init_weights()
    assert not net.layer3[4].norm3.weight.any()  # the last norm of a residual branch starts at zero
    block = net.layer3[4].dnl_block
    assert not block.conv_out.conv.weight.any()
    assert block.theta.conv.weight.std() < 0.02
    basic = PluginResNet(18, **SMALL)
    basic.init_weights()
    assert not basic.layer1[0].norm2.weight.any()


@pytest.mark.parametrize("depth", [18, 50])
def test_plug_ins_go_with_any_norm(depth):
    norm = dict(type="GN", num_groups=2, requires_grad=True)
    net = PluginResNet(depth, plugins=[dict(C4)], norm_cfg=norm, **SMALL)
    net.init_weights()
    assert places(net) == [f"layer3.{0 if depth == 18 else 4}.dnl_block"]
    assert not getattr(net.layer3[0], net.layer3[0].LAST_NORM).weight.any()
    net(image())


def test_pretrained_weights_of_the_host_load(tmp_path):
    theirs = ResNet(18, **SMALL)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    init = dict(type="Pretrained", checkpoint=str(tmp_path / "weights.pth"))
    net = PluginResNet(18, plugins=[dict(C4)], init_cfg=init, **SMALL)
    net.init_weights()
    assert_close(net.layer2[1].conv1.weight, theirs.layer2[1].conv1.weight)
    assert net.layer3[0].dnl_block.gate.weight.item() == 0


@pytest.mark.parametrize(
    ("depth", "change", "sentence"),
    [
        (
            50,
            dict(position="before_relu"),
            "position must be one of .*'after_add'.* got 'before_relu'",
        ),
        (18, dict(position="after_conv2"), r"position must be one of \('after_add',\) at depth 18"),
        (
            50,
            dict(blocks=(6,)),
            "some of the 6 blocks of layer3, got 6; count from 0 to 5, or from -1 back to -6",
        ),
        (
            50,
            dict(stages=(True,)),
            r"stages must have one entry for each of the 4 stages, got \(True,\)",
        ),
        (
            50,
            dict(cfg=dict(DNL, reduction=2000)),
            "whole number from 1 to in_channels=128, got 2000",
        ),
    ],
    ids=str,
)
def test_bad_plug_ins_get_a_sentence(depth, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        PluginResNet(depth, plugins=[C4 | change], **SMALL)
