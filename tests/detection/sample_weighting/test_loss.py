"""SWNLoss against a loop, around several losses, and in the heads of several detectors."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.testing import assert_close

from mmext.detection.sample_weighting.loss import SWNLoss, inverse_loss_weight
from tests.contract import detection as host
from tests.contract.parts import ROOT, forget_files

INNER = [
    dict(type="SmoothL1Loss", beta=0.11),
    dict(type="L1Loss", loss_weight=0.5),
    dict(type="GIoULoss", loss_weight=2.0),
    dict(type="CIoULoss"),
    dict(type="mmdet.IoULoss", mode="linear"),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope("mmdet")


def boxes(count=8, seed=0):
    """Predictions as a leaf, targets near them, weights of which one is 0."""
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) * 50
    target = torch.cat([corner, corner + 20 + 20 * torch.rand(count, 2, generator=g)], 1)
    pred = (target + 3 * torch.randn(count, 4, generator=g)).requires_grad_()
    weight = torch.rand(count, generator=g) + 0.1
    weight[:1] = 0
    return pred, target, weight


@pytest.mark.parametrize("inner", INNER, ids=lambda cfg: cfg["type"])
def test_it_is_the_weighted_sum_of_single_losses(inner):
    pred, target, weight = boxes()
    loss = SWNLoss(inner)
    plain = MODELS.build(inner)
    rows = weight[:, None].expand(-1, 4)
    expected = 0
    for i in range(len(pred)):
        single = plain(pred[i : i + 1], target[i : i + 1], reduction_override="none").sum()
        w = min(max(0.5 / float(single.detach()), math.exp(-2)), math.exp(2))
        expected = expected + w * weight[i] * single / 3
    given = loss(pred, target, rows, avg_factor=3)
    assert_close(given, expected)
    (slope,) = torch.autograd.grad(given, pred)
    assert_close(slope, torch.autograd.grad(expected, pred)[0])
    assert_close(loss(pred, target, rows, reduction_override="none").sum() / 3, given)


def test_a_weighted_loss_is_lambda_where_the_clamp_does_not_act():
    losses = torch.tensor([0.2, 0.5, 3.0])
    assert_close(
        inverse_loss_weight(losses, lam=0.7, clamp=(-5, 5)) * losses, torch.full((3,), 0.7)
    )


def test_normalized_weights_keep_the_size_of_the_loss():
    pred, target, weight = boxes()
    weights = SWNLoss(dict(type="GIoULoss"), normalize=True)(
        pred, target, (weight > 0).float(), reduction_override="none"
    ) / MODELS.build(dict(type="GIoULoss"))(pred, target, reduction_override="none")
    assert_close(weights[1:].mean(), torch.tensor(1.0))


@pytest.mark.parametrize("inner", INNER, ids=lambda cfg: cfg["type"])
def test_no_samples_give_a_zero_that_keeps_its_graph(inner):
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = SWNLoss(inner)(pred, torch.zeros(0, 4), torch.zeros(0, 4), avg_factor=1)
    loss.sum().backward()
    assert loss.sum() == 0
    assert pred.grad is not None


def test_half_precision_is_left_alone():
    pred, target, weight = boxes()
    loss = SWNLoss(INNER[0])
    full = loss(pred, target, weight[:, None].expand(-1, 4), avg_factor=3)
    half = loss(pred.bfloat16(), target.bfloat16(), weight[:, None].expand(-1, 4), avg_factor=3)
    assert_close(half.float(), full, rtol=0.05, atol=0)


def test_what_it_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="one value a sample, got FocalLoss"):
        SWNLoss(dict(type="FocalLoss"))
    with pytest.raises(ValueError, match="lam must be at least 0"):
        SWNLoss(INNER[0], lam=-1)
    with pytest.raises(ValueError, match="clamp must be"):
        SWNLoss(INNER[0], clamp=(2, -2))


@pytest.mark.parametrize(
    ("cfg", "words"),
    [
        (
            dict(loss=INNER[0], lm=1),
            r"SWNLoss has no argument 'lm' \(did you mean 'lam'\?\); it takes loss",
        ),
        (dict(loss=INNER[0], normalise=True), r"'normalise' \(did you mean 'normalize'\?\)"),
        (
            dict(loss=dict(INNER[0], betta=1)),
            r"SmoothL1Loss has no argument 'betta' \(did you mean 'beta'\?\)",
        ),
        (dict(loss=dict(type="GIOULoss")), r"got 'GIOULoss' \(did you mean 'GIoULoss'\?\)"),
        (dict(loss={}), "loss must have the type of a box loss, got None"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(cfg, words):
    with pytest.raises(ValueError, match=words):
        MODELS.build(dict(type="mmext.SWNLoss", **cfg))


def test_a_lambda_of_zero_takes_the_least_weight():
    pred, target, _ = boxes()
    plain = MODELS.build(INNER[0])(pred, target, reduction_override="none")
    assert_close(
        SWNLoss(INNER[0], lam=0)(pred, target, reduction_override="none"), plain * math.exp(-2)
    )


@pytest.mark.parametrize("base", ["retinanet", "fcos", "atss", "gfl"])
@pytest.mark.parametrize("positives", [(3,), (0,)])
def test_it_fits_the_heads_of(base, positives):
    model = Config.fromfile(ROOT / f"configs/_base_/models/{base}_mobilenet-v2_fpn.py").model
    forget_files(model)
    inner = model.bbox_head.get("loss_bbox", dict(type="GIoULoss", loss_weight=1.0))
    model.bbox_head.loss_bbox = dict(type="mmext.SWNLoss", loss=inner)
    torch.manual_seed(0)
    built = MODELS.build(model).train()
    loss = host.loss(built, host.batch(positives))
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in built.bbox_head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
