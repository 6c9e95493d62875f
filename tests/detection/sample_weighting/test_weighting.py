"""SampleWeighting: groups, gradients, optimum, learning, corners, logs."""

import dataclasses
import logging
import math

import pytest
import torch
from torch.testing import assert_close

from mmext.detection.sample_weighting import predictor
from mmext.detection.sample_weighting.build import sample_weighting
from mmext.detection.sample_weighting.weighting import LOOK_EVERY
from tests.detection.sample_weighting.scenes import FreeLogVariances, objective, samples


def with_free_m(x, spread=1.0, *, seed=0, **settings):
    """A weighting whose log variances are parameters, drawn at random."""
    weighting = sample_weighting(with_mask=x.mask is not None, **settings)
    g = torch.Generator().manual_seed(seed)
    width = 2 + (x.mask is not None)
    shapes = (len(x.positive), width), (int(x.negative.sum()),)
    draws = [spread * torch.randn(*shape, generator=g, dtype=x.cls.dtype) for shape in shapes]
    weighting.predictor = FreeLogVariances(*draws)
    return weighting


def test_gradients_are_those_of_the_objective():
    x = samples(mask=True, dtype=torch.float64)
    weighting = with_free_m(x, 0.5, cls_mode="sample")
    objective(weighting, x).backward()
    pos, neg = weighting.predictor.pos, weighting.predictor.neg
    P, M, N = 6, 18, 24
    assert max(pos.detach().abs().max(), neg.detach().abs().max()) < 2, "inside the clamp"
    cls, box, mask = pos.detach().unbind(1)
    expected = torch.stack(
        [
            -torch.exp(-cls) * x.cls[:P] / N + 0.5 / P,
            -torch.exp(-box) * x.box.sum(1) / N + 0.5 / P,
            -torch.exp(-mask) * x.mask / P + 0.5 / P,
        ],
        1,
    )
    assert_close(pos.grad, expected, rtol=0, atol=1e-7)
    expected = -torch.exp(-neg.detach()) * x.cls[P:] / N + 0.5 / M
    assert_close(neg.grad, expected, rtol=0, atol=1e-7)


def test_a_group_shares_the_mean_of_its_log_variances():
    x = samples(ignored=3)
    weighting = with_free_m(x)
    w = weighting(x)
    for at, m in (
        (x.positive, weighting.predictor.pos[:, 0]),
        (x.negative, weighting.predictor.neg),
    ):
        assert_close(w.cls[at], torch.exp(-m.clamp(-2, 2).mean()).expand_as(w.cls[at]))
    assert (w.cls[24:] == 1).all(), "ignored samples keep their weight"
    assert w.box.unique().numel() == len(x.positive)


def test_all_or_nobody_may_share_instead():
    x = samples()
    joint, alone = (with_free_m(x, cls_mode=mode)(x).cls for mode in ("joint", "sample"))
    assert joint.unique().numel() == 1
    assert alone.unique().numel() == 24


