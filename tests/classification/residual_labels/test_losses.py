"""Residual labels behind the hosts' interface: reductions, mixtures, ranks, wrong input."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from mmext.classification.residual_labels.losses import ResidualLabelLoss, UniformResidualLoss
from mmext.classification.residual_labels.residual import residual_label_loss

IGNORED = 255
BOTH = pytest.mark.parametrize("loss", [ResidualLabelLoss, UniformResidualLoss])


def drawn(N, C, *places, seed=0):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(N, C, *places, generator=g, dtype=torch.float64) * 2
    return z, torch.randint(C, (N, *places), generator=g)


def learnt(C, **cfg):
    """A loss whose matrix has learnt something."""
    loss = ResidualLabelLoss(C, **cfg).double()
    with torch.no_grad():
        loss.residual_matrix.normal_(generator=torch.Generator().manual_seed(1))
    return loss


def test_the_mean_is_that_of_the_two_terms():
    z, y = drawn(6, 5)
    loss = learnt(5, alpha=0.7, loss_weight=2.0)
    net, update = residual_label_loss(z, y, loss.residual_matrix, 0.7)
    assert_close(loss(z, y), 2 * (net.mean() + update.mean()))
    assert_close(loss(z, y, reduction_override="sum"), 2 * (net.sum() + update.sum()))
    assert_close(loss(z, y, reduction_override="none"), 2 * (net + update))
    weight = torch.linspace(0, 1, 6, dtype=torch.float64)
    want = 2 * (weight * (net + update)).sum() / 3
    assert_close(loss(z, y, weight=weight, avg_factor=3), want)


def test_the_control_is_a_matrix_that_never_learns():
    z, y = drawn(6, 5)
    z.requires_grad_()
    control, fixed = UniformResidualLoss(5, alpha=0.7), ResidualLabelLoss(5, alpha=0.7).double()
    assert not list(control.parameters())
    assert not control.state_dict()
    assert_close(
        torch.autograd.grad(control(z, y), z), torch.autograd.grad(fixed(z, y), z), rtol=0, atol=0
    )
    net, _ = residual_label_loss(z, y, torch.zeros(5, 5), 0.7)
    assert_close(control(z, y), net.mean())


@BOTH
def test_without_alpha_it_is_mmseg_s_cross_entropy(loss):
    from mmseg.models.losses import CrossEntropyLoss

    z, y = drawn(2, 5, 4, 6)
    y[0, 1] = IGNORED
    weight = torch.linspace(0, 1, y.numel(), dtype=torch.float64).view(y.shape)
    for cfg in ({}, dict(weight=weight), dict(avg_factor=7.0), dict(reduction_override="sum")):
        ours = loss(5, alpha=0.0)(z, y, ignore_index=IGNORED, **cfg)
        theirs = CrossEntropyLoss(avg_non_ignore=False)(z, y, ignore_index=IGNORED, **cfg)
        assert_close(ours, theirs)


def test_errors_alone_move_the_matrix_by_their_own_mean():
    z, y = drawn(40, 5)
    y[:3] = IGNORED
    loss = learnt(5, alpha=0.7, update_on="error", ignore_index=IGNORED)
    loss(z, y).backward()
    wrong = (z.argmax(1) != y) & (y != IGNORED)
    assert 0 < wrong.sum() < len(y) - 3  # some are right, some wrong
    twin = copy.deepcopy(loss)
    twin.zero_grad()
    residual_label_loss(z[wrong], y[wrong], twin.residual_matrix, 0.7)[1].mean().backward()
    assert_close(loss.residual_matrix.grad, twin.residual_matrix.grad)


def test_without_an_error_the_matrix_rests_and_has_a_gradient():
    y = torch.arange(5)
    z = (10 * F.one_hot(y).double()).requires_grad_()
    loss = learnt(5, update_on="error")
    value = loss(z, y)
    net, _ = residual_label_loss(z, y, loss.residual_matrix, loss.alpha)
    assert_close(value, net.mean())
    value.backward()
    assert torch.equal(loss.residual_matrix.grad, torch.zeros(5, 5, dtype=torch.float64))


def test_the_row_of_a_class_that_never_comes_stays_uniform():
    z, y = drawn(64, 5)
    y[y == 3] = 0
    loss = ResidualLabelLoss(5, alpha=1.0).double()
    optimizer = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(5):
        optimizer.zero_grad()
        loss(z, y).backward()
        optimizer.step()
    assert loss.residual_matrix[3].count_nonzero() == 0
    assert (loss.residual_matrix.detach()[[0, 1, 2, 4]].abs().sum(1) > 0).all()


@pytest.mark.parametrize("update_on", ["all", "error"])
def test_a_mixture_of_two_labels_is_the_mixture_of_their_losses(update_on):
    z, first = drawn(7, 5)
    second = (first + 2) % 5
    share = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)[:, None]
    mixed = share * F.one_hot(first, 5) + (1 - share) * F.one_hot(second, 5)
    loss = learnt(5, alpha=0.7, update_on=update_on)
    S = loss.residual_matrix
    (net_1, update_1), (net_2, update_2) = (
        residual_label_loss(z, y, S, 0.7) for y in (first, second)
    )
    share = share.squeeze(1)
    net = (share * net_1 + (1 - share) * net_2).mean()
    if update_on == "all":
        update = (share * update_1 + (1 - share) * update_2).mean()
    else:
        wrong_1, wrong_2 = (share * (z.argmax(1) != first), (1 - share) * (z.argmax(1) != second))
        update = (wrong_1 * update_1 + wrong_2 * update_2).sum() / (wrong_1 + wrong_2).sum()
    assert_close(loss(z, mixed), net + update)
    assert_close(loss(z, F.one_hot(first, 5).double()), loss(z, first))


def test_weights_of_zero_take_samples_out():
    z, y = drawn(8, 5)
    weight = torch.tensor([1.0, 0, 1, 0, 1, 0, 1, 0], dtype=torch.float64)
    for update_on in ("all", "error"):
        loss = learnt(5, update_on=update_on)
        part = loss(z[::2], y[::2], avg_factor=4)
        assert_close(loss(z, y, weight=weight, avg_factor=4), part)


def test_no_samples_at_all():
    loss = learnt(5, update_on="error")
    z = torch.zeros(0, 5, dtype=torch.float64, requires_grad=True)
    value = loss(z, torch.zeros(0, dtype=torch.long), avg_factor=1.0)
    value.backward()
    assert value == 0
    assert loss.residual_matrix.grad.count_nonzero() == 0


def test_a_state_dict_keeps_what_was_learnt():
    loss = learnt(5)
    assert list(loss.state_dict()) == ["residual_matrix"]
    twin = ResidualLabelLoss(5).double()
    twin.load_state_dict(copy.deepcopy(loss.state_dict()))
    assert torch.equal(twin.residual_matrix, loss.residual_matrix)
    assert "residual_matrix=(5, 5)" in repr(loss)


def test_half_precision_under_autocast():
    z, y = drawn(6, 5)
    loss = ResidualLabelLoss(5)
    score = z.to(torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(score, y)
        value.backward()
    assert value.dtype == torch.float32
    assert_close(value, loss(z.to(torch.bfloat16).float(), y))
    assert loss.residual_matrix.grad.isfinite().all()


def gradient_of_rank(rank, update_on):
    z, y = drawn(12, 5)
    half = slice(0, 6) if rank == 0 else slice(6, 12)
    loss = learnt(5, update_on=update_on)
    z = z[half].clone().requires_grad_()
    loss(z, y[half]).backward()
    torch.distributed.all_reduce(loss.residual_matrix.grad)
    return loss.residual_matrix.grad / 2, z.grad / 2  # as DistributedDataParallel averages


@pytest.mark.parametrize("update_on", ["all", "error"])
def test_two_ranks_are_one_batch(two_ranks, update_on):
    z, y = drawn(12, 5)
    wrong = z.argmax(1) != y
    assert wrong[:6].sum() != wrong[6:].sum()  # else a mean a rank would do
    loss = learnt(5, update_on=update_on)
    z.requires_grad_()
    loss(z, y).backward()
    (first, z_first), (second, z_second) = two_ranks(gradient_of_rank, update_on)
    assert_close(first, loss.residual_matrix.grad)
    assert_close(second, loss.residual_matrix.grad)
    assert_close(torch.cat([z_first, z_second]), z.grad)


@BOTH
@pytest.mark.parametrize(
    ("cfg", "words"),
    [
        (dict(num_classes=1), "num_classes of .* at least 2, got 1"),
        (dict(num_classes=5, alpha=-0.1), "alpha of .* at least 0, got -0.1"),
        (dict(num_classes=5, use_sigmoid=True), "use_sigmoid must be False, got True"),
    ],
)
def test_a_wrong_option_is_named(loss, cfg, words):
    with pytest.raises(ValueError, match=words):
        loss(**cfg)


def test_an_unknown_set_of_updates_is_named():
    with pytest.raises(ValueError, match=r"must be one of .*'error'.*, got 'errors'"):
        ResidualLabelLoss(5, update_on="errors")


@BOTH
def test_shapes_that_do_not_go_together_are_named(loss):
    z, y = drawn(4, 6)
    with pytest.raises(ValueError, match=r"num_classes=5 needs logits \(N, 5\).*num_classes \+ 1"):
        loss(5)(z, y)
    with pytest.raises(ValueError, match=r"a class for each sample \(4,\).*got torch.int64 \(3,\)"):
        loss(6)(z, y[:3])
    smooth = 0.9 * F.one_hot(y, 6) + 0.1 / 6
    with pytest.raises(
        ValueError, match=r"mix at most two classes each.*leave label smoothing out"
    ):
        loss(6)(z, smooth)
