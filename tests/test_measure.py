"""Bytes kept for backward: each storage once, without what is there anyway, and nothing stays behind."""

import gc
import weakref

import torch

from mmext.measure import bytes_kept_for_backward


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
