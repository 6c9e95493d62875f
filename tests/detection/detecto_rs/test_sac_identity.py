"""A SAC starts as the plain convolution of its weight, whoever initialises it.

Its forward changes no state.
"""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import build_conv_layer
from mmcv.ops import SAConv2d
from mmengine.model import BaseModule, Sequential, kaiming_init
from torch import nn
from torch.testing import assert_close

from mmext.detection.detecto_rs.sac import SAC, keep_identity
from tests.detection.detecto_rs.sac_layers import DEFORM, UPSTREAM, error, image, layer, shake


class Net(BaseModule):
    """A host's net that fills its convolutions with random numbers."""

    def __init__(self, init_cfg):
        super().__init__(init_cfg=init_cfg)
        self.body = Sequential(SAC(8, 12, 3, padding=1, use_deform=True), nn.Conv2d(12, 8, 1))


def drawn_by(init):
    """A host's net after its initialisation."""
    net = Net(init)
    net.init_weights()
    return net.body[0]


def drawn_by_mmdet():
    """As mmdet's DetectoRS_ResNet: every convolution, however deep; then ours is asked to keep."""
    net = Net(None)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            kaiming_init(module)
    assert keep_identity(net) == 1
    return net.body[0]


class TestIdentity:
    @DEFORM
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("groups", [1, 4])
    @pytest.mark.parametrize("dilation", [1, 2])
    def test_a_layer_that_loads_a_plain_convolution_is_that(
        self, use_deform, stride, groups, dilation
    ):
        cfg = dict(stride=stride, groups=groups, padding=dilation, dilation=dilation, bias=False)
        plain = shake(nn.Conv2d(8, 12, 3, **cfg))
        sac = SAC(8, 12, 3, **cfg, use_deform=use_deform)
        report = sac.load_state_dict(plain.state_dict(), strict=False)
        assert "weight_gamma" not in report.missing_keys
        assert "switch.weight" in report.missing_keys
        assert error(sac(image()), plain(image())) < 1e-6

    @pytest.mark.parametrize(
        "make",
        [
            lambda: drawn_by(dict(type="Kaiming", layer="Conv2d")),
            lambda: drawn_by([dict(type="Kaiming", layer=["Conv2d", "SAC", "ConvAWS"])]),
            lambda: drawn_by(dict(type="Normal", std=3.0, layer=["Conv2d", "ConstantConv", "SAC"])),
            drawn_by_mmdet,
        ],
        ids=["convs", "layers", "everything", "mmdet"],
    )
    def test_random_weights_leave_it_neutral(self, make):
        torch.manual_seed(0)
        sac = make()
        assert sac.is_neutral()
        assert not sac.weight_diff.any()
        assert not any(p.any() for p in sac.offset_l.parameters())
        expected = F.conv2d(image(), sac.weight, sac.bias, padding=1)
        assert error(sac(image()), expected) < 1e-5

    def test_what_is_no_convolution_of_torch_is_passed_by(self):
        """So that it stays neutral even where nobody asks for it afterwards."""
        sac = SAC(8, 12, 3, padding=1, use_deform=True)
        found = [name for name, module in sac.named_modules() if isinstance(module, nn.Conv2d)]
        assert found == [""]

    def test_keeping_leaves_alone_what_was_loaded(self):
        trained, net = layer(), Net(None)
        half = {
            f"body.0.{k}": v
            for k, v in trained.state_dict().items()
            if "context" in k or "gamma" in k
        }
        net.load_state_dict(half, strict=False)
        assert keep_identity(net, half) == 1
        once = copy.deepcopy(net.state_dict())
        assert keep_identity(net, half) == 1
        assert_close(net.state_dict(), once, rtol=0, atol=0)
        assert all(torch.equal(once[name], tensor) for name, tensor in half.items())
        assert not once["body.0.weight_diff"].any()

    def test_a_checkpoint_that_has_everything_leaves_nothing_to_keep(self):
        trained = layer()
        before = copy.deepcopy(trained.state_dict())
        assert keep_identity(trained, list(before)) == 0
        assert_close(trained.state_dict(), before, rtol=0, atol=0)

    def test_a_partial_load_changes_nothing(self):
        sac = layer()
        before = sac(image())
        sac.load_state_dict({}, strict=False)
        assert torch.equal(sac(image()), before)


class TestRegistry:
    def test_mmcv_builds_it_by_name(self):
        cfg = dict(type="mmext.SAC", use_deform=True, backend="grid_sample")
        sac = build_conv_layer(
            cfg, 8, 12, kernel_size=3, stride=2, padding=1, dilation=1, bias=False
        )
        assert type(sac) is SAC
        assert (sac.use_deform, sac.backend, sac.bias) == (True, "grid_sample", None)
        assert "use_deform=True, backend='grid_sample'" in repr(sac)


class TestState:
    def test_an_error_in_forward_leaves_the_layer_as_it_was(self):
        self.break_and_check(layer(False))

    @UPSTREAM
    def test_upstream(self):
        self.break_and_check(layer(False, SAConv2d))

    def break_and_check(self, sac):
        before = (sac.padding, sac.dilation)
        sac.weight_diff = nn.Parameter(torch.zeros(12, 8, 3, 5))  # no weight can be added to it
        with pytest.raises(RuntimeError):
            sac(image())
        assert (sac.padding, sac.dilation) == before

    @torch.no_grad()
    def test_both_kernels_are_kept_in_evaluation_and_follow_changes(self):
        sac = layer().eval()
        kept = sac.effective_weights()
        assert all(a is b for a, b in zip(kept, sac.effective_weights(), strict=True))
        sac.weight_diff.add_(1)
        assert_close(sac.effective_weights()[1], kept[1] + 1)
        other = pickle.loads(pickle.dumps(sac))
        assert torch.equal(other(image()), sac(image()))

    def test_the_weights_follow_training(self):
        sac = layer().eval()
        with torch.no_grad():
            before = sac(image())
        sac.train()
        sac(image()).sum().backward()
        torch.optim.SGD(sac.parameters(), lr=1e-3).step()
        expected = copy.deepcopy(sac).eval()(image())
        assert torch.equal(sac.eval()(image()), expected)
        assert not torch.equal(expected, before)
