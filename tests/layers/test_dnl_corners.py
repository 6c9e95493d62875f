"""Disentangled non-local blocks, corners: ways, ablations, precision, memory, starts, bad input."""

import copy

import pytest
import torch
from mmcv.cnn import NonLocal2d
from torch.testing import assert_close

from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
from mmext.layers.disentangled_terms import pairwise_term
from mmext.layers.disentangled_variants import MODES, TERMS, WHITEN, inner_channels
from mmext.measure import bytes_kept_for_backward
from tests.fresh_process import run
from tests.layers.dnl_oracle import BN, IMPLS, VARIANTS, drawn, some_map

WAYS = [
    *(dict(mode=mode) for mode in MODES),
    *(dict(variant=variant) for variant in VARIANTS),
    *(dict(attn_impl=impl) for impl in IMPLS),
    *(dict(variant=variant, whiten=whiten) for variant in VARIANTS for whiten in WHITEN),
    *(dict(variant=variant, terms=(term,)) for variant in VARIANTS for term in TERMS),
    *(dict(variant=variant, temperature=t) for variant in VARIANTS for t in (0.01, 1, 100.0)),
    *(dict(variant=variant, use_scale=scale) for variant in VARIANTS for scale in (False, True)),
    *(dict(variant="detection", mode=mode) for mode in MODES[1:]),
    dict(terms=("pairwise",), whiten="none", norm_cfg=BN),
    dict(terms=("unary",), norm_cfg=BN),
    dict(norm_cfg=BN),
]


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_all_ways_leave_the_input_alone_and_have_gradients(way, sub_sample):
    reduction = 1 if way.get("mode") == "gaussian" else 2
    block = drawn(
        DisentangledNonLocal2d(16, reduction=reduction, sub_sample=sub_sample, **way), std=0.1
    )
    x = some_map().requires_grad_()
    before = x.detach().clone()
    block(x).square().sum().backward()
    assert torch.equal(x, before)
    assert torch.isfinite(x.grad).all()
    for name, parameter in block.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any() or name.endswith("bias"), name


@pytest.mark.parametrize("mode", MODES)
def test_temperature_and_whitening_have_an_effect_in_every_mode(mode):
    outs = []
    for change in ({}, dict(temperature=0.5), dict(whiten="none")):
        block = drawn(DisentangledNonLocal2d(16, reduction=1, mode=mode, **change))
        outs.append(block(some_map()))
    assert (outs[1] - outs[0]).norm() > 1e-3 * outs[0].norm()
    assert (outs[2] - outs[0]).norm() > 1e-3 * outs[0].norm()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_two_terms_alone_add_up_to_both(variant):
    both = drawn(DisentangledNonLocal2d(16, variant=variant))
    added = []
    for term in TERMS:
        alone = DisentangledNonLocal2d(16, variant=variant, terms=(term,))
        missing, _ = alone.load_state_dict(both.state_dict(), strict=False)
        assert not missing
        added.append(alone(some_map()) - some_map())
    if variant == "paper":  # the way out has a bias, which counts once
        added.append(-both.conv_out.conv.bias[:, None, None].expand_as(added[0]))
    assert_close(both(some_map()) - some_map(), sum(added), rtol=1e-4, atol=1e-5)


def test_the_unwhitened_pairwise_term_alone_is_mmcvs_non_local():
    theirs = drawn(NonLocal2d(16, norm_cfg=BN))
    ours = DisentangledNonLocal2d(
        16, terms=("pairwise",), whiten="none", temperature=1, norm_cfg=BN
    )
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert_close(ours(some_map()), theirs(some_map()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (dict(norm_cfg=BN), "norm_cfg is ignored: the block has no convolution behind"),
        (
            dict(variant="segmentation", use_scale=True),
            "use_scale=True is not the published block's",
        ),
        (dict(use_scale=False), "use_scale=False is not the published block's; use_scale=None is"),
    ],
    ids=str,
)
def test_what_a_stock_config_sets_otherwise_is_said(asked, sentence, monkeypatch):
    said = []
    monkeypatch.setattr(
        "mmext.layers.disentangled_variants.print_log", lambda text, **_: said.append(text)
    )
    DisentangledNonLocal2d(16, **dict(variant="detection") | asked)
    assert len(said) == 1
    assert sentence in said[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (50, 83)])
