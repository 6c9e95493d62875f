"""EMAHead: mmseg's keys and numbers, the authors' files, counts of the paper's table."""

import math

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.models.backbones import ResNetV1c
from mmseg.models.decode_heads import EMAHead as MMSegEMAHead
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mmext.layers.em_bases import EMBases
from mmext.registry import MODELS
from mmext.segmentation.emanet import EMAHead, from_official
from tests.checkout import REPO, run_tool

SMALL = dict(in_channels=16, channels=8, ema_channels=12, num_bases=6, num_stages=3, num_classes=5)


def heads(concat_input=True, **cfg):
    """Ours and mmseg's with the same random weights, loaded strictly both ways."""
    sizes = {**SMALL, "concat_input": concat_input, "norm_cfg": dict(type="BN"), **cfg}
    torch.manual_seed(0)
    ours, theirs = EMAHead(**sizes), MMSegEMAHead(**sizes)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for head in (ours, theirs):
        head.dropout = nn.Identity()
    return ours, theirs


def maps(size=(17, 23), channels=16, batch=2, seed=1):
    return [torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize("concat_input", [True, False])
class TestParity:
    def test_in_evaluation(self, concat_input):
        ours, theirs = heads(concat_input)
        ours.eval()
        theirs.eval()
        assert_close(ours(maps()), theirs(maps()), rtol=0, atol=1e-5)

    def test_gradients_and_bases_in_training(self, concat_input):
        found = []
        for head in heads(concat_input):
            # the norm after the reconstruction, which hardly varies, magnifies rounding
            head.double()
            for seed in range(3):
                head([x.double() for x in maps(seed=seed)]).square().mean().backward()
            frozen = [name for name, p in head.named_parameters() if p.grad is None]
            assert frozen == ["ema_mid_conv.conv.weight", "ema_mid_conv.conv.bias"]
            grads = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
            found.append(grads | head.state_dict(prefix="state."))
        for name, ours in found[0].items():
            error = (ours - found[1][name]).double().norm()
            assert error <= 1e-9 * found[1][name].double().norm() + 1e-15, name


@pytest.mark.parametrize("initialise", [False, True])
def test_a_seed_gives_the_start_of_mmsegs_head(initialise):
    starts = []
    for kind in (EMAHead, MMSegEMAHead):
        torch.manual_seed(5)
        head = kind(**SMALL, norm_cfg=dict(type="BN"))
        if initialise:
            head.init_weights()
        starts.append(dict(head.state_dict(), next=torch.rand(1)))
    assert_close(*starts, rtol=0, atol=0)


def test_a_zoo_s_size_loads_strictly():
    sizes = dict(
        in_channels=2048, channels=256, ema_channels=512, num_bases=64, num_stages=3, num_classes=19
    )
    with torch.device("meta"):
        ours, theirs = EMAHead(**sizes), MMSegEMAHead(**sizes)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


@pytest.mark.parametrize(
    ("channels", "parameters", "gmacs"), [(512, 10_007_573, 43.10), (256, 4_872_725, 21.00)]
)
def test_counts_are_those_of_the_authors_table(channels, parameters, gmacs):
    """Without the exit convolution, as in their README: 10.0 M and 43.1 G, 4.87 M and 21.1 G."""
    sizes = dict(
        in_channels=2048, ema_channels=channels, num_bases=64, num_stages=3, num_classes=21
    )
    head = EMAHead(**sizes, channels=channels, concat_input=False, norm_cfg=dict(type="BN")).eval()
    head.bottleneck = nn.Identity()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head([torch.zeros(1, 2048, 65, 65)])
    count = sum(p.numel() for p in head.parameters()) + head.ema_module.bases.numel()
    assert count == parameters
    assert math.isclose(counter.get_total_flops() / 2e9, gmacs, abs_tol=0.05)


class ConvNormRelu(nn.Module):
    """The authors' names for a convolution and its norm."""

    def __init__(self, inside, out, kernel):
        super().__init__()
        self.conv = nn.Conv2d(inside, out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Unit(nn.Module):
    """The authors' unit by its names and equations."""

    def __init__(self, channels, num_bases):
        super().__init__()
        self.register_buffer("mu", EMBases(channels, num_bases).bases.clone())
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.conv2 = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x):
        y = self.conv1(x).flatten(2)
        mu = self.mu.expand(len(x), -1, -1)
        for _ in range(3):
            z = (y.mT @ mu).softmax(2)
            mu = y @ (z / (1e-6 + z.sum(1, keepdim=True)))
            mu = mu / (1e-6 + mu.norm(dim=1, keepdim=True))
        return (self.conv2((mu @ z.mT).reshape(x.shape).relu()) + x).relu()


class Official(nn.Module):
    """The authors' network behind its backbone, with the parts of a ResNet with a deep stem."""

    def __init__(self, backbone):
        super().__init__()
        stem = backbone.stem
        stages = [backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4]
        self.extractor = nn.Sequential(stem[:7], stem[7], nn.ReLU(), backbone.maxpool, *stages)
        self.fc0 = ConvNormRelu(128, 12, 3)
        self.emau = Unit(12, 6)
        self.fc1 = nn.Sequential(ConvNormRelu(12, 8, 3), nn.Dropout2d(0.1))
        self.fc2 = nn.Conv2d(8, 5, 1)

    def forward(self, x):
        return self.fc2(self.fc1(self.emau(self.fc0(self.extractor(x)))))


def small_backbone():
    torch.manual_seed(3)
    return ResNetV1c(
        depth=50, stem_channels=8, base_channels=4, multi_grid=(2, 8, 16), strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4), contract_dilation=True,
    )  # fmt: skip


