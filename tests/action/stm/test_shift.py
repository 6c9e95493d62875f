"""CSTM: the oracle, the shift at the start, gradients, what is kept, half precision."""

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmext.action.stm.shift import ChannelTemporalConv, _concatenated, _convolved, temporal_conv
from mmext.measure import bytes_kept_for_backward
from tests.action.stm import oracle


def clips(B=2, T=5, C=6, H=3, W=4, **kind):
    return torch.randn(B, T, C, H, W, generator=torch.Generator().manual_seed(0), **kind)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_it_is_the_oracle_and_the_usual_convolution(T):
    x, weight = clips(T=T), torch.randn(6, 3)
    assert_close(temporal_conv(x, weight), oracle.temporal_conv(x, weight))
    assert_close(temporal_conv(x, weight), oracle.as_conv1d(x, weight))
    assert_close(_concatenated(x, weight), oracle.temporal_conv(x, weight))
    assert_close(_convolved(x, weight), oracle.temporal_conv(x, weight))


def test_gradients_are_those_of_the_usual_convolution():
    x, weight = clips(dtype=torch.float64).requires_grad_(), torch.randn(6, 3, dtype=torch.float64)
    weight.requires_grad_()
    grad = torch.randn_like(x)
    expected = torch.autograd.grad(oracle.as_conv1d(x, weight), (x, weight), grad)
    assert_close(torch.autograd.grad(temporal_conv(x, weight), (x, weight), grad), expected)


@pytest.mark.parametrize("T", [1, 4])
def test_gradcheck(T):
    x = clips(B=1, T=T, C=3, H=2, W=2, dtype=torch.float64).requires_grad_()
    weight = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(temporal_conv, (x, weight))


def test_frozen_weights_and_frozen_frames_need_no_gradient():
    x, weight = clips(), torch.randn(6, 3)
    temporal_conv(x.clone().requires_grad_(), weight).sum().backward()
    weight.requires_grad_()
    temporal_conv(x, weight).sum().backward()
    assert weight.grad.shape == (6, 3)


def test_at_the_start_it_is_a_shift_exactly():
    T, C = 4, 9  # floor(9 / 4) = 2 channels at either end, and five between them
    x = torch.arange(1.0, T + 1).view(T, 1, 1, 1).expand(T, C, 2, 2)  # frame t is full of t
    y = ChannelTemporalConv(C, T)(x)[:, :, 0, 0]
    assert y[:, :2].T.tolist() == [[0, 1, 2, 3]] * 2
    assert y[:, 2:7].T.tolist() == [[1, 2, 3, 4]] * 5
    assert y[:, 7:].T.tolist() == [[2, 3, 4, 0]] * 2


def test_identity_start_and_unknown_start():
    x = clips()
    assert torch.equal(
        ChannelTemporalConv(6, 5, start="identity")(x.flatten(0, 1)), x.flatten(0, 1)
    )
    with pytest.raises(ValueError, match=r"temporal_init must be one of .*, got 'turn'"):
        ChannelTemporalConv(6, 5, start="turn")


def test_the_frames_and_the_layout_of_memory_are_left_alone():
    x = clips().flatten(0, 1).to(memory_format=torch.channels_last)
    before = x.clone()
    y = ChannelTemporalConv(6, 5)(x)
    assert torch.equal(x, before)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_autocast_keeps_the_precision_of_the_frames():
    conv = ChannelTemporalConv(6, 5)
    x = clips().flatten(0, 1).bfloat16().requires_grad_()
    y = conv(x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert conv.weight.grad.dtype == torch.float32
    assert torch.isfinite(conv.weight.grad).all()


class Moved(TorchDispatchMode):
    """Counts kernels and the bytes they read and write; what only looks at memory moves none."""

    def __init__(self):
        super().__init__()
        self.kernels = self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view and "detach" not in str(func):
            tensors = [x for x in tree_leaves((args, kwargs, out)) if torch.is_tensor(x)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
            self.kernels += 1
        return out


def test_a_gpu_gets_the_way_that_moves_less_memory_in_backward():
    moved = {}
    for name, device in (("multiply-adds", "cpu"), ("convolution", "meta")):
        x = clips(T=8, C=16, H=8, W=8).to(device).requires_grad_()
        weight = torch.randn(16, 3, device=device, requires_grad=True)
        y = temporal_conv(x, weight)
        grad = torch.ones_like(y)
        with Moved() as count:
            torch.autograd.grad(y, (x, weight), grad)
        moved[name] = (count.bytes / x.nbytes, count.kernels)
    assert moved["multiply-adds"][0] > 20
    # One operator reads the frames and the gradient and writes a gradient. Within it the two are
    # copied into the order that it wants, and read once more for the gradient of the kernel.
    within = 6
    assert moved["convolution"][0] + within < 10
    assert moved["convolution"][1] == 1


def test_only_the_frames_are_kept_for_backward():
    x, weight = clips(T=8, C=16, H=8, W=8).requires_grad_(), torch.randn(16, 3, requires_grad=True)
    ours = bytes_kept_for_backward(lambda: temporal_conv(x, weight).sum())
    # The plain writing keeps each of the three shifted copies; the usual one its rearranged copy.
    assert ours <= 4 * (x.numel() + 4 * weight.numel())
    assert bytes_kept_for_backward(lambda: _concatenated(x, weight).sum()) > 2.5 * ours