@pytest.mark.parametrize("sub_sample", [False, True])
def test_odd_sizes_and_one_image(size, sub_sample):
    block = drawn(DisentangledNonLocal2d(8, sub_sample=sub_sample, norm_cfg=BN))
    if size == (1, 1):
        block.eval()  # no norm has statistics of one value
    x = torch.randn(1, 8, *size)
    assert block(x).shape == x.shape
    assert torch.isfinite(block(x)).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_near_float32(variant, impl, dtype):
    block = drawn(DisentangledNonLocal2d(32, variant=variant, attn_impl=impl), std=0.1)
    x = some_map(channels=32).requires_grad_()
    expected = block(x).detach()
    with torch.autocast("cpu", dtype=dtype):
        out = block(x)
    out.float().square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (out - expected).norm() <= 0.02 * (expected - x).norm()


def test_large_features_stay_finite_in_float16():
    """Upstream divides after the product, which is beyond float16; here the queries are divided."""
    q = torch.full((1, 4, 256), 20.0, dtype=torch.float16)
    q[:, ::2] *= -1
    for impl in IMPLS:
        out = pairwise_term(q, q, q, scale=256**-0.5, impl=impl)
        assert torch.isfinite(out).all(), impl
    assert torch.isinf(q @ q.mT).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_backward_keeps_no_matrix(variant, monkeypatch):
    monkeypatch.setattr("mmext.layers.attention.FEW_PAIRS", 0)
    block = DisentangledNonLocal2d(16, variant=variant)
    # N = 600: the matrix has 1.44 MB, the map 38 kB
    x = torch.randn(1, 16, 24, 25, requires_grad=True)
    ours = bytes_kept_for_backward(lambda: block(x))
    matrix = bytes_kept_for_backward(lambda: DisentangledNonLocal2d(16, attn_impl="matmul")(x))
    assert ours < 10 * x.nbytes
    assert matrix > 600 * 600 * 4


def test_initialisation_is_restored():
    block = drawn(DisentangledNonLocal2d(16, variant="detection"))
    block.init_weights()
    assert block.gate.weight.item() == 0
    assert block.theta.conv.weight.std() < 0.02
    assert not block.phi.conv.bias.any()
    paper = drawn(DisentangledNonLocal2d(16, norm_cfg=BN))
    paper.init_weights()
    assert torch.equal(paper(some_map()), some_map())


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        (dict(variant="dnl"), r"variant must be one of \('paper', .*got 'dnl'"),
        (dict(mode="cosine"), "mode must be one of .*got 'cosine'"),
        (dict(attn_impl="flash"), "attn_impl must be one of .*got 'flash'"),
        (dict(whiten="batch"), "whiten must be one of .*got 'batch'"),
        (dict(reduction=32), "whole number from 1 to in_channels=16, got 32"),
        (dict(reduction=0), "whole number from 1 to in_channels=16, got 0"),
        (dict(temperature=0.0), "temperature must be above 0, got 0.0"),
        (dict(terms=()), r"terms must be some of \('pairwise', 'unary'\), got \(\)"),
        (dict(terms="unary"), r"got 'unary'; write \('unary',\)"),
        (dict(terms=("pair",)), "terms must be one of .*got 'pair'"),
    ],
    ids=str,
)
def test_bad_arguments_get_a_sentence(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        DisentangledNonLocal2d(16, **kwargs)


def test_a_block_wider_than_its_input_gets_a_sentence():
    with pytest.raises(
        ValueError, match=r"got 0\.5: inside, the block has .* no more than its input"
    ):
        inner_channels(16, 0.5)


@pytest.mark.parametrize("shape", [(2, 8, 5, 5), (2, 16, 5), (2, 16, 3, 5, 5)])
def test_a_map_of_another_shape_gets_a_sentence(shape):
    with pytest.raises(ValueError, match=r"takes \(B, 16, H, W\), got"):
        DisentangledNonLocal2d(16)(torch.zeros(shape))


# In a process of its own: the checks of shapes that run in tests are no part of a graph.
COMPILE = """
    import torch
    from torch.testing import assert_close
    from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
    for variant in ("paper", "segmentation", "detection"):
        block, x = DisentangledNonLocal2d(8, variant=variant), torch.randn(2, 8, 5, 4)
        assert_close(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))
"""


def test_it_compiles_in_one_graph():
    run(COMPILE, cwd=".")


def test_a_copy_is_independent():
    block = DisentangledNonLocal2d(16, variant="detection")
    twin = drawn(copy.deepcopy(block))
    assert block.gate.weight.item() == 0 != twin.gate.weight.item()