def test_the_authors_files_give_the_authors_outputs():
    official = Official(small_backbone())
    for buffer in official.buffers():
        if buffer.dtype.is_floating_point and buffer.dim() == 1:
            buffer.uniform_(0.5, 1.5)
    official.eval()
    model = nn.ModuleDict(
        dict(
            backbone=small_backbone(),
            decode_head=EMAHead(
                **{**SMALL, "in_channels": 128}, concat_input=False, norm_cfg=dict(type="BN")
            ),
        )
    )
    weights = {f"module.{name}": tensor for name, tensor in official.state_dict().items()}
    model.load_state_dict(from_official(weights), strict=True)
    for module in model.values():
        module.eval()
    x = torch.randn(2, 3, 64, 72)
    assert_close(model["decode_head"](model["backbone"](x)[-1:]), official(x), rtol=1e-4, atol=1e-5)


def files(tmp_path, content):
    source, out = tmp_path / "final.pth", tmp_path / "out.pth"
    torch.save(content, source)
    return source, out


def test_the_converter_writes_a_file_that_mmengine_loads_strictly(tmp_path):
    network = Official(small_backbone())
    source, out = files(tmp_path, dict(net=network.state_dict(), step=3))
    done = run_tool("convert_emanet.py", source, out, PYTHONPATH=str(REPO))
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == f"{out}: {len(network.state_dict())} tensors for an EncoderDecoder with mmext.EMAHead\n"
    )
    head = EMAHead(**{**SMALL, "in_channels": 128}, concat_input=False, norm_cfg=dict(type="BN"))
    model = nn.ModuleDict(dict(backbone=small_backbone(), decode_head=head))
    load_checkpoint(model, str(out), strict=True)
    assert_close(model["decode_head"].ema_module.bases, network.emau.mu)


def test_the_converter_says_what_is_wrong_with_a_file(tmp_path):
    source, out = files(tmp_path, dict(net=dict(head=1)))
    done = run_tool("convert_emanet.py", source, out, PYTHONPATH=str(REPO))
    assert done.returncode == 1
    assert (
        "expected a state dict of tensors, or one under 'net', got a dict with the keys net"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_a_file_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"head\.weight: expected a name of the authors' EMANet"):
        from_official({"head.weight": torch.zeros(1)})


def test_a_map_of_other_channels_and_bases_of_another_size_are_refused_with_a_sentence():
    ours, _ = heads()
    other, _ = heads(num_bases=7)
    with pytest.raises(ValueError, match=r"ema_module\.bases: expected \(1, 12, 6\)"):
        ours.load_state_dict(other.state_dict())


def test_the_registry_builds_it_with_its_options():
    head = MODELS.build(
        dict(
            type="mmext.EMAHead",
            bases_update="official",
            renorm_bases=True,
            temperature=0.5,
            **SMALL,
        )
    )
    assert type(head) is EMAHead
    module = head.ema_module
    assert (module.bases_update, module.renorm_bases, module.temperature) == ("official", True, 0.5)
