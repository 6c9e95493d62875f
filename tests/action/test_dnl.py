"""DNL in mmaction's SlowOnly and TSM backbones: ResNet3dSlowOnlyDNL and ResNetTSMDNL."""

import pytest
import torch
from torch.testing import assert_close

import mmext  # noqa: F401  before mmaction, which it repairs
from mmext.action.dnl import ResNet3dSlowOnlyDNL, ResNetTSMDNL
from mmext.layers.disentangled_non_local import DisentangledNonLocal3d

PLACES = ((0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 0, 0))
CFG = dict(sub_sample=True, use_scale=True, norm_cfg=dict(type="BN3d", requires_grad=True))
SLOW_ONLY = dict(depth=50, pretrained=None, lateral=False, base_channels=8, norm_eval=False)
TSM = dict(depth=50, num_segments=4, norm_eval=False)


def slow_only(**cfg):
    return ResNet3dSlowOnlyDNL(non_local=PLACES, non_local_cfg=CFG | cfg, **SLOW_ONLY)


def tsm(**cfg):
    places = ((0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0, 1, 0), (0, 0, 0))
    return ResNetTSMDNL(non_local=places, non_local_cfg=cfg, **TSM)


def blocks(net):
    return {name: m for name, m in net.named_modules() if isinstance(m, DisentangledNonLocal3d)}


def test_the_places_are_the_hosts_and_the_keys_are_non_locals_and_the_mask():
    from mmaction.models.backbones import ResNet3dSlowOnly

    ours = slow_only()
    assert list(blocks(ours)) == [
        *(f"layer2.{i}.non_local_block" for i in (0, 2)),
        *(f"layer3.{i}.non_local_block" for i in (0, 2, 4)),
    ]
    theirs = ResNet3dSlowOnly(
        non_local=PLACES, non_local_cfg=dict(CFG, mode="embedded_gaussian"), **SLOW_ONLY
    )
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not unexpected
    assert sorted(missing) == sorted(
        f"{name}.conv_mask.{x}" for name in blocks(ours) for x in ("weight", "bias")
    )


def test_no_non_local_block_of_the_host_is_left():
    from mmcv.cnn import NonLocal3d

    for net in (slow_only(), tsm()):
        assert blocks(net)
        assert not any(isinstance(m, NonLocal3d) for m in net.modules())


@pytest.mark.parametrize("variant", ["paper", "detection"])
def test_random_initialisation_keeps_the_blocks_start(variant):
    net = (
        slow_only(norm_cfg=None, use_scale=None, variant=variant)
        if variant != "paper"
        else slow_only()
    )
    net.init_weights()
    x = torch.randn(2, 64, 4, 6, 6)
    for block in blocks(net).values():
        if block.in_channels == 64:
            assert torch.equal(block(x), x) == (variant == "paper")
    plain = ResNet3dSlowOnlyDNL(**SLOW_ONLY)
    assert not blocks(plain)
    if variant == "paper":
        plain.load_state_dict(net.state_dict(), strict=False)
        clips = torch.randn(1, 3, 4, 32, 32)
        assert_close(net(clips), plain(clips))


def test_tsm_starts_from_random_weights():
    net = tsm()
    net.init_weights()  # the host's stops here, for want of a file
    (block,) = blocks(net).values()
    x = torch.randn(1, 1024, 4, 2, 2)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("cls", [ResNetTSMDNL, ResNet3dSlowOnlyDNL])
def test_places_may_be_a_number_for_a_whole_stage(cls):
    net = cls(depth=50, non_local=(0, 1, 0, (0, 0, 1)))
    names = [f"layer2.{i}.non_local_block" for i in range(4)]
    assert list(blocks(net)) == [*names, "layer4.2.non_local_block"]


def test_a_file_of_non_local_blocks_keeps_what_it_holds_and_the_mask_starts(tmp_path):
    net = tsm()
    state = {
        n: torch.rand_like(t) for n, t in net.state_dict().items() if t.dim() and "mask" not in n
    }
    torch.save(state, tmp_path / "nl.pth")
    for given in (
        dict(init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "nl.pth"))),
        dict(pretrained=str(tmp_path / "nl.pth")),
    ):
        started = ResNetTSMDNL(non_local=(0, 0, (0, 0, 0, 0, 1, 0), 0), **TSM, **given)
        started.init_weights()
        for name, tensor in started.state_dict().items():
            if name in state:
                assert torch.equal(tensor, state[name]), name
        (block,) = blocks(started).values()
        assert block.conv_mask.weight.abs().max() <= 1024**-0.5  # not as the host draws


def test_every_parameter_of_slow_only_gets_a_gradient():
    net = slow_only()
    net(torch.randn(2, 3, 4, 32, 32)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_clips_do_not_see_each_other_in_tsm():
    net = tsm(variant="detection")
    net.eval()  # the host's returns nothing
    for block in blocks(net).values():
        torch.nn.init.ones_(block.gate.weight)
    frames = torch.randn(2 * 4, 3, 32, 32)  # two clips of four frames
    other = frames.clone()
    other[4:] = 0
    with torch.no_grad():
        assert_close(net(frames)[:4], net(other)[:4], rtol=0, atol=1e-5)


def test_the_gate_is_trained_by_mmactions_constructor():
    from mmaction.engine.optimizers import TSMOptimWrapperConstructor

    net = tsm(variant="detection")
    model = torch.nn.ModuleDict(dict(backbone=net, cls_head=torch.nn.Linear(8, 2)))
    wrapper = TSMOptimWrapperConstructor(
        dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)),
        paramwise_cfg=dict(fc_lr5=True),
    )(model)
    trained = {id(p) for group in wrapper.param_groups for p in group["params"]}
    assert all(id(p) in trained for p in model.parameters())
