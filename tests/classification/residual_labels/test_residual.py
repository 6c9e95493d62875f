"""The residual terms: a slow loop, golden numbers, gradients, and where each gradient may go."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mmext.classification.residual_labels.residual import (
    log_residual_labels,
    residual_label_loss,
    residual_labels,
)
from mmext.measure import bytes_kept_for_backward

IGNORED = 255
Z = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)


def oracle(z, y, S, alpha):
    """Losses of one sample, number by number, as Algorithm 1 says."""
    others = [k for k in range(len(z)) if k != y]
    p_sum = sum(math.exp(z[k]) for k in others)
    q_sum = sum(math.exp(S[y][k]) for k in others)
    p = {k: math.exp(z[k]) / p_sum for k in others}
    q = {k: math.exp(S[y][k]) / q_sum for k in others}
    hard = math.log(sum(math.exp(one) for one in z)) - z[y]
    to_net = sum(p[k] * math.log(p[k] / q[k]) for k in others)
    to_matrix = sum(q[k] * math.log(q[k] / p[k]) for k in others)
    return hard + alpha * to_net, alpha * to_matrix


def drawn(N, C, *places, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(N, C, *places, generator=g, dtype=dtype) * 2
    y = torch.randint(C, (N, *places), generator=g)
    return z, y, torch.randn(C, C, generator=g, dtype=dtype)


@given(C=st.integers(2, 12), alpha=st.floats(0, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_it_equals_the_slow_loop(C, alpha, seed):
    z, y, S = drawn(5, C, seed=seed)
    found = residual_label_loss(z, y, S, alpha)
    want = [
        oracle(row.tolist(), int(one), S.tolist(), alpha) for row, one in zip(z, y, strict=True)
    ]
    assert_close(torch.stack(found, 1), torch.tensor(want, dtype=torch.float64))
    y[[0, 3]] = IGNORED
    want[0] = want[3] = (0.0, 0.0)
    found = residual_label_loss(z, y, S, alpha, ignore_index=IGNORED)
    assert_close(torch.stack(found, 1), torch.tensor(want, dtype=torch.float64))


def test_golden_numbers():
    z = Z[None].clone().requires_grad_()
    y, S = torch.tensor([0]), torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    to_net, to_matrix = residual_label_loss(z, y, S, 1.0)
    hard = F.cross_entropy(z, y, reduction="none")
    want = torch.tensor([0.44018970, 0.26621671, 0.30899368], dtype=torch.float64)
    assert_close(torch.cat([hard, to_net - hard, to_matrix]), want, rtol=0, atol=1e-7)
    (to_z,) = torch.autograd.grad((to_net - hard).sum(), z, retain_graph=True)
    want = torch.tensor([[0, 0.28258745, -0.14077036, -0.14181709]], dtype=torch.float64)
    assert_close(to_z, want, rtol=0, atol=1e-7)
    (to_S,) = torch.autograd.grad(to_matrix.sum(), S)
    assert_close(to_S[0], torch.tensor([0, -1 / 3, 0, 1 / 3], dtype=torch.float64))
    assert to_S[1:].count_nonzero() == 0


def test_golden_numbers_of_a_label_that_is_not_uniform():
    z = Z[None].clone().requires_grad_()
    S = torch.zeros(4, 4, dtype=torch.float64)
    S[0] = torch.tensor([7.0, 0.0, 1.0, -1.0])  # the diagonal counts for nothing
    q = torch.tensor([0, 0.24472847, 0.66524096, 0.09003057], dtype=torch.float64)
    assert_close(residual_labels(S)[0], q, rtol=0, atol=1e-7)
    to_net, to_matrix = residual_label_loss(z, torch.tensor([0]), S, 1.0)
    soft = to_net - F.cross_entropy(z, torch.tensor([0]))
    assert_close(torch.cat([soft, to_matrix]), torch.full_like(soft, 0.42051248).repeat(2))
    want = torch.tensor([[0, 0.38549883, -0.34763985, -0.03785898]], dtype=torch.float64)
    assert_close(torch.autograd.grad(soft.sum(), z)[0], want, rtol=0, atol=1e-7)


def test_golden_means_of_two_rows():
    z = torch.stack([Z, torch.tensor([0.0, 0, 3, 0], dtype=torch.float64)])
    found = residual_label_loss(z, torch.tensor([0, 1]), torch.zeros(4, 4, dtype=z.dtype), 0.3)
    assert found[0].mean() == pytest.approx(1.93943326, abs=1e-8)
    assert found[1].mean() == pytest.approx(0.19579565, abs=1e-8)


@pytest.mark.parametrize("C", [2, 5])
def test_gradients_are_the_derivatives(C):
    z, y, S = drawn(6, C)
    y[0] = IGNORED
    assert torch.autograd.gradcheck(
        lambda z: residual_label_loss(z, y, S, 0.7, ignore_index=IGNORED)[0], z.requires_grad_()
    )
    assert torch.autograd.gradcheck(
        lambda S: residual_label_loss(z.detach(), y, S, 0.7, ignore_index=IGNORED)[1],
        S.requires_grad_(),
    )


def test_each_term_moves_its_own_side_alone():
    z, y, S = drawn(6, 5)
    z.requires_grad_(), S.requires_grad_()
    to_net, to_matrix = residual_label_loss(z, y, S, 1.0)
    (of_net,) = torch.autograd.grad(to_net.sum(), S, retain_graph=True)
    (of_matrix,) = torch.autograd.grad(to_matrix.sum(), z)
    assert of_net.count_nonzero() == 0
    assert of_matrix.count_nonzero() == 0


@pytest.mark.parametrize("blocks", [1, 3])
def test_maps_are_their_pixels(blocks, monkeypatch):
    """Also where they are worked on in blocks that do not divide them."""
    z, y, S = drawn(2, 5, 4, 7)
    y[0, 1] = IGNORED
    module = "mmext.classification.residual_labels.residual.elements_a_block"
    monkeypatch.setattr(module, lambda device: z.numel() // blocks - 1)
    found = []
    for maps in (True, False):
        one, T = z.clone().requires_grad_(), S.clone().requires_grad_()
        flat = one if maps else one.movedim(1, -1).reshape(-1, 5)
        losses = residual_label_loss(flat, y if maps else y.flatten(), T, 0.5, ignore_index=IGNORED)
        weight = torch.linspace(0, 1, y.numel(), dtype=torch.float64)
        sum((loss.flatten() * weight).sum() for loss in losses).backward()
        found.append([*(loss.detach().flatten() for loss in losses), one.grad, T.grad])
    assert_close(found[0], found[1])


def test_the_layout_in_memory_changes_nothing():
    z, y, S = drawn(2, 5, 4, 7)
    S.requires_grad_()
    found = []
    for scores, target in (
        (z, y),
        (z.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT),
    ):
        scores = scores.clone().requires_grad_()
        losses = residual_label_loss(scores, target, S, 0.5)
        weight = torch.linspace(0, 1, y.numel(), dtype=z.dtype).view(y.shape)
        grads = torch.autograd.grad(sum((one * weight).sum() for one in losses), (scores, S))
        found.append([*losses, *grads])
    assert not target.is_contiguous()
    assert_close(found[1], found[0])


def test_without_alpha_it_is_cross_entropy_bit_for_bit():
    z, y, S = drawn(9, 6)
    y[3] = IGNORED
    found = []
    for loss in (
        lambda x: residual_label_loss(x, y, S, 0.0, ignore_index=IGNORED)[0].sum(),
        lambda x: F.cross_entropy(x, y, ignore_index=IGNORED, reduction="none").sum(),
    ):
        x = z.clone().requires_grad_()
        value = loss(x)
        value.backward()
        found.append((value.detach(), x.grad))
    assert_close(found[0], found[1], rtol=0, atol=0)


def test_a_constant_on_all_logits_of_a_sample_changes_nothing():
    z, y, S = drawn(6, 5)
    assert_close(residual_label_loss(z + 50, y, S, 1.0), residual_label_loss(z, y, S, 1.0))


def test_renaming_the_classes_changes_nothing():
    z, y, S = drawn(6, 5)
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = residual_label_loss(z[:, order], order.argsort()[y], S[order][:, order], 1.0)
    assert_close(renamed, residual_label_loss(z, y, S, 1.0))


def test_two_classes_have_no_choice():
    z, y, S = drawn(4, 2)
    z.requires_grad_(), S.requires_grad_()
    to_net, to_matrix = residual_label_loss(z, y, S, 1.0)
    assert torch.equal(to_net, F.cross_entropy(z, y, reduction="none"))
    assert to_matrix.count_nonzero() == 0
    to_matrix.sum().backward()
    assert S.grad.count_nonzero() == 0


def test_sure_samples_of_any_size_stay_finite():
    """The others' probabilities are far below what float32 can say."""
    z = torch.tensor([[400.0, 0.0, -300.0, 1.0], [-1e4, 1e4, 0.0, 0.0]], requires_grad=True)
    S = torch.tensor([[0.0, 90.0, -90.0, 0.0]] * 4, requires_grad=True)
    losses = residual_label_loss(z, torch.tensor([0, 0]), S, 1.0)
    sum(one.sum() for one in losses).backward()
    for one in (*losses, z.grad, S.grad):
        assert torch.isfinite(one).all()
    exact = residual_label_loss(z.detach().double(), torch.tensor([0, 0]), S.detach().double(), 1.0)
    assert_close(torch.stack(losses).double(), torch.stack(exact), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_worked_out_in_float32(dtype):
    z, y, S = drawn(6, 5, dtype=torch.float32)
    found = residual_label_loss(z.to(dtype), y, S, 1.0)
    assert found[0].dtype == torch.float32
    assert_close(found, residual_label_loss(z.to(dtype).float(), y, S, 1.0), rtol=0, atol=0)


def test_nothing_at_all_keeps_its_graph():
    z, S = torch.zeros(0, 4, requires_grad=True), torch.zeros(4, 4, requires_grad=True)
    losses = residual_label_loss(z, torch.zeros(0, dtype=torch.long), S, 1.0)
    sum(one.sum() for one in losses).backward()
    assert z.grad.shape == (0, 4)
    assert S.grad.count_nonzero() == 0


@pytest.mark.parametrize("wrong", [-1, 5, 254])
def test_a_target_that_is_no_class_is_named(wrong):
    z, y, S = drawn(4, 5)
    y[1] = wrong
    with pytest.raises(ValueError, match=f"classes from 0 to 4, got {wrong}; give the loss"):
        residual_label_loss(z, y, S, 1.0, ignore_index=IGNORED)


def test_backward_keeps_little_more_than_cross_entropy():
    z, y, S = drawn(2, 19, 32, 64, dtype=torch.float32)
    z.requires_grad_(), S.requires_grad_()
    ours = bytes_kept_for_backward(
        lambda: sum(one.mean() for one in residual_label_loss(z, y, S, 0.3)), besides=[S]
    )
    plain = bytes_kept_for_backward(lambda: F.cross_entropy(z, y))
    assert ours <= 1.25 * plain  # 2.2 is what may be


def test_log_residual_labels_are_distributions():
    S = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30
    q = residual_labels(S)
    assert_close(q.sum(1), torch.ones(6, dtype=torch.float64))
    assert q.diagonal().count_nonzero() == 0
    assert log_residual_labels(S).isfinite().all()
