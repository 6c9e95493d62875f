"""ConvAWS: golden numbers, oracle, properties, mmcv parity, loading, the kept weight, precision."""

import copy

import pytest
import torch
from mmcv.cnn import ConvAWS2d, ConvModule, build_conv_layer
from mmdet.registry import MODELS as MMDET
from mmengine.model import BaseModule, Sequential, kaiming_init
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmext.detection.detecto_rs.aws import ConvAWS, filter_statistics, standardize
from tests.detection.detecto_rs.sac_layers import UPSTREAM, error, gradients, shake
from tests.detection.detecto_rs.sac_oracle import standardized

WEIGHT = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]])


def filters(num=3, channels=2, k=3, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = ((num, channels, k, k), (num, 1, 1, 1), (num, 1, 1, 1))
    return [torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes]


def conv(bias=True, dtype=torch.float32, cls=ConvAWS, **cfg):
    return shake(cls(4, 6, 3, padding=1, bias=bias, **cfg)).to(dtype)


def image(dtype=torch.float32, channels=4, seed=5):
    return torch.randn(2, channels, 9, 11, generator=torch.Generator().manual_seed(seed)).to(dtype)


class TestFunctions:
    def test_golden_numbers(self):
        mean, sd = filter_statistics(WEIGHT)
        assert_close(mean.flatten(), torch.tensor([4.0]))
        assert_close(sd.flatten(), torch.tensor([2.5819908]))  # sqrt(20 / 3 + 1e-5)
        out = standardize(WEIGHT, torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 0.5))
        assert_close(out.flatten(), torch.tensor([-1.8237883, -0.2745961, 1.2745961, 2.8237883]))

    def test_equals_the_loop(self):
        assert_close(standardize(*filters()), standardized(*filters()), rtol=0, atol=1e-14)

    def test_a_filter_s_own_statistics_give_it_back(self):
        weight, _, _ = filters()
        mean, sd = filter_statistics(weight)
        assert_close(standardize(weight, sd, mean), weight, rtol=0, atol=1e-14)

    def test_gamma_and_beta_are_the_new_statistics_whatever_the_weight_s_scale_and_shift(self):
        weight, gamma, beta = filters()
        moved = standardize(100 * weight + 7, gamma, beta)
        assert_close(moved.mean((1, 2, 3), keepdim=True), beta)
        assert_close(moved.std((1, 2, 3), keepdim=True), gamma.abs(), rtol=1e-8, atol=0)

    def test_gradients(self):
        tensors = [t.requires_grad_() for t in filters(num=2, channels=1, k=2)]
        assert gradcheck(standardize, tensors)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_statistics_of_a_half_precision_weight_are_float32(self, dtype):
        weight, gamma, beta = filters(num=4, channels=64, dtype=dtype)
        weight = weight + 8  # mean and spread would lose all their digits in 8 bits
        mean, sd = filter_statistics(weight)
        assert mean.dtype == sd.dtype == torch.float32
        assert_close(sd, filter_statistics(weight.double())[1].float(), rtol=1e-5, atol=0)
        assert standardize(weight, gamma, beta).dtype == dtype


class TestSingleWeights:
    """A filter of one weight has no spread."""

    def layer(self, cls):
        return cls(4, 4, 1, groups=4, bias=False)

    def test_they_pass_unchanged_and_train(self):
        layer = self.layer(ConvAWS)
        y, grads = gradients(layer, image())
        assert_close(y, image() * layer.weight.detach()[:, 0])
        assert (grads["weight"] != 0).all()

    @UPSTREAM
    def test_upstream(self):
        assert torch.isfinite(self.layer(ConvAWS2d)(image())).all()


class TestParity:
    @pytest.mark.parametrize(
        "cfg", [{}, dict(stride=2, groups=2, bias=False), dict(dilation=2)], ids=str
    )
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
    def test_outputs_and_gradients(self, cfg, dtype, limit):
        theirs, ours = conv(dtype=dtype, cls=ConvAWS2d, **cfg), conv(dtype=dtype, **cfg)
        shake(theirs, seed=9)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        theirs.load_state_dict(ours.state_dict(), strict=True)
        (y, grads), (y0, grads0) = gradients(ours, image(dtype)), gradients(theirs, image(dtype))
        assert error(y, y0) < limit
        assert grads.keys() == grads0.keys()
        assert max(error(grads[name], grads0[name]) for name in grads) < 10 * limit

    def test_a_resnet_with_a_classifier_s_weights_is_that_classifier(self):
        torch.manual_seed(0)
        cfg = dict(type="mmdet.ResNet", depth=50, base_channels=8)
        plain = MMDET.build(cfg)
        plain.init_weights()
        ours = MMDET.build(dict(cfg, conv_cfg=dict(type="mmext.ConvAWS")))
        ours.load_state_dict(plain.state_dict(), strict=True)
        for model in (plain, ours):
            model.eval()
        x = torch.randn(1, 3, 96, 128)
        for a, b in zip(ours(x), plain(x), strict=True):
            assert error(a, b) < 1e-6


