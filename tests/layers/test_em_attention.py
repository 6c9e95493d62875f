"""The plug-in with EM attention: it starts as an identity, learns, and fits the hosts' ResNets."""

import pytest
import torch
from mmdet.models.backbones import ResNet as MMDetResNet
from mmseg.models.backbones import ResNet as MMSegResNet
from torch import nn
from torch.testing import assert_close

from mmext.layers.em_attention import EMAUnit2d
from mmext.registry import MODELS


def test_it_starts_as_an_identity_and_learns():
    unit, x = EMAUnit2d(8, num_bases=4), torch.randn(2, 8, 5, 7, requires_grad=True)
    assert torch.equal(unit(x), x)
    nn.init.ones_(unit.norm.weight)
    unit(x).square().sum().backward()
    trained = {
        name for name, p in unit.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert trained == {"ema_out_conv.weight", "norm.weight", "norm.bias"}
    frozen = {name for name, p in unit.named_parameters() if not p.requires_grad}
    assert frozen == {"ema_mid_conv.weight", "ema_mid_conv.bias"}


@pytest.mark.parametrize("host", [MMDetResNet, MMSegResNet], ids=["mmdet", "mmseg"])
def test_it_is_a_plug_in_for_resnets(host):
    plugin = dict(
        cfg=dict(type="mmext.EMAUnit2d", num_bases=4),
        stages=(False, False, True, True),
        position="after_conv3",
    )
    net = host(depth=50, base_channels=4, plugins=[plugin])
    names = [name for name, module in net.named_modules() if isinstance(module, EMAUnit2d)]
    assert len(names) == 6 + 3
    assert names[0].startswith("layer3.0.ema_unit")
    plain = host(depth=50, base_channels=4)
    assert not plain.load_state_dict(net.state_dict(), strict=False).missing_keys
    net.eval()
    plain.eval()
    x = torch.randn(1, 3, 64, 64)
    assert_close(net(x), plain(x), rtol=0, atol=0)


def test_the_registry_knows_it():
    assert type(MODELS.build(dict(type="mmext.EMAUnit2d", in_channels=8))) is EMAUnit2d
