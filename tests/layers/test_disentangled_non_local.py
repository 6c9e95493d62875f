"""Disentangled non-local blocks: equations, parity with mmseg and mmcv, properties."""

import pytest
import torch
from mmcv.cnn import NonLocal2d, build_plugin_layer
from mmseg.models.decode_heads.dnl_head import DisentangledNonLocal2d as Upstream
from torch.testing import assert_close

from mmext.layers.attention import softmax_attention
from mmext.layers.disentangled_non_local import (
    DisentangledNonLocal1d,
    DisentangledNonLocal2d,
    DisentangledNonLocal3d,
    as_map,
    tokens,
)
from mmext.layers.disentangled_terms import centred, pairwise_term, unary_term
from mmext.registry import MODELS
from tests.layers import dnl_oracle
from tests.layers.dnl_oracle import BLOCKS, BN, IMPLS, MMCV_BLOCKS, VARIANTS, drawn, some_map


@pytest.mark.parametrize("dims", BLOCKS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("impl", IMPLS)
def test_the_block_is_its_equation(dims, variant, impl):
    block = drawn(BLOCKS[dims](16, variant=variant, attn_impl=impl)).double()
    if variant != "paper":
        torch.nn.init.constant_(block.gate.weight, 0.7)
    x = some_map(dims).double()
    assert_close(block(x), dnl_oracle.block(block, x, variant=variant), rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients(variant):
    block = drawn(DisentangledNonLocal2d(4, variant=variant)).double()
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *parameters))


def pair_of_blocks(channels, impl, temperature=0.05):
    """Upstream's block and ours with the same random weights."""
    theirs = drawn(Upstream(channels, temperature=temperature, norm_cfg=BN), std=0.05)
    ours = DisentangledNonLocal2d(channels, temperature=temperature, norm_cfg=BN, attn_impl=impl)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def outputs_and_gradients(block, x):
    x = x.clone().requires_grad_()
    out = block(x)
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    return out, dict(x=x.grad, **{name: p.grad for name, p in block.named_parameters()})


@pytest.mark.parametrize("size", [(2, 32, 7, 5), (1, 512, 33, 17)])
@pytest.mark.parametrize("impl", IMPLS)
def test_parity_with_mmseg(size, impl):
    ours, theirs = (block.eval() for block in pair_of_blocks(size[1], impl))
    x = torch.randn(size, generator=torch.Generator().manual_seed(0))
    (out, grads), (expected, expected_grads) = (
        outputs_and_gradients(block, x) for block in (ours, theirs)
    )
    assert_close(out, expected, rtol=0, atol=1e-5)
    for name, grad in expected_grads.items():
        assert (grads[name] - grad).abs().max() <= 1e-4 * grad.abs().max().clamp_min(1), name


@pytest.mark.parametrize("impl", IMPLS)
def test_parity_with_mmseg_in_training(impl):
    # Upstream rounds its temperature to float32, where 1/16 is exact.
    ours, theirs = (block.double() for block in pair_of_blocks(32, impl, temperature=1 / 16))
    x = some_map(channels=32).double()
    results = [outputs_and_gradients(block, x) for block in (ours, theirs)]
    assert_close(*results, rtol=1e-7, atol=1e-9)
    assert_close(ours.state_dict(), theirs.state_dict())  # running statistics too


@pytest.mark.parametrize("mode", ["dot_product", "concatenation"])
def test_other_modes_equal_mmseg_forward(mode):
    theirs = drawn(Upstream(16, temperature=0.05, mode=mode))
    ours = DisentangledNonLocal2d(16, mode=mode)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        assert_close(ours(some_map()), theirs(some_map()), rtol=1e-4, atol=1e-5)