class TestLoading:
    def test_the_weight_of_a_plain_convolution_is_all_it_needs(self):
        plain, layer = shake(nn.Conv2d(4, 6, 3, padding=1)), conv()
        layer.load_state_dict(plain.state_dict(), strict=True)
        assert error(layer(image()), plain(image())) < 1e-6

    @pytest.mark.parametrize(
        "state", [{}, {"1.weight": torch.zeros(2, 6, 1, 1)}], ids=["nothing", "another's"]
    )
    def test_a_checkpoint_without_its_weight_changes_nothing(self, state):
        net = nn.Sequential(conv(), nn.Conv2d(6, 2, 1, bias=False))
        before = net[0](image())
        report = net.load_state_dict(state, strict=False)
        assert torch.equal(net[0](image()), before)
        assert {"0.weight", "0.bias", "0.weight_gamma", "0.weight_beta"} <= set(report.missing_keys)

    @UPSTREAM
    def test_upstream(self):
        layer = conv(cls=ConvAWS2d)
        before = layer(image())
        layer.load_state_dict({}, strict=False)
        assert torch.equal(layer(image()), before)

    def test_half_of_the_statistics_is_an_error(self):
        state = conv().state_dict()
        del state["weight_beta"]
        with pytest.raises(RuntimeError, match="weight_beta"):
            conv().load_state_dict(state, strict=True)

    def test_a_weight_of_another_shape_is_an_error_and_changes_nothing(self):
        layer = conv()
        before = copy.deepcopy(layer.state_dict())
        with pytest.raises(RuntimeError, match="size mismatch for weight"):
            layer.load_state_dict({"weight": torch.zeros(6, 4, 1, 1)}, strict=False)
        assert_close(layer.state_dict(), before, rtol=0, atol=0)


class TestInitialisation:
    def test_a_fresh_layer_is_the_plain_convolution_of_its_weight(self):
        layer = ConvAWS(4, 6, 3)
        assert_close(layer.effective_weights()[0], layer.weight)

    def test_so_is_one_whose_parent_drew_new_weights(self):
        class Net(BaseModule):
            def __init__(self):
                super().__init__(init_cfg=dict(type="Kaiming", layer="Conv2d"))
                self.body = Sequential(ConvAWS(4, 6, 3))

        net = Net()
        before = net.body[0].weight.clone()
        net.init_weights()
        assert not torch.equal(net.body[0].weight, before)
        assert_close(net.body[0].effective_weights()[0], net.body[0].weight)

    def test_random_deep_nets_stay_finite(self):
        torch.manual_seed(0)
        x = image(channels=8)
        for _ in range(20):
            layer = ConvAWS(8, 8, 3, padding=1)
            kaiming_init(layer)
            layer.init_weights()
            x = layer(x).relu()
        assert x.abs().max() < 10


class TestRegistry:
    def test_mmcv_builds_it_by_name(self):
        layer = build_conv_layer(
            dict(type="mmext.ConvAWS"), 4, 6, kernel_size=3, stride=2, bias=False
        )
        assert type(layer) is ConvAWS
        assert layer.stride == (2, 2)

    def test_it_serves_in_mmcv_s_conv_module(self):
        module = ConvModule(
            4, 6, 3, padding=1, conv_cfg=dict(type="mmext.ConvAWS"), norm_cfg=dict(type="BN")
        )
        assert module(image()).shape == (2, 6, 9, 11)
        assert_close(module.conv.effective_weights()[0], module.conv.weight)


class TestPrecision:
    @pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 3e-2), (torch.float16, 5e-3)])
    def test_autocast_rounds_the_product_only(self, dtype, limit):
        layer = conv()
        expected, weight = layer(image()), layer.effective_weights()[0]
        with torch.autocast("cpu", dtype=dtype):
            assert torch.equal(layer.effective_weights()[0], weight)
            y = layer(image())
        assert y.dtype == dtype
        assert error(y.float(), expected) < limit

    def test_a_bfloat16_model_runs(self):
        layer = conv()
        y = layer(image())
        assert error(layer.bfloat16()(image(torch.bfloat16)).float(), y) < 3e-2


class TestFuse:
    @pytest.mark.parametrize("bias", [True, False])
    def test_it_is_a_plain_convolution_of_the_same_output(self, bias):
        layer = conv(bias, stride=2, groups=2).eval()
        layer.weight.requires_grad_(False)
        plain = layer.fuse()
        assert type(plain) is nn.Conv2d
        assert plain.state_dict().keys() == {"weight", "bias"} if bias else {"weight"}
        assert not plain.training
        assert not plain.weight.requires_grad
        assert torch.equal(plain(image()), layer(image()))

    def test_its_weights_load_into_the_layer_again(self):
        layer, other = conv(), conv()
        other.load_state_dict(layer.fuse().state_dict(), strict=True)
        assert error(other(image()), layer(image())) < 1e-6
