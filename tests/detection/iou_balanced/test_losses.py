"""The weight function: golden numbers, an oracle loop, its properties and corners."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from mmext.detection.iou_balanced.losses import iou_balanced_weight

f64 = torch.float64


def golden(*numbers):
    return torch.tensor(numbers, dtype=f64)


def focal(logit, alpha=0.25, gamma=2.0):
    """Focal loss of the own class of positives."""
    p = logit.sigmoid()
    return alpha * (1 - p) ** gamma * F.softplus(-logit)


def oracle(loss, iou, exponent, label_weight, scope):
    """Eq. 1 and 2, one positive at a time."""
    weights = []
    for i in range(len(loss)):
        plain = weighted = 0.0
        for j in range(len(loss)):
            if scope[j] == scope[i]:
                term = float(loss[j]) * float(label_weight[j])
                plain += term
                weighted += float(iou[j]) ** exponent * term
        weights.append(float(iou[i]) ** exponent * plain / weighted if weighted > 0 else 1.0)
    return weights


def positives(count, seed=0, dtype=f64):
    g = torch.Generator().manual_seed(seed)
    loss, iou, label_weight = torch.rand(3, count, generator=g, dtype=dtype)
    return loss, iou, label_weight, torch.randint(0, 3, (count,), generator=g)


def test_golden_numbers_of_focal_loss():
    logits = golden(2, 0, -1).requires_grad_()
    loss = focal(logits)
    assert_close(loss, golden(0.0004508907, 0.0433216988, 0.1754670759), rtol=1e-6, atol=1e-10)
    weight = iou_balanced_weight(loss, golden(0.9, 0.6, 0.3), exponent=1.5)
    assert_close(weight, golden(3.7930153142, 2.0646560237, 0.7299661376), rtol=1e-9, atol=0)
    assert_close((weight * loss).sum(), loss.sum(), rtol=1e-12, atol=0)
    (grad,) = torch.autograd.grad((weight * loss).sum(), logits, retain_graph=True)
    assert_close(grad, golden(-0.0046188877, -0.1539649071, -0.1401963334), rtol=1e-7, atol=1e-10)
    (plain,) = torch.autograd.grad(loss.sum(), logits)
    assert_close(plain, golden(-0.0012177350, -0.0745716988, -0.1920586808), rtol=1e-7, atol=1e-10)


def test_golden_numbers_of_softmax():
    logits = torch.tensor([[2, 0.5, 0.1], [0.2, 1, -0.3], [0, 0, 1.5]], dtype=f64)
    loss = F.cross_entropy(logits, torch.tensor([0, 1, 2]), reduction="none")
    weight = iou_balanced_weight(loss[:2], golden(0.85, 0.55), exponent=1.5)
    assert_close(weight, golden(1.4345537952, 0.7466765023), rtol=1e-9, atol=0)
    assert_close((weight * loss[:2]).sum() + loss[2], golden(1.2291653911)[0], rtol=1e-9, atol=0)


def test_golden_numbers_of_the_localisation_weight():
    pred = torch.tensor(
        [[0.05, -0.2, 0.3, 0], [0.1, 0.02, -0.5, 0.4]], dtype=f64, requires_grad=True
    )
    loss = F.smooth_l1_loss(pred, torch.zeros_like(pred), beta=0.11, reduction="none").sum(1)
    assert_close(loss, golden(0.4013636364, 0.8372727273), rtol=1e-9, atol=0)
    iou = golden(0.8, 0.5)
    weight = 3.049 * iou**1.5
    assert_close(weight, golden(2.1816868043, 1.0779842879), rtol=1e-9, atol=0)
    assert_close((weight * loss).sum(), golden(1.7782165939)[0], rtol=1e-9, atol=0)
    (grad,) = torch.autograd.grad((weight * loss).sum(), pred)
    assert_close(grad[0], golden(0.9916758201, -2.1816868043, 2.1816868043, 0), rtol=1e-9, atol=0)
    # Eq. 5 is the same function: what calibration and the first steps of point heads use.
    factor = iou_balanced_weight(loss, iou, exponent=1.5) / iou**1.5
    assert_close(factor, golden(2.1238145486, 2.1238145486), rtol=1e-9, atol=0)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5, 3.0])
def test_it_equals_the_loop(exponent):
    loss, iou, label_weight, scope = positives(30)
    weight = iou_balanced_weight(
        loss, iou, exponent=exponent, label_weight=label_weight, scope=scope, num_scopes=3
    )
    assert_close(
        weight, golden(*oracle(loss, iou, exponent, label_weight, scope)), rtol=1e-12, atol=0
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.floats(0.01, 4), st.integers(0, 1000))
def test_each_scope_keeps_its_sum(count, exponent, seed):
    loss, iou, label_weight, scope = positives(count, seed)
    weight = iou_balanced_weight(
        loss, iou, exponent=exponent, label_weight=label_weight, scope=scope, num_scopes=3
    )
    for s in range(3):
        one = (loss * label_weight)[scope == s]
        assert_close((weight[scope == s] * one).sum(), one.sum(), rtol=1e-10, atol=1e-14)


def test_order_does_not_matter_and_better_boxes_count_more():
    loss, iou, _, _ = positives(20)
    weight = iou_balanced_weight(loss, iou, exponent=1.5)
    order = torch.randperm(20)
    assert_close(iou_balanced_weight(loss[order], iou[order], exponent=1.5), weight[order])
    assert torch.equal(weight.argsort(), iou.argsort())


def test_exponent_0_gives_exact_ones():
    loss, iou, label_weight, scope = positives(50, dtype=torch.float32)
    iou[::3] = 0
    weight = iou_balanced_weight(
        loss, iou, exponent=0, label_weight=label_weight, scope=scope, num_scopes=3
    )
    assert torch.equal(weight, torch.ones(50))


def test_where_all_boxes_miss_the_loss_stays_as_it_is():
    loss, iou, _, scope = positives(20)
    iou[scope == 1] = 0
    weight = iou_balanced_weight(loss, iou, exponent=1.5, scope=scope, num_scopes=3)
    assert torch.equal(weight[scope == 1], torch.ones_like(weight[scope == 1]))
    assert (weight[scope != 1] != 1).all()
    some = iou_balanced_weight(loss[:2], golden(0.0, 0.5), exponent=1.5)
    assert some[0] == 0
    assert_close(some[1] * loss[1], loss[:2].sum())


@pytest.mark.parametrize("label_weight", [torch.zeros(3), None])
def test_no_loss_at_all_is_finite(label_weight):
    loss = torch.rand(3) if label_weight is not None else torch.zeros(3)
    weight = iou_balanced_weight(loss, torch.rand(3), exponent=1.5, label_weight=label_weight)
    assert torch.equal(weight, torch.ones(3))


def test_no_positives_still_take_part_across_ranks():
    seen = []

    def over_ranks(sums):
        seen.append(sums)
        return sums + 1

    weight = iou_balanced_weight(
        torch.zeros(0), torch.zeros(0), exponent=1.5, over_ranks=over_ranks
    )
    assert weight.shape == (0,)
    assert_close(seen, [torch.zeros(1, 2)])


def test_the_weight_is_a_constant():
    iou = golden(0.9, 0.5, 0.3).requires_grad_()
    logits = golden(2, 0, -1).requires_grad_()
    assert not iou_balanced_weight(focal(logits), iou, exponent=1.5).requires_grad

    fixed = iou_balanced_weight(focal(logits), iou, exponent=1.5)
    assert torch.autograd.gradcheck(lambda x: fixed * focal(x), logits)


def test_half_precision_is_computed_in_float32():
    loss, iou, _, _ = positives(40, dtype=torch.bfloat16)
    weight = iou_balanced_weight(loss, iou, exponent=1.5)
    assert weight.dtype == torch.float32
    assert_close(
        weight, iou_balanced_weight(loss.float(), iou.float(), exponent=1.5), rtol=0, atol=0
    )


def test_a_negative_exponent_is_refused():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        iou_balanced_weight(torch.rand(2), torch.rand(2), exponent=-1)
