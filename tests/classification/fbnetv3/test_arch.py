"""The architectures are the released ones, to the digit."""

import pytest
import torch
from torch import nn

from mmext.classification.fbnetv3.arch import ARCHS, architecture
from mmext.classification.fbnetv3.backbone import FBNetV3
from tests.classification.fbnetv3.nets import TINY, cost, whole

# All parameters; weights alone, as published; published FLOPs; multiply-adds.
NUMBERS = {
    "a0": (6_309_964, 6_275_532, None, 217_917_744),
    "a": (8_598_464, 8_542_224, 356_598_280, 355_514_328),
    "b": (8_598_464, 8_542_224, 461_550_136, 460_150_000),
    "c": (9_973_800, 9_907_136, 556_969_904, 555_578_368),
    "d": (10_306_272, 10_237_552, 644_420_352, 642_628_864),
    "e": (10_772_872, 10_699_464, 762_046_336, 759_952_160),
    "f": (13_896_136, 13_803_072, 1_181_644_520, 1_178_860_656),
    "g": (16_623_888, 16_513_648, 2_129_656_384, 2_125_187_200),
}
CHANNELS = {
    "a0": (24, 40, 104, 208),
    "a": (24, 40, 120, 224),
    "b": (24, 40, 120, 224),
    "c": (24, 48, 120, 216),
    "d": (24, 40, 128, 240),
    "e": (24, 48, 128, 240),
    "f": (32, 56, 144, 272),
    "g": (40, 56, 160, 288),
}
MAPS = {  # official, symmetric padding
    "a": ((112, 56, 28, 13, 6), (112, 56, 28, 14, 7)),
    "b": ((124, 62, 31, 15, 7), (124, 62, 31, 16, 8)),
    "c": ((124, 62, 31, 15, 7), (124, 62, 31, 16, 8)),
    "d": ((124, 62, 31, 16, 8), (124, 62, 31, 16, 8)),
    "e": ((132, 66, 33, 16, 8), (132, 66, 33, 17, 9)),
    "f": ((136, 68, 34, 17, 8), (136, 68, 34, 17, 9)),
    "g": ((160, 80, 40, 20, 10), (160, 80, 40, 20, 10)),
}
SMALLEST = dict(a0=1, a=49, b=49, c=49, d=1, e=17, f=33, g=1)
HEADS = dict(a=1344, b=1344, c=1296, d=1440, e=1440, f=1632, g=1728)
NAMES = pytest.mark.parametrize("arch", ARCHS)


def test_all_are_there():
    assert list(ARCHS) == list(NUMBERS)


@NAMES
def test_parameters_are_counted_to_the_digit(arch):
    with torch.device("meta"):
        net = whole(arch)
    parameters, weights, _, _ = NUMBERS[arch]
    assert sum(p.numel() for p in net.parameters()) == parameters
    # Weights leave out what norms scale and shift by, and all biases.
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(layer.weight.numel() for layer in layers) == weights


@NAMES
def test_operations_are_counted_to_the_digit(arch):
    _, _, published, macs = NUMBERS[arch]
    found, pooled = cost(arch, "official")
    assert found == macs
    if published is not None:
        # One operation for each element that is pooled, the classifier's own 1,984 among them.
        assert found + pooled + 1984 == published


def test_symmetric_padding_costs_what_it_costs():
    assert cost("a", "same")[0] == 407_508_576
    assert cost("d", "same")[0] == NUMBERS["d"][3]
    assert cost("b", "same", 224)[0] == 407_508_576  # the released one at 224: 355,514,328


@NAMES
def test_channels_of_maps_and_head(arch):
    assert FBNetV3.out_channels(arch)[1:] == CHANNELS[arch]
    assert ARCHS[arch].head_channels == HEADS.get(arch, 1040)


@pytest.mark.parametrize("padding", ["official", "same"])
@NAMES
def test_maps_have_the_sizes_that_are_said(arch, padding):
    side = ARCHS[arch].size
    with torch.device("meta"):
        maps = FBNetV3(arch, out_indices=(0, 1, 2, 3, 4), padding=padding)(
            torch.empty(2, 3, side, side)
        )
    assert tuple(one.shape[-1] for one in maps) == ARCHS[arch].sides(side, padding)
    if arch in MAPS:
        assert ARCHS[arch].sides(side, padding) == MAPS[arch][padding == "same"]


@NAMES
def test_symmetric_padding_rounds_up(arch):
    for side in (1, 17, 225, 301):
        found = ARCHS[arch].sides(side)
        assert found == tuple(-(-side // stride) for stride in (2, 4, 8, 16, 32))


@NAMES
def test_the_smallest_side(arch):
    assert ARCHS[arch].smallest_side("official") == SMALLEST[arch]
    assert ARCHS[arch].smallest_side("same") == 1


def test_a_user_s_own():
    own = architecture(TINY)
    assert own.out_channels == (8, 16, 16, 24, 32)
    assert own.head_channels == 64
    assert architecture("G") is ARCHS["g"]


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("h", "one of a0, a, b, c, d, e, f, g or a dict, got 'h'"),
        (dict(stem=16), r"a name or dict\(stem=16.* got the keys \['stem'\]"),
        (dict(TINY, width=2), "got the keys .*'width'"),
        (dict(TINY, stages=["1x k3 e1 8"] * 5), "stages are five lists of rows"),
        (dict(TINY, stages=TINY["stages"][:4]), "must be five, .* got 4 with"),
        (dict(TINY, stages=[["1x k3 e1 8"]] * 5), r"each other one with one, got 5 with \[0, 0"),
        (dict(TINY, stages=[["k3 e1 8"], *TINY["stages"][1:]]), "must be like .* got 'k3 e1 8'"),
        (dict(TINY, stages=[["0x k3 e1 8"], *TINY["stages"][1:]]), "must be like .* got '0x k3"),
    ],
)
def test_what_is_no_architecture_is_named(arch, words):
    with pytest.raises(ValueError, match=words):
        architecture(arch)