@pytest.mark.parametrize("cls_mode", ["group", "joint", "sample"])
@pytest.mark.parametrize("regularise", ["group", "loss"])
def test_the_closed_form_is_where_descending_the_objective_ends(cls_mode, regularise):
    x = samples(mask=True, dtype=torch.float64)
    settings = dict(cls_mode=cls_mode, regularise=regularise, clamp=(-9, 9), lambdas=dict(reg=0.3))
    closed = sample_weighting(mode="closed_form", with_mask=True, **settings)(x)
    weighting = with_free_m(x, 0.1, **settings)
    optimizer = torch.optim.LBFGS(
        weighting.parameters(),
        max_iter=2000,
        tolerance_grad=1e-10,
        tolerance_change=0,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = objective(weighting, x)
        loss.backward()
        return loss

    optimizer.step(closure)
    learned = weighting(x)
    for name in ("cls", "box", "mask"):
        assert_close(getattr(learned, name), getattr(closed, name), rtol=1e-5, atol=1e-5)


def test_the_closed_form_inverts_the_loss():
    x = samples()
    w = sample_weighting(mode="closed_form", clamp=(-9, 9))(x)
    assert_close(w.box * x.box.sum(1), torch.full_like(w.box, 0.5 * 24 / 6))
    for at in (x.positive, x.negative):
        assert_close((w.cls * x.cls)[at].sum() / 24, torch.tensor(0.5))


def test_constant_weights_are_the_given_ones():
    x = samples(mask=True, ignored=2)
    given = dict(cls_pos=3.0, cls_neg=0.5, reg=9.0)
    w = sample_weighting(mode="constant", weights=given, with_mask=True)(x)
    assert_close(w.cls, torch.tensor([3.0] * 6 + [0.5] * 18 + [1.0] * 2))
    assert_close(w.box, torch.full((6,), 9.0))
    assert_close(w.mask, torch.ones(6))


def test_normalized_weights_have_a_mean_of_one_and_the_same_optimum():
    x = samples(dtype=torch.float64)
    plain, scaled = (with_free_m(x, normalize=on) for on in (False, True))
    w = scaled(x)
    for values in (w.cls, w.box):
        assert_close(values.mean(), torch.tensor(1.0, dtype=torch.float64))
    ratio = plain(x).box / w.box
    assert_close(ratio, ratio.mean().expand_as(ratio))
    for weighting in (plain, scaled):
        objective(weighting, x).backward()
    slopes = [weighting.predictor.pos.grad[:, 1] for weighting in (plain, scaled)]
    assert_close(
        slopes[0] / slopes[1], ratio, msg="the scale is a constant: gradients keep their direction"
    )


def test_the_network_sees_values_only():
    x = samples()
    leaves = {
        name: getattr(x, name).clone().requires_grad_() for name in ("cls", "box", "iou", "prob")
    }
    weighting = sample_weighting()
    torch.nn.init.normal_(weighting.predictor.last.weight)
    w = weighting(dataclasses.replace(x, **leaves))
    (w.cls.sum() + w.box.sum()).backward()
    assert all(leaf.grad is None for leaf in leaves.values())
    assert weighting.predictor.last.weight.grad.abs().sum() > 0


CORNERS = {
    "no positives": dict(positives=0),
    "no negatives": dict(negatives=0),
    "one positive": dict(positives=1, negatives=0),
    "one negative": dict(positives=0, negatives=1),
    "nothing": dict(positives=0, negatives=0),
    "all ignored": dict(positives=0, negatives=0, ignored=4),
}


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("cls_mode", ["group", "joint", "sample"])
@pytest.mark.parametrize("mode", ["mlp", "closed_form", "constant"])
@pytest.mark.parametrize("normalize", [False, True])
def test_corners_are_finite_and_reach_every_parameter(corner, cls_mode, mode, normalize):
    x = dataclasses.replace(samples(mask=True, **CORNERS[corner]), cls_divisor=1, box_divisor=1)
    weighting = sample_weighting(mode=mode, cls_mode=cls_mode, normalize=normalize, with_mask=True)
    loss = objective(weighting, x) + 0 * torch.zeros(1, requires_grad=True).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value).all() for value in weighting(x).more.values())
    for name, parameter in weighting.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_start_of_zero_changes_no_loss():
    x = samples(mask=True)
    w = sample_weighting(with_mask=True)(x)
    assert (w.cls == 1).all()
    assert (w.box == 1).all()
    assert (w.mask == 1).all()
    assert all(w.more[f"loss_swn_{group}"] == 0 for group in ("cls_pos", "cls_neg", "reg", "mask"))


def test_half_precision_is_left_alone():
    x = samples()
    half = {name: getattr(x, name).bfloat16() for name in ("cls", "box", "iou", "prob")}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        w = sample_weighting()(dataclasses.replace(x, **half))
    assert w.cls.dtype == w.box.dtype == torch.float32


def test_many_negatives_are_worked_out_in_parts(monkeypatch):
    x = samples(negatives=50)
    weighting = sample_weighting()
    torch.nn.init.normal_(weighting.predictor.last.weight)

    def step():
        weighting.zero_grad()
        loss = objective(weighting, x)
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in weighting.parameters()]

    whole = step()
    monkeypatch.setattr(predictor, "KEPT", 10)
    monkeypatch.setitem(predictor.BLOCK, "cpu", 16)
    assert_close(step(), whole)


def test_logs_are_kept_out_of_the_sum_of_losses_and_tell_the_weights():
    x = samples()
    more = with_free_m(x, 3.0)(x).more
    logs = {key: value for key, value in more.items() if "loss" not in key}
    assert {f"swn_w_reg_{name}" for name in ("mean", "min", "max", "clipped")} <= set(logs)
    assert all(not value.requires_grad for value in logs.values())
    assert logs["swn_w_reg_min"] >= math.exp(-2) - 1e-6
    assert logs["swn_w_reg_max"] <= math.exp(2) + 1e-6
    assert 0 < logs["swn_w_reg_clipped"] < 1


def test_it_warns_once_where_half_of_the_weights_sit_at_the_clip(monkeypatch):
    said = []
    monkeypatch.setattr(
        "mmext.detection.sample_weighting.weighting.print_log",
        lambda text, logger, level: said.append((text, level)),
    )
    x = samples()
    quiet, loud = sample_weighting(), with_free_m(x, 20.0)
    for _ in range(3 * LOOK_EVERY):
        quiet(x)
        loud(x)
    assert len(said) == 1
    assert "sit at the clip (-2, 2)" in said[0][0]
    assert "of reg" in said[0][0]
    assert said[0][1] == logging.WARNING


def test_bad_arguments_say_what_is_allowed():
    for settings, words in (
        (dict(mode="net"), "mode must be one of"),
        (dict(clamp=(2, -2)), "clamp must be the least and the greatest"),
        (dict(lambdas=dict(box=1)), r"a group of lambdas must be one of .*, got 'box'"),
        (dict(lambdas=dict(masks=1)), r"got 'masks' \(did you mean 'mask'\?\)"),
        (
            dict(lambads={}),
            r"has no argument 'lambads' \(did you mean 'lambdas'\?\); mode='mlp' takes clamp",
        ),
        (dict(mode="constant", weights=dict(reg=-1)), "weights must be at least 0, got -1 for reg"),
        (dict(weighted=("boxes",)), "weighted must be one of"),
    ):
        with pytest.raises(ValueError, match=words):
            sample_weighting(**settings)


