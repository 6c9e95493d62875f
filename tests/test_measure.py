"""Bytes kept for backward: each storage once, without what is there anyway, nothing stays. Host waits."""

import gc
import weakref

import pytest
import torch

from mmext.measure import bytes_kept_for_backward, host_waits


def test_a_storage_counts_once_and_what_is_there_anyway_does_not():
    x, w = torch.randn(10, requires_grad=True), torch.randn(10, requires_grad=True)
    assert bytes_kept_for_backward(lambda: (x * w) + (w * x)) == 80
    assert bytes_kept_for_backward(lambda: x * w, besides=[w]) == 40
    assert bytes_kept_for_backward(lambda: x * w, besides=[x[3:], w]) == 0
    assert bytes_kept_for_backward(lambda: (x.exp(), x.sin())) == 80  # exp keeps what it gives, sin its input


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


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: int(x[0]), 1),
        (lambda x: 1 if x.any() else 0, 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x.unique(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 0])), 1),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 0]), output_size=3), 0),
        (lambda x: x.repeat_interleave(2), 0),
        (lambda x: x[torch.tensor([0, 2])] + x.masked_fill(x > 0, 0).sum(), 0),
    ],
)
def test_host_waits_are_what_depends_on_values(run, expected):
    x = torch.tensor([1.0, -2.0, 3.0])
    assert host_waits(lambda: run(x)) == expected
