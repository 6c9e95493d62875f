"""The sigmoid loss: a sum of binary ones, its first values, gradients, and what it refuses."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch.testing import assert_close

from mmext.classification.real_labels import SigmoidCELoss, sigmoid_cross_entropy
from mmext.classification.real_labels.sigmoid_ce import first_loss


def test_it_is_the_mean_of_binary_losses_times_the_number_of_classes():
    g = torch.Generator().manual_seed(0)
    z = 5 * torch.randn(6, 7, generator=g, dtype=torch.float64)
    y = torch.randint(0, 7, (6,), generator=g)
    want = 7 * F.binary_cross_entropy_with_logits(z, F.one_hot(y, 7).double())
    assert_close(SigmoidCELoss()(z, y), want)
    t = torch.rand(6, 7, generator=g, dtype=torch.float64)
    assert_close(
        SigmoidCELoss(loss_weight=2.0)(z, t), 14 * F.binary_cross_entropy_with_logits(z, t)
    )
    each = SigmoidCELoss()(z, y, reduction_override="none")
    for one in range(6):
        loop = -sum(
            math.log(torch.sigmoid(z[one, k] if k == y[one] else -z[one, k])) for k in range(7)
        )
        assert_close(float(each[one]), loop)
    weight = torch.rand(6, generator=g, dtype=torch.float64)
    assert_close(SigmoidCELoss()(z, y, weight, avg_factor=3.0), (each * weight).sum() / 3)


@pytest.mark.parametrize(("classes", "expected"), [(1000, 7.9073), (10, 3.2557)])
def test_a_net_begins_with_the_two_losses_of_its_bias(classes, expected):
    assert abs(first_loss(classes) - expected) < 1e-4
    head = MODELS.build(
        dict(
            type="mmext.LinearClsHead",
            in_channels=8,
            num_classes=classes,
            loss=dict(type="mmext.SigmoidCELoss"),
        )
    )
    head.init_weights()
    assert_close(head.fc.bias, torch.full((classes,), -math.log(classes)))
    found = head.loss_module(head(torch.zeros(4, 8)), torch.tensor([0, 1, 2, 3]))
    assert abs(found.item() - expected) < 1e-4
    head.fc.bias.data.zero_()
    plain = head.loss_module(head(torch.zeros(4, 8)), torch.tensor([0, 1, 2, 3]))
    assert_close(plain.item(), classes * math.log(2), rtol=1e-5, atol=1e-4)


def test_scores_of_a_sigmoid_head_are_those_of_each_class_alone():
    loss = dict(type="mmext.SigmoidCELoss")
    cfg = dict(type="mmext.LinearClsHead", in_channels=2, num_classes=3, loss=loss)
    head = MODELS.build(cfg)
    (sample,) = head.predict(torch.ones(1, 2), None)
    assert_close(sample.pred_score, head(torch.ones(1, 2))[0].sigmoid())


def test_gradients():
    z = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    y, t = torch.tensor([0, 4, 2, 2]), torch.rand(4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: sigmoid_cross_entropy(z, y), z)
    assert torch.autograd.gradcheck(lambda z: sigmoid_cross_entropy(z, t), z)
    empty = z[:0]
    loss = SigmoidCELoss()(empty, y[:0])
    assert loss == 0
    assert loss.requires_grad


def test_large_logits_stay_finite_and_half_precision_is_worked_out_in_single():
    z = torch.tensor([[300.0, -300.0], [-300.0, 300.0]])
    assert SigmoidCELoss()(z, torch.tensor([0, 0])) == 300
    assert SigmoidCELoss()(z.bfloat16(), torch.tensor([0, 0])).dtype == torch.float32


def test_a_softmax_is_another_loss():
    with pytest.raises(
        ValueError, match=r"expected use_sigmoid=True, got False; take mmext\.Cross"
    ):
        SigmoidCELoss(use_sigmoid=False)