def test_the_pairwise_part_without_whitening_is_mmcvs_non_local():
    theirs = drawn(NonLocal2d(16))
    x = some_map()
    q, k, v = (tokens(getattr(theirs, name)(x)) for name in ("theta", "phi", "g"))
    ours = x + theirs.conv_out(as_map(softmax_attention(q / 8**0.5, k, v), x.shape[2:]))
    assert_close(ours, theirs(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dims", BLOCKS)
@pytest.mark.parametrize("sub_sample", [False, True])
def test_non_local_checkpoints_lack_the_mask_alone(dims, sub_sample):
    norm = dict(type=f"BN{dims}d")
    ours = BLOCKS[dims](16, sub_sample=sub_sample, norm_cfg=norm)
    theirs = MMCV_BLOCKS[dims](16, sub_sample=sub_sample, norm_cfg=norm)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert sorted(missing) == ["conv_mask.bias", "conv_mask.weight"]
    assert not unexpected


@pytest.mark.parametrize("whiten", ["channel", "scalar"])
def test_a_constant_on_all_keys_changes_nothing(whiten):
    q, k, v = torch.randn(3, 2, 9, 6, generator=torch.Generator().manual_seed(0))
    out = pairwise_term(q, k, v, whiten=whiten)
    assert_close(pairwise_term(q, k + torch.randn(6), v, whiten=whiten), out, rtol=0, atol=1e-5)
    assert_close(pairwise_term(q, centred(k, whiten), v, whiten=whiten), out, rtol=0, atol=1e-5)


def test_a_constant_on_all_queries_changes_nothing():
    q, k, v = torch.randn(3, 2, 9, 6, generator=torch.Generator().manual_seed(0))
    out = pairwise_term(q, k, v)
    assert_close(pairwise_term(q + torch.randn(6), k, v), out, rtol=0, atol=1e-5)
    scalar = pairwise_term(q, k, v, whiten="scalar")
    assert_close(pairwise_term(q + 3, k, v, whiten="scalar"), scalar, rtol=0, atol=1e-5)
    # one mean for all channels leaves part of the unary term
    assert (scalar - out).abs().max() > 0.1


def test_biases_of_queries_keys_and_mask_do_not_learn():
    block = drawn(DisentangledNonLocal2d(16)).double()
    block(some_map().double()).square().sum().backward()
    for conv in (block.theta.conv, block.phi.conv, block.conv_mask):
        assert conv.bias.grad.abs().max() < 1e-6 * conv.weight.grad.abs().max()


def test_the_paper_starts_as_an_identity():
    x = some_map()
    for norm in (None, BN):
        assert torch.equal(DisentangledNonLocal2d(16, norm_cfg=norm)(x), x)
        started = DisentangledNonLocal2d(16, norm_cfg=norm, zeros_init=False)(x)
        assert not torch.equal(started, x)


@pytest.mark.parametrize("variant", ["segmentation", "detection"])
def test_a_closed_gate_leaves_the_unary_term(variant):
    block = DisentangledNonLocal2d(16, variant=variant)
    x = some_map()
    added = block(x) - x
    expected = unary_term(block.conv_mask(x).flatten(1), tokens(block.g(x)))[:, 0]
    assert_close(added, expected[..., None, None].expand_as(added), rtol=1e-4, atol=1e-6)
    assert added.abs().max() > 1e-3


@pytest.mark.parametrize("impl", IMPLS)
def test_weights_add_up_to_two(impl):
    block = drawn(DisentangledNonLocal2d(16, variant="paper", attn_impl=impl))
    torch.nn.init.zeros_(block.g.conv.weight)
    # all values are 1, so a sum of weights is what comes out
    torch.nn.init.ones_(block.g.conv.bias)
    block.conv_out = torch.nn.Identity()
    x = some_map(channels=16)
    block.g.conv = torch.nn.Conv2d(16, 16, 1)
    torch.nn.init.zeros_(block.g.conv.weight)
    torch.nn.init.ones_(block.g.conv.bias)
    assert_close(block(x) - x, torch.full_like(x, 2.0), rtol=0, atol=1e-5)


def test_a_constant_map_is_attended_uniformly():
    x = some_map()[..., :1, :1].expand(-1, -1, 4, 5)
    block = drawn(DisentangledNonLocal2d(16))
    q, k = tokens(block.theta(x)), tokens(block.phi(x))
    one_hot = torch.eye(20)[None].expand(2, -1, -1)
    weights = pairwise_term(q, k, one_hot, impl="matmul")
    assert_close(weights, torch.full_like(weights, 1 / 20), rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sub_sampling_pools_first(variant):
    pooled = drawn(DisentangledNonLocal2d(16, variant=variant, sub_sample=True))
    x = some_map(seed=3)
    y = torch.nn.functional.max_pool2d(x, 2)
    q, k, v = (tokens(layer(z)) for layer, z in ((pooled.theta, x), (pooled.phi, y), (pooled.g, y)))
    scale = 1.0 if variant == "segmentation" else 20 / pooled.inter_channels**0.5
    pairs = pairwise_term(q, k, v, whiten=pooled.variant.whiten, scale=scale)
    unary = as_map(unary_term(pooled.conv_mask(y).flatten(1), v), (1, 1))
    pairs = as_map(pairs, x.shape[2:])
    expected = pooled.conv_out(pairs + unary) if variant == "paper" else pooled.gate(pairs) + unary
    assert_close(pooled(x), x + expected)


def test_clips_do_not_see_each_other():
    block = drawn(DisentangledNonLocal3d(16), std=0.1)
    clips = torch.randn(2, 16, 8, 14, 14, generator=torch.Generator().manual_seed(0))
    other = clips.clone()
    other[1] = 0
    with torch.no_grad():
        assert torch.equal(block(clips)[0], block(other)[0])
        swapped = block(clips.flip(0)).flip(0)
        assert_close(swapped, block(clips), rtol=0, atol=1e-5)
        frames = clips[:, :, torch.randperm(8)]
        assert_close(block(frames).mean(2), block(clips).mean(2), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        (dict(in_channels=512), 526_081),
        (dict(in_channels=1024, variant="detection"), 1_574_402),
        (dict(in_channels=2048, variant="detection"), 6_294_530),
    ],
)
def test_counts(kwargs, expected):
    assert sum(p.numel() for p in DisentangledNonLocal2d(**kwargs).parameters()) == expected


@pytest.mark.parametrize(
    "cls",
    [DisentangledNonLocal1d, DisentangledNonLocal2d, DisentangledNonLocal3d],
    ids=lambda cls: cls.__name__,
)
def test_it_is_built_from_the_registry_and_named_as_a_plug_in(cls):
    assert type(MODELS.build(dict(type=f"mmext.{cls.__name__}", in_channels=8))) is cls
    name, layer = build_plugin_layer(dict(type=f"mmext.{cls.__name__}"), postfix="1", in_channels=8)
    assert name == "dnl_block1"
    assert type(layer) is cls
