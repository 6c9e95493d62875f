"""convert_to_sac keeps outputs, and fuse folds what can be folded, on nets of several kinds."""

import copy

import pytest
import torch
from mmcv.cnn import ConvAWS2d
from mmdet.registry import MODELS as MMDET
from torch import nn
from torch.testing import assert_close

from mmext.detection.detecto_rs.aws import ConvAWS
from mmext.detection.detecto_rs.convert import convert_to_sac, fuse
from mmext.detection.detecto_rs.sac import SAC
from tests.detection.detecto_rs.sac_layers import DEFORM, error, shake


def image(channels=3):
    return torch.randn(2, channels, 32, 40, generator=torch.Generator().manual_seed(5))


def resnet(depth=18, **cfg):
    torch.manual_seed(0)
    net = MMDET.build(dict(type="mmdet.ResNet", depth=depth, base_channels=8, **cfg))
    net.init_weights()
    net.eval()
    return net


class Block(nn.Module):
    """As in ConvNeXt: a depthwise convolution of 7 x 7, then a map of each pixel."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x + self.pointwise(self.norm(self.depthwise(x)).relu())


def convnext():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), Block(8), Block(8))


def sacs(net):
    return [name for name, module in net.named_modules() if isinstance(module, SAC)]


class TestConversion:
    @DEFORM
    def test_basic_blocks(self, use_deform):
        net = resnet()
        before = net(image())
        assert convert_to_sac(net, "layer[234].*.conv[12]", use_deform=use_deform) is net
        assert len(sacs(net)) == 12
        assert all(
            module.use_deform == use_deform for module in net.modules() if isinstance(module, SAC)
        )
        for a, b in zip(net(image()), before, strict=True):
            assert error(a, b) < 1e-5

    @DEFORM
    def test_depthwise_convolutions(self, use_deform):
        net = convnext()
        before = net(image())
        convert_to_sac(net, lambda name, conv: conv.groups > 1, use_deform=use_deform)
        assert sacs(net) == ["1.depthwise", "2.depthwise"]
        assert error(net(image()), before) < 1e-5

    def test_by_default_all_three_by_three_ones_that_can_be_are_chosen(self):
        net = nn.Sequential(
            nn.Conv2d(3, 4, 7, padding=3),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),
            nn.Conv2d(4, 4, 3),
            nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        )
        assert sacs(convert_to_sac(net)) == ["1", "2"]

    @pytest.mark.parametrize("cls", [ConvAWS, ConvAWS2d])
    def test_standardised_ones_stay_so(self, cls):
        net = nn.Sequential(shake(cls(3, 4, 3, padding=1)))
        before, state = net(image()), net.state_dict()
        convert_to_sac(net, ["0"])
        assert error(net(image()), before) < 1e-6
        assert_close({name: net.state_dict()[name] for name in state}, state, rtol=0, atol=0)

    def test_parameters_mode_and_dtype_stay(self):
        net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)).double().eval()
        net[0].weight.requires_grad_(False)
        weight, bias = net[0].weight, net[0].bias
        sac = convert_to_sac(net)[0]
        assert sac.weight is weight
        assert sac.bias is bias
        assert not sac.training
        assert {p.dtype for p in sac.parameters()} == {torch.float64}
        assert [name for name, p in sac.named_parameters() if not p.requires_grad] == ["weight"]

    def test_one_that_is_used_twice_stays_one(self):
        shared = nn.Conv2d(3, 3, 3, padding=1)
        net = convert_to_sac(nn.ModuleDict(dict(a=nn.Sequential(shared), b=shared)))
        assert isinstance(net["b"], SAC)
        assert net["a"][0] is net["b"]

    def test_a_convolution_by_itself(self):
        conv = nn.Conv2d(3, 4, 3, padding=1)
        assert error(convert_to_sac(conv)(image()), conv(image())) < 1e-6

    def test_what_is_new_learns(self):
        net = convert_to_sac(
            resnet(zero_init_residual=False), "layer[12].*.conv[12]", use_deform=True
        )
        net.train()
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
        for _ in range(2):  # the wide look counts once the first step has moved the switch
            optimizer.zero_grad()
            sum(y.square().mean() for y in net(image())).backward()
            optimizer.step()
        new = [
            f"{name}.{key}"
            for name in sacs(net)
            for key, _ in net.get_submodule(name).named_parameters()
        ]
        assert [name for name in new if torch.equal(net.get_parameter(name), before[name])] == []


class TestBadInput:
    def test_nothing_selected(self):
        expected = (
            r"select must match at least one convolution, got none of 3 for 'layer9\.\*'; "
            r".* like '0'"
        )
        with pytest.raises(ValueError, match=expected):
            convert_to_sac(nn.Sequential(*(nn.Conv2d(3, 3, 3) for _ in range(3))), "layer9.*")

    def test_no_convolution_at_all(self):
        with pytest.raises(ValueError, match=r"the model has no nn\.Conv2d"):
            convert_to_sac(nn.Linear(2, 2))

    @pytest.mark.parametrize(
        ("conv", "reason"),
        [
            (nn.Conv2d(3, 3, 3), r"whose padding \(0, 0\) changes the size"),
            (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "with padding_mode='reflect'"),
            (
                nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1)),
                "of type ParametrizedConv2d",
            ),
            (nn.LazyConv2d(3, 3, padding=1), "of type LazyConv2d"),
        ],
        ids=["padding", "mode", "parametrized", "lazy"],
    )
    def test_what_sac_cannot_stand_for(self, conv, reason):
        net = nn.Sequential(conv)
        with pytest.raises(ValueError, match=f"^0: expected .*, got one {reason}.*; deselect it"):
            convert_to_sac(net, "0")
        assert net[0] is conv

    def test_hooks_would_be_lost(self):
        net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))
        net[0].register_forward_hook(lambda *_: None)
        with pytest.raises(ValueError, match="with hooks, which the new one would lack"):
            convert_to_sac(net, "0")


class TestFuse:
    def trained(self, use_deform=True):
        """A net with plain convolutions, ConvAWS and SACs, all away from where they started."""
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            shake(ConvAWS(4, 4, 1)),
            nn.ReLU(),
            nn.Sequential(shake(SAC(4, 4, 3, padding=1, use_deform=use_deform))),
        )
        return net.eval()

    @DEFORM
    def test_the_output_stays_and_no_standardisation_is_left(self, use_deform):
        net = self.trained(use_deform)
        before = net(image())
        assert fuse(net) is net
        assert error(net(image()), before) < 1e-5
        assert type(net[1]) is nn.Conv2d
        assert not [
            key for key in net.state_dict() if "weight_gamma" in key or "weight_beta" in key
        ]
        assert torch.equal(net[3][0].effective_weights()[0], net[3][0].weight)

    def test_twice_is_once(self):
        once = fuse(self.trained())
        before, state = once(image()), copy.deepcopy(once.state_dict())
        twice = fuse(once)
        assert torch.equal(twice(image()), before)
        assert_close(twice.state_dict(), state, rtol=0, atol=0)

    def test_the_original_s_parameters_are_not_touched(self):
        net = self.trained()
        sac, weight = net[3][0], net[3][0].weight.clone()
        fuse(net)
        assert net[3][0] is not sac
        assert torch.equal(sac.weight, weight)

    def test_folded_weights_load_strictly_into_what_is_not_folded(self):
        net = self.trained()
        folded, other = fuse(copy.deepcopy(net)), self.trained()
        for layer in (other[1], other[3][0]):
            shake(layer, seed=9)
        other.load_state_dict(folded.state_dict(), strict=True)
        assert error(other(image()), net(image())) < 1e-5

    def test_a_checkpoint_of_the_unfolded_net_is_refused(self):
        with pytest.raises(RuntimeError, match="weight_gamma"):
            fuse(self.trained()).load_state_dict(self.trained().state_dict(), strict=True)

    @DEFORM
    def test_a_sac_that_never_learned_becomes_a_plain_convolution(self, use_deform):
        net = resnet()
        before = net(image())
        fuse(convert_to_sac(net, "layer4.*", use_deform=use_deform))
        assert sacs(net) == []
        for a, b in zip(net(image()), before, strict=True):
            assert error(a, b) < 1e-5

    def test_after_an_update_it_folds_the_new_weight(self):
        layer = shake(ConvAWS(3, 4, 3, padding=1)).eval()
        with torch.no_grad():
            layer(image())
            layer.train()
            layer.weight.add_(torch.randn(layer.weight.shape))
            assert error(layer.eval().fuse()(image()), layer.train()(image())) < 1e-6

    def test_a_layer_by_itself(self):
        layer = shake(ConvAWS(3, 4, 3))
        assert torch.equal(fuse(layer)(image()), layer(image()))

    def test_shared_layers_stay_shared(self):
        layer = shake(SAC(4, 4, 3, padding=1))
        net = fuse(nn.ModuleDict(dict(a=nn.Sequential(layer), b=layer)))
        assert net["a"][0] is net["b"]
        assert net["b"] is not layer
