"""SACBackbone: any backbone with switchable convolutions starts as itself and loads its files."""

import copy

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.model import PretrainedInit
from torch.testing import assert_close

from mmext.detection.detecto_rs.sac import SAC
from mmext.registry import MODELS
from tests.detection.detecto_rs.sac_layers import DEFORM, error, shake

register_all_modules(init_default_scope=False)

MOBILE = dict(type="mmdet.MobileNetV2", widen_factor=0.25, out_indices=(2, 4, 7))
RESNET = dict(type="mmdet.ResNet", depth=18, base_channels=8)
NETS = {
    "depthwise": (MOBILE, "layer[5-7].*.depthwise_conv.conv", 7),
    "residual": (RESNET, ["layer3.*.conv[12]", "layer4.*.conv2"], 6),
    "all": (RESNET, None, 16),
}
EACH = pytest.mark.parametrize("name", NETS)


def plain(name, **cfg):
    torch.manual_seed(0)
    net = MODELS.build(dict(copy.deepcopy(NETS[name][0]), **cfg))
    net.init_weights()
    net.eval()  # mmdet's ResNet returns nothing here
    return net


def converted(name, seed=1, **cfg):
    """Ours around the same net, started from other random numbers."""
    torch.manual_seed(seed)
    inner = dict(copy.deepcopy(NETS[name][0]), **cfg.pop("inner", {}))
    net = MODELS.build(dict(type="mmext.SACBackbone", backbone=inner, select=NETS[name][1], **cfg))
    net.init_weights()
    net.eval()
    return net


def image():
    return torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(3))


def sacs(net):
    return [module for module in net.modules() if isinstance(module, SAC)]


def changed(net):
    for layer in sacs(net):
        shake(layer)
    return net


class TestStart:
    @EACH
    @DEFORM
    def test_a_plain_file_gives_the_plain_net(self, name, use_deform, tmp_path):
        torch.save(dict(state_dict=plain(name).state_dict()), tmp_path / "plain.pth")
        from_file = dict(init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "plain.pth")))
        net = converted(name, use_deform=use_deform, inner=from_file)
        assert len(sacs(net)) == NETS[name][2]
        for ours, theirs in zip(net(image()), plain(name)(image()), strict=True):
            assert error(ours, theirs) < 1e-5

    @EACH
    def test_random_weights_leave_every_switch_neutral(self, name):
        net = converted(name)
        assert all(layer.is_neutral() for layer in sacs(net))
        for layer in sacs(net):
            assert_close(layer.effective_weights()[0], layer.weight)
        for ours, theirs in zip(net(image()), plain(name)(image()), strict=True):
            assert 0.3 < ours.std() / theirs.std() < 3, (
                "drawn from another distribution than the host's"
            )

    def test_what_a_file_knows_of_switches_is_kept(self, tmp_path):
        trained = changed(converted("residual"))
        torch.save(dict(state_dict=trained.state_dict()), tmp_path / "trained.pth")
        start = dict(type="Pretrained", checkpoint=str(tmp_path / "trained.pth"))
        assert_close(
            converted("residual", init_cfg=start)(image()), trained(image()), rtol=0, atol=0
        )

    @pytest.mark.parametrize("form", range(4))
    @pytest.mark.parametrize("inside", [False, True])
    def test_a_trained_start_is_kept_in_every_form(self, inside, form, tmp_path):
        """Seen before: a class as type drew every switchable convolution anew."""
        trained = changed(converted("residual"))
        file = str(tmp_path / "trained.pth")
        torch.save((trained.backbone if inside else trained).state_dict(), file)
        by_name, by_class = (
            dict(type=kind, checkpoint=file) for kind in ("Pretrained", PretrainedInit)
        )
        start = dict(init_cfg=[by_name, by_class, [by_name], [by_class]][form])
        # Within, the plain net loads the file: it is asked to while its convolutions are converted
        # already.
        net = converted("residual", **(dict(inner=start) if inside else start))
        assert_close(dict(net.state_dict()), dict(trained.state_dict()), rtol=0, atol=0)

    def test_hosts_that_freeze_leave_what_is_new_free(self):
        net = converted("all", inner=dict(frozen_stages=4)).train()
        free = {name.split(".")[-2] for name, p in net.named_parameters() if p.requires_grad}
        assert free == {"switch", "pre_context", "post_context"} | {"conv1", "conv2"}
        assert all(
            p.requires_grad is name.endswith("weight_diff")
            for name, p in net.named_parameters()
            if "conv" in name.split(".")[-2]
        )
        assert not any(p.requires_grad for p in net.requires_grad_(False).train().parameters())


class TestFiles:
    @EACH
    def test_plain_keys_load_and_only_what_sac_adds_is_missing(self, name):
        net = converted(name)
        result = net.load_state_dict(plain(name).state_dict(), strict=False)
        assert not result.unexpected_keys
        added = ("weight_diff", "switch", "pre_context", "post_context", "offset")
        assert result.missing_keys
        assert all(any(part in key for part in added) for key in result.missing_keys)

    def test_its_own_load_strictly(self):
        one, other = changed(converted("residual")), converted("residual", seed=2)
        other.load_state_dict(one.state_dict(), strict=True)
        assert_close(other(image()), one(image()), rtol=0, atol=0)


def test_it_takes_feedback_inside_rfp_feedback():
    torch.manual_seed(0)
    inner = dict(
        type="mmext.SACBackbone", backbone=copy.deepcopy(MOBILE), select=NETS["depthwise"][1]
    )
    net = MODELS.build(
        dict(
            type="mmext.RFPFeedback",
            backbone=inner,
            rfp_inplanes=4,
            stages=("backbone.layer3.0", None, "backbone.layer6.0"),
            channels=(8, None, 40),
        )
    )
    net.init_weights()
    net.eval()
    assert not net.load_state_dict(plain("depthwise").state_dict(), strict=False).unexpected_keys
    feedback = [torch.randn(2, 4, 8, 10), None, torch.randn(2, 4, 2, 3)]
    assert_close(
        net.rfp_forward(image(), feedback), plain("depthwise")(image()), rtol=1e-4, atol=1e-5
    )
    torch.nn.init.normal_(net.rfp_convs["0"].weight)
    assert error(net.rfp_forward(image(), feedback)[0], net(image())[0]) > 0.01


def test_a_pattern_that_matches_nothing_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="select must match at least one convolution, got none of"):
        MODELS.build(dict(type="mmext.SACBackbone", backbone=RESNET, select="layer9.*"))
