"""Bytes kept for backward count each storage once; host waits are found, and nothing else."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from mmext.measure import bytes_kept_for_backward, host_waits, most_bytes_kept


def test_a_storage_counts_once_and_what_is_there_anyway_does_not():
    x, w = torch.randn(10, requires_grad=True), torch.randn(10, requires_grad=True)
    assert bytes_kept_for_backward(lambda: (x * w) + (w * x)) == 80
    assert bytes_kept_for_backward(lambda: x * w, besides=[w]) == 40
    assert bytes_kept_for_backward(lambda: x * w, besides=[x[3:], w]) == 0
    # exp keeps what it gives, sin its input
    assert bytes_kept_for_backward(lambda: (x.exp(), x.sin())) == 80


def test_nothing_stays_behind():
    x = torch.randn(10, requires_grad=True)
    made = []

    def forward():
        y = x.exp()  # its node keeps y itself
        made.append(weakref.ref(y))
        return y

    bytes_kept_for_backward(forward)
    gc.collect()
    assert made[0]() is None


def test_steps_in_turn_keep_what_the_largest_does_and_steps_at_once_the_sum():
    small, large = torch.randn(10, requires_grad=True), torch.randn(30, requires_grad=True)

    def in_turn():
        small.exp().sum().backward()
        large.exp().sum().backward()

    def at_once():
        (small.exp().sum() + large.exp().sum()).backward()

    assert most_bytes_kept(in_turn) == 120
    assert most_bytes_kept(at_once) == 160


def test_at_one_time_too_a_storage_counts_once_and_what_is_there_anyway_does_not():
    x, w = torch.randn(10, requires_grad=True), torch.randn(10, requires_grad=True)
    assert most_bytes_kept(lambda: ((x * w) + (w * x)).sum().backward()) == 80
    assert most_bytes_kept(lambda: (x * w).sum().backward(), besides=[w]) == 40
    assert most_bytes_kept(lambda: (x * w).sum(), besides=[w]) == 40  # without backward
    assert most_bytes_kept(lambda: (x * w).sum().backward(), besides=[x[3:], w]) == 0


x, mask, index = torch.rand(10), torch.arange(10) > 5, torch.arange(3)

WAITS = {
    "item": (1, lambda: x.sum().item()),
    "a condition": (1, lambda: 1 if mask.any() else 2),
    "bounds of a slice": (2, lambda: x[index[0] : index[1]]),
    "a loop over numbers": (3, lambda: [int(one) for one in index]),
    "a formatted number": (1, lambda: f"{x[0]:.2f}"),
    "a tensor as text": (3, lambda: f"{x} {mask}" + str(x)),
    "a boolean mask": (1, lambda: x[mask]),
    "a boolean mask as a target": (1, lambda: x.clone().__setitem__(mask, x[:4])),
    "nonzero": (1, lambda: mask.nonzero()),
    "where of one": (1, lambda: torch.where(mask)),
    "unique": (1, lambda: index.unique()),
    "repeats of unknown length": (1, lambda: index.repeat_interleave(index)),
    "one-hot of unknown width": (2, lambda: F.one_hot(index)),
    "tolist": (1, lambda: index.tolist()),
    "numpy": (1, lambda: x.numpy()),
    "cpu": (1, lambda: x.cpu()),
    "to the cpu": (1, lambda: x.to("cpu")),
    "a tensor of tensors": (2, lambda: torch.tensor([x[0], x[1]])),
    "equal": (1, lambda: torch.equal(x, x)),
}
GOES_ON = {
    "an index": lambda: x[index],
    "where of three": lambda: torch.where(mask, x, x),
    "a fill": lambda: x.clone().__setitem__(mask, 0.0),
    "repeats of known length": lambda: index.repeat_interleave(index, output_size=3),
    "equal repeats": lambda: index.repeat_interleave(3),
    "one-hot of known width": lambda: F.one_hot(index, 4),
    "to the device of another": lambda: x.to(index.device),
    "a shape": lambda: x.shape[0] + len(x) + x.numel(),
    "topk": lambda: x.topk(3),
}


@pytest.mark.parametrize("case", WAITS)
def test_a_wait_of_the_host_is_found_at_its_line(case):
    expected, run = WAITS[case]
    found = host_waits(run)
    assert len(found) == expected, found
    assert {wait.file for wait in found} == {__file__}


@pytest.mark.parametrize("case", GOES_ON)
def test_what_the_device_does_alone_is_no_wait(case):
    assert host_waits(GOES_ON[case]) == []


def test_a_wait_in_backward_is_found():
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 2 if grad.sum() else grad

    leaf = torch.ones(3, requires_grad=True)
    (wait,) = host_waits(lambda: Reads.apply(leaf).sum().backward())
    assert wait.function == "backward"
