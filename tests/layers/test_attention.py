"""Attention in each way of working it out, against loops written from its definition."""

import math

import pytest
import torch
from torch.testing import assert_close

from mmext.layers import attention
from mmext.layers.attention import additive_attention, chosen, product_attention, softmax_attention
from mmext.measure import bytes_kept_for_backward
from tests.fresh_process import run, run_from_nothing

IMPLS = ("sdpa", "chunk", "matmul")
WAYS = pytest.mark.parametrize("impl", IMPLS)
WIDTHS = pytest.mark.parametrize("width", [6, 24, 9, 4])  # of the values; queries have 6 channels


def qkv(width=6, n=7, m=5, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    shapes = ((2, n, 6), (2, m, 6), (2, m, width))
    return [torch.randn(s, generator=g, dtype=dtype).requires_grad_() for s in shapes]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of a few queries, so that small tensors need several."""
    monkeypatch.setattr(attention, "elements_a_block", lambda device: 20)


@WAYS
@WIDTHS
def test_softmax_attention_is_its_definition(impl, width):
    q, k, v = (x.detach() for x in qkv(width))
    out = softmax_attention(q, k, v, impl=impl)
    for b in range(2):
        for i in range(7):
            weights = [math.exp(q[b, i] @ k[b, j]) for j in range(5)]
            expected = sum(w * v[b, j] for j, w in enumerate(weights)) / sum(weights)
            assert_close(out[b, i], expected)


def test_product_attention_is_its_definition():
    q, k, v = (x.detach() for x in qkv(9))
    out = product_attention(q, k, v)
    for b in range(2):
        for i in range(7):
            assert_close(out[b, i], sum((q[b, i] @ k[b, j]) * v[b, j] for j in range(5)) / 5)


@pytest.mark.parametrize("impl", ["chunk", "matmul"])
def test_additive_attention_is_its_definition(impl):
    q, k, v = (x.detach() for x in qkv(9))
    a, b = q[..., 0], k[..., 0]
    out = additive_attention(a, b, v, impl=impl)
    for n in range(2):
        for i in range(7):
            assert_close(out[n, i], sum(max(a[n, i] + b[n, j], 0) * v[n, j] for j in range(5)) / 5)


@WAYS
@WIDTHS
def test_gradients_of_softmax_attention(impl, width):
    assert torch.autograd.gradcheck(lambda *x: softmax_attention(*x, impl=impl), qkv(width))


def test_gradients_without_softmax():
    q, k, v = qkv()
    assert torch.autograd.gradcheck(product_attention, (q, k, v))
    a, b = (x[..., 0].detach().requires_grad_() for x in (q, k))
    assert torch.autograd.gradcheck(additive_attention, (a, b, v))


@WAYS
def test_the_order_of_keys_does_not_matter_and_that_of_queries_is_kept(impl):
    q, k, v = qkv(24)
    out = softmax_attention(q, k, v, impl=impl)
    assert_close(softmax_attention(q, k.flip(1), v.flip(1), impl=impl), out)
    assert_close(softmax_attention(q.flip(1), k, v, impl=impl), out.flip(1))


@WAYS
def test_equal_keys_give_the_mean_of_the_values(impl):
    q, k, v = qkv()
    out = softmax_attention(q, k[:, :1].expand_as(k), v, impl=impl)
    assert_close(out, v.mean(1, keepdim=True).expand_as(out))


@WAYS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_float32(impl, dtype):
    q, k, v = (x.detach().float() for x in qkv(24, n=40, m=30))
    out = softmax_attention(q.to(dtype), k.to(dtype), v.to(dtype), impl=impl)
    assert out.dtype == dtype
    assert (out.float() - softmax_attention(q, k, v)).norm() < 0.02 * out.float().norm()


def test_auto_takes_the_leaner_way():
    few, many = 1050, 4200  # places of the last two maps of an image of 800 x 1333 pixels
    for device, ways in (("cpu", ("matmul", "chunk")), ("meta", ("matmul", "sdpa"))):
        for places, way in zip((few, many), ways, strict=True):
            narrow = torch.zeros(1, places, 1, device=device)
            assert chosen("auto", narrow, narrow) == "sdpa"
            assert chosen("auto", narrow, narrow.expand(-1, -1, 4)) == way
            assert chosen("chunk", narrow, narrow.expand(-1, -1, 4)) == "chunk"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("keys", [1024, 32768])
def test_half_precision_is_near_float32_for_any_number_of_keys(dtype, keys):
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, n, 8, generator=g).to(dtype) for n in (16, keys, keys))
    rounding = 4 * torch.finfo(dtype).eps
    for attend, args in (
        (product_attention, (q, k, v)),
        (additive_attention, (q[..., 0], k[..., 0], v)),
    ):
        exact = attend(*(x.double() for x in args))
        assert (attend(*args).double() - exact).norm() <= rounding * exact.norm(), attend.__name__


def test_unknown_ways_are_refused():
    with pytest.raises(ValueError, match=r"attn_impl must be one of .*'chunk'.*, got 'flash'"):
        softmax_attention(*qkv(), impl="flash")
    q, k, v = qkv()
    with pytest.raises(ValueError, match="'sdpa' has a softmax and concatenation has none"):
        additive_attention(q[..., 0], k[..., 0], v, impl="sdpa")


@pytest.mark.parametrize(
    ("impl", "width"), [("sdpa", 32), ("chunk", 32), ("chunk", 128), ("sdpa", 128)]
)
def test_backward_keeps_no_matrix(impl, width):
    n, m = 600, 500
    q, k, v = (torch.randn(1, s, c, requires_grad=True) for s, c in ((n, 32), (m, 32), (m, width)))
    kept = bytes_kept_for_backward(lambda: softmax_attention(q, k, v, impl=impl))
    inputs, output, row_sums = (
        (q.nbytes + k.nbytes + v.nbytes),
        4 * n * width,
        4 * n * (width // 32),
    )
    # Copies of the values' parts come on top where the fused kernel takes them one by one.
    assert kept <= inputs + v.nbytes + output + 2 * row_sums + 1024
    assert bytes_kept_for_backward(lambda: softmax_attention(q, k, v, impl="matmul")) > 4 * n * m


MEMORY = """
    import resource, sys, torch
    from mmext.layers.attention import softmax_attention
    torch.set_num_threads(1)
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    q, k, v = torch.randn(3, 1, 4096, 256)
    small = [x[:, :300] for x in (q, k, v)]
    with torch.no_grad():
        softmax_attention(*small, impl=IMPL)  # what the libraries take once is not counted
        before = peak()
        softmax_attention(q, k, v, impl=IMPL)
    print((peak() - before) / 1024)
"""


def test_peak_memory_at_4096_places():
    mib = {
        impl: float(run_from_nothing(MEMORY.replace("IMPL", repr(impl)), cwd=".")) for impl in IMPLS
    }
    assert mib["sdpa"] <= 30
    assert mib["sdpa"] <= 0.25 * mib["matmul"]
    assert mib["chunk"] <= 0.5 * mib["matmul"]


# In a process of its own: the checks of shapes that run in tests are no part of a graph.
COMPILE = """
    import torch
    from torch.testing import assert_close
    from mmext.layers.attention import softmax_attention
    q, k, v = (torch.randn(2, n, c, requires_grad=True) for n, c in ((7, 6), (5, 6), (5, 24)))
    for impl in ("sdpa", "chunk", "matmul", "auto"):
        compiled = torch.compile(
            lambda *x: softmax_attention(*x, impl=impl), backend="eager", fullgraph=True
        )
        assert_close(compiled(q, k, v), softmax_attention(q, k, v, impl=impl))
        compiled(q, k, v).sum().backward()
"""


def test_it_compiles_in_one_graph():
    run(COMPILE, cwd=".")