@pytest.fixture
def said(monkeypatch):
    """What is told to the log."""
    lines = []
    for module in ("build", "weighting", "objective"):
        monkeypatch.setattr(
            f"mmext.detection.sample_weighting.{module}.print_log",
            lambda text, logger, level: lines.append(text),
        )
    return lines


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            dict(mode="constant", lambdas=dict(reg=1), clamp=(-1, 1)),
            "clamp, lambdas mean nothing with mode=",
        ),
        (
            dict(mode="closed_form", embed=8, init="official"),
            "embed, init mean nothing with mode='closed_form'",
        ),
        (dict(weights=dict(reg=2)), "weights mean nothing with mode='mlp'"),
        (dict(cls_mode="joint", lambdas=dict(cls_pos=1)), "lambdas of cls_pos mean nothing here"),
        (dict(lambdas=dict(mask=1)), "lambdas of mask mean nothing here"),
        (dict(inputs=("cls", "mask")), "inputs has mask, but there are no mask losses here"),
    ],
)
def test_settings_of_another_kind_are_told_and_left_out(said, settings, words):
    """A config for an ablation changes one word."""
    objective(sample_weighting(**settings), samples())
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize("mode", ["mlp", "closed_form", "constant"])
@pytest.mark.parametrize("cls_mode", ["group", "joint", "sample"])
@pytest.mark.parametrize("weighted", [("cls",), ("reg",), ("cls_pos", "mask"), ()])
def test_what_is_not_weighted_counts_one_and_has_no_regulariser(mode, cls_mode, weighted):
    """The paper's ablation: classification alone, boxes alone."""
    x = samples(mask=True, ignored=2)
    settings = dict(mode=mode, cls_mode=cls_mode, weighted=weighted, with_mask=True)
    settings |= dict(weights=dict(cls=3.0, reg=3.0, mask=3.0)) if mode == "constant" else {}
    weighting = sample_weighting(**settings)
    if mode == "mlp":
        torch.nn.init.normal_(weighting.predictor.last.weight)
    w = weighting(x)
    assert (w.box == 1).all() == ("reg" not in weighted)
    assert (w.mask == 1).all() == ("mask" not in weighted)
    assert (w.cls[6:24] == 1).all() == ("cls" not in weighted)
    assert (w.cls[24:] == 1).all()
    groups = {key.removeprefix("loss_swn_") for key in w.more if "loss" in key}
    assert groups == (set(weighting.groups) if mode == "mlp" else set())
    if mode == "mlp":
        objective(weighting, x, w).backward()
        assert all(torch.isfinite(p.grad).all() for p in weighting.parameters())


def test_a_lambda_of_zero_takes_the_least_weight_and_constants_may_be_zero():
    x = samples()
    w = sample_weighting(mode="closed_form", lambdas=dict(reg=0, cls=0))(x)
    assert_close(w.box, torch.full((6,), math.exp(-2)))
    assert_close(w.cls, torch.full((24,), math.exp(-2)))
    for normalize in (False, True):
        w = sample_weighting(mode="constant", weights=dict(reg=0, cls_neg=0), normalize=normalize)(
            x
        )
        assert (w.box == 0).all()
        assert (w.cls[6:] == 0).all()


def test_the_log_costs_a_wait_at_the_first_step_and_every_fiftieth():
    x, weighting = samples(), sample_weighting()
    first = weighting(x).more
    torch.nn.init.normal_(weighting.predictor.last.weight)
    for _ in range(LOOK_EVERY - 2):
        again = weighting(x).more
    assert again["swn_w_reg_mean"] is first["swn_w_reg_mean"]
    assert weighting(x).more["swn_w_reg_max"] != 1


def spread_after(init, optimizer, steps):
    """Correlation of boxes' learned and optimal log variances, and the learned ones' spread."""
    torch.manual_seed(0)
    weighting = sample_weighting(init=init)
    optimizer = optimizer(weighting.parameters())
    for step in range(steps):
        optimizer.zero_grad()
        objective(weighting, samples(32, 96, seed=step)).backward()
        optimizer.step()
    x = samples(256, 768, seed=steps + 1)
    learned = -weighting(x).box.detach().log()
    optimal = -sample_weighting(mode="closed_form")(x).box.log()
    return float(torch.corrcoef(torch.stack([learned, optimal]))[0, 1]), float(learned.std())


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.9, weight_decay=1e-4)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_the_network_learns_the_closed_form(optimizer):
    correlation, spread = spread_after("zero_last", optimizer, 2000)
    assert correlation > 0.98
    assert spread > 0.1


@pytest.mark.slow
def test_with_sgd_the_authors_start_learns_one_weight_for_all():
    """Its gradients are products of weights of 1e-4, which rates of a detector do not overcome."""
    _, spread = spread_after("official", sgd, 2000)
    assert spread < 1e-6
