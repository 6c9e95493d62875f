"""The IoU-balanced heads: four dense ones, and the heads of R-CNN.

IoUBalancedRetinaHead, IoUBalancedSSDHead, IoUBalancedATSSHead, IoUBalancedFCOSHead and the R-CNN
heads IoUBalancedShared2FCBBoxHead, IoUBalancedShared4Conv1FCBBoxHead, IoUBalancedConvFCBBoxHead.
"""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from torch.testing import assert_close

from mmext.detection.iou_balanced.balance import IoUBalance
from mmext.detection.positives import decoded_iou
from mmext.measure import host_waits
from tests.detection.iou_balanced.heads import (
    DENSE,
    KINDS,
    OFF,
    K,
    build,
    flat,
    losses,
    outputs,
    rois,
    step,
    total,
    truth,
)

every_head = pytest.mark.parametrize("kind", KINDS)
every_dense_head = pytest.mark.parametrize("kind", DENSE)


@pytest.fixture
def seen(monkeypatch):
    """What the balance was given in each call."""
    calls = []
    finish = IoUBalance.finish

    def spy(self, found, positives):
        calls.append((dict(found), positives))
        return finish(self, found, positives)

    monkeypatch.setattr(IoUBalance, "finish", spy)
    return calls


# Parity with the host


@every_head
@pytest.mark.parametrize("counts", [(4, 3), (0, 3), (0, 0)])
def test_exponents_of_0_are_the_host_to_the_last_bit(kind, counts):
    gts, out = truth(counts), outputs(kind)
    _, expected, expected_grads = step(kind, build(kind), out, gts)
    _, sums, grads = step(kind, build(kind, OFF), out, gts)
    assert sums == expected
    for got, want in zip(grads, expected_grads, strict=True):
        assert (got is None and want is None) or torch.equal(got, want)


@every_head
def test_both_halves_off_are_the_host_to_the_last_bit(kind):
    gts, out = truth((4, 3)), outputs(kind)
    _, expected, _ = step(kind, build(kind), out, gts)
    found, sums, _ = step(kind, build(kind, dict(eta=None, lam=None)), out, gts)
    assert sums == expected
    assert "w_loc" not in found


@every_head
@pytest.mark.parametrize("scope", ["level", "image", "batch", "global"])
def test_balancing_moves_gradients_and_keeps_the_classification_loss(kind, scope):
    gts, out = truth((4, 3)), outputs(kind)
    _, expected, expected_grads = step(kind, build(kind), out, gts)
    _, sums, grads = step(kind, build(kind, dict(eta=1.5, lam=None, cls_scope=scope)), out, gts)
    assert_close(sums["loss_cls"], expected["loss_cls"], rtol=1e-6, atol=0)
    assert sums["loss_bbox"] == expected["loss_bbox"]
    first = range(len(out[0])) if isinstance(out[0], list) else [0]
    assert max((grads[i] - expected_grads[i]).abs().max() for i in first) > 1e-4


def test_the_correction_equals_weighting_each_element():
    """The same as a weight of its own for each anchor and class, as the authors' code has it."""
    kind, gts = "RetinaHead", truth((4, 3))
    out = outputs(kind)
    ours = build(kind, dict(eta=1.5, lam=None, cls_scope="batch"))
    _, _, grads = step(kind, ours, out, gts)

    host = build(kind)
    meta = dict(img_shape=(160, 160), pad_shape=(160, 160))
    sizes = [x.shape[-2:] for x in out[0]]
    anchors, flags = host.get_anchors(sizes, [meta] * 2, device="cpu")
    labels, label_weights, targets, _, avg_factor = host.get_targets(
        anchors, flags, gts, [meta] * 2
    )
    rows = [
        torch.cat([m.permute(0, 2, 3, 1).reshape(2, -1, w) for m in maps], 1).reshape(-1, w)
        for maps, w in zip(out, (K, 4), strict=True)
    ]
    label, target = torch.cat(labels, 1).flatten(), torch.cat(targets, 1).flatten(0, 1)
    prior = torch.cat([torch.cat(per_image) for per_image in anchors])
    own = torch.nn.functional.one_hot(label, K + 1)[:, :K].bool()
    every = (
        host.loss_cls(rows[0], label, reduction_override="none")
        * torch.cat(label_weights, 1).flatten()[:, None]
    )
    boxes, gt_boxes = host.bbox_coder.decode(prior, rows[1]), host.bbox_coder.decode(prior, target)
    power = bbox_overlaps(boxes, gt_boxes, is_aligned=True) ** 1.5
    own_loss = every[own]
    weight = torch.ones_like(every)
    weight[own] = (power[label < K] * own_loss.sum() / (power[label < K] * own_loss).sum()).detach()
    direct = torch.autograd.grad((weight * every).sum() / avg_factor, out[0])
    for got, want in zip(grads, direct, strict=False):
        assert_close(got, want, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead"])
def test_layers_and_state_dict_of_r_cnn_heads_are_the_hosts(name):
    cfg = dict(
        in_channels=8, num_classes=K, conv_out_channels=8, roi_feat_size=3, fc_out_channels=16
    )
    if name == "ConvFCBBoxHead":
        cfg |= dict(num_cls_fcs=1, num_reg_convs=1)
    host = MODELS.build(dict(type=f"mmdet.{name}", **cfg))
    ours = MODELS.build(dict(type=f"mmext.IoUBalanced{name}", **cfg))
    missing, unexpected = ours.load_state_dict(host.state_dict(), strict=False)
    assert not missing
    assert not unexpected
    x = torch.randn(2, 8, 3, 3)
    assert_close(ours.eval()(x), host.eval()(x), rtol=0, atol=0)


@every_head
@pytest.mark.parametrize("w_loc", [3.0, "auto"])
def test_checkpoints_of_the_host_load_strictly(kind, w_loc):
    """What training alone needs may be missing, and may be there where it is not needed."""
    ours, host = build(kind, dict(w_loc=w_loc)), build(kind)
    ours.load_state_dict(host.state_dict(), strict=True)
    ours.load_state_dict(build(kind, dict(w_loc="auto")).state_dict(), strict=True)


def test_half_of_the_calibration_is_a_damaged_checkpoint():
    ours = build("RetinaHead", dict(w_loc="auto"))
    state = ours.state_dict()
    del state["iou_balance.calib_steps"]
    with pytest.raises(RuntimeError, match="calib_steps"):
        ours.load_state_dict(state, strict=True)


# The localisation half


@every_head
def test_each_box_counts_by_its_iou(kind, seen):
    """The gradient of each positive's box is the host's times w_loc * iou**lam."""
    gts, out = truth((4, 3)), outputs(kind)
    host, ours = build(kind), build(kind, dict(eta=None, lam=1.5, w_loc=3.0))
    _, _, expected = step(kind, host, out, gts)
    _, _, grads = step(kind, ours, out, gts)
    n = len(out[0]) if isinstance(out[0], list) else 1
    m = len(out[1]) if isinstance(out[1], list) else 1
    ratios = []
    for got, want in zip(grads[n : n + m], expected[n : n + m], strict=True):
        at = want.abs() > 1e-7
        ratios.append((got[at] / want[at]).flatten())
    ratios = torch.cat(ratios)
    (_, positives) = seen[-1]
    allowed = 3.0 * positives.iou**1.5
    distance = (ratios[:, None] - allowed[None]).abs().amin(1)
    assert distance.max() < 1e-3 * 3.0
    assert len(ratios) > 8


@pytest.mark.parametrize("loss", ["L1Loss", "SmoothL1Loss", "GIoULoss", "BalancedL1Loss"])
@pytest.mark.parametrize("kind", ["RetinaHead", "Shared2FCBBoxHead"])
def test_any_box_loss_delta_coded_or_decoded(kind, loss):
    decoded = loss == "GIoULoss"
    changes = dict(loss_bbox=dict(type=loss), reg_decoded_bbox=decoded)
    gts, out = truth((4, 3)), outputs(kind)
    _, expected, _ = step(kind, build(kind, **changes), out, gts)
    head = build(kind, dict(eta=1.5, lam=1.5, w_loc="auto"), **changes)
    found, sums, _ = step(kind, head, out, gts)
    # the first step calibrates
    assert_close(sums["loss_bbox"], expected["loss_bbox"], rtol=1e-5, atol=0)
    assert_close(sums["loss_cls"], expected["loss_cls"], rtol=1e-6, atol=0)
    assert found["w_loc"] > 1


def test_iou_is_that_of_the_decoded_prediction():
    coder = build("RetinaHead").bbox_coder
    prior = torch.tensor([[0.0, 0, 32, 32]])
    pred = torch.tensor([[0.125, 0, 0, torch.log(torch.tensor(0.5))]])
    gt = torch.tensor([[4.0, 0, 36, 32]])
    assert_close(coder.decode(prior, pred), torch.tensor([[4.0, 8, 36, 24]]))
    boxes = decoded_iou(coder, prior, pred, gt, decoded_target=True)
    deltas = decoded_iou(coder, prior, pred, coder.encode(prior, gt), decoded_target=False)
    assert_close(boxes, torch.tensor([0.5]))
    assert_close(deltas, torch.tensor([0.5]))


@pytest.mark.parametrize("agnostic", [True, False])
def test_r_cnn_takes_the_box_of_the_own_class(agnostic, seen):
    kind, gts = "Shared2FCBBoxHead", truth((3, 2))
    head = build(kind, dict(w_loc=2.0), reg_class_agnostic=agnostic)
    out = outputs(kind)
    if agnostic:
        out[1] = out[1].detach()[:, :4].clone().requires_grad_()
    losses(kind, head, out, gts)
    (_, positives) = seen[-1]
    boxes, label, _, target, _ = rois(head, gts)
    expected = []
    for i in (label < K).nonzero().flatten():
        row = out[1][i] if agnostic else out[1][i].view(K, 4)[label[i]]
        pair = [head.bbox_coder.decode(boxes[i : i + 1, 1:], x[None]) for x in (row, target[i])]
        expected.append(bbox_overlaps(*pair)[0, 0])
    assert_close(positives.iou, torch.stack(expected).detach())
    assert torch.equal(positives.image, boxes[label < K, 0].long())


# What passes gradients and what does not


@every_head
def test_the_classification_loss_does_not_reach_the_boxes(kind):
    head, out = build(kind, dict(eta=1.5, lam=1.5)), outputs(kind)
    found = losses(kind, head, out, truth((4, 3)))
    grads = torch.autograd.grad(total(found["loss_cls"]), flat(out), allow_unused=True)
    n = len(out[0]) if isinstance(out[0], list) else 1
    assert all(g is not None and g.abs().sum() > 0 for g in grads[:1])
    assert all(g is None or not g.any() for g in grads[n:])


# Scopes


@every_dense_head
def test_scopes_are_levels_and_images(kind, seen):
    """Each positive knows its image: the same as with the images one by one."""
    head = build(kind, dict(lam=None, cls_scope="image"))
    gts, out = truth((4, 3)), outputs(kind)
    losses(kind, head, out, gts)
    both = seen[-1][1]
    for i in (0, 1):
        alone = [[m.detach()[i : i + 1].clone() for m in maps] for maps in out]
        losses(kind, head, alone, gts[i : i + 1])
        one = seen[-1][1]
        assert_close(both.iou[both.image == i], one.iou, msg=f"image {i}")
        if kind != "SSDHead":  # there a unit is an image
            assert torch.equal(both.unit[both.image == i], one.unit)


def test_images_without_rois_are_no_scope(seen):
    """A batch of many images may leave fewer RoIs than images, all of them in the last ones."""
    kind = "Shared2FCBBoxHead"
    head, out, gts = build(kind, dict(lam=None, cls_scope="image")), outputs(kind), truth((1, 1))
    all_rois = rois(head, gts)
    few = torch.tensor([0, 16, 17])  # of 32, the first positives of both images
    for image in (0, 5):
        boxes, *others = (x[few].clone() for x in all_rois)
        boxes[1:, 0] = image + 2
        boxes[0, 0] = image
        head.loss(*(x.detach()[few] for x in out), boxes, *others)
    first, late = (positives for _, positives in seen)
    assert first.image.tolist() == late.image.tolist() == [0, 1, 1]
    assert late.image.max() < late.num_images


def test_a_misspelt_key_is_answered_with_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"no key 'etta' \(did you mean 'eta'\?\); it takes eta, lam, w_loc"
    ):
        build("RetinaHead", dict(etta=1.5))


def test_unknown_scopes_and_ranges_are_refused():
    for bad, words in (
        (dict(cls_scope="rank"), "cls_scope must be one of"),
        (dict(eta=-1), "eta must be at least 0"),
        (dict(lam=-0.5), "lam must be at least 0"),
        (dict(w_loc=0), "w_loc must be 'auto' or above 0, got 0"),
        (dict(w_loc="authors"), "w_loc must be 'auto' or above 0, got 'authors'"),
        (dict(iou_floor=2), "iou_floor is an IoU"),
        (dict(calib_iters=0), "calib_iters must be at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            IoUBalance(**bad)


# Calibration


def test_calibration_keeps_the_first_loss_freezes_and_survives_a_checkpoint():
    kind, gts = "RetinaHead", truth((4, 3))
    head = build(kind, dict(eta=None, lam=1.5, w_loc="auto", calib_iters=2))
    plain = build(kind)
    for seed in (0, 1):
        found, sums, _ = step(kind, head, outputs(kind, seed=seed), gts)
        if seed == 0:
            _, expected, _ = step(kind, plain, outputs(kind, seed=seed), gts)
            assert_close(sums["loss_bbox"], expected["loss_bbox"], rtol=1e-6, atol=0)
    frozen = found["w_loc"]
    found, _, _ = step(kind, head, outputs(kind, seed=7), gts)
    assert found["w_loc"] == frozen

    resumed = build(kind, dict(eta=None, lam=1.5, w_loc="auto", calib_iters=2))
    resumed.load_state_dict(copy.deepcopy(head.state_dict()))
    found, _, _ = step(kind, resumed, outputs(kind, seed=9), gts)
    assert found["w_loc"] == frozen


def test_evaluation_and_steps_without_objects_do_not_calibrate():
    kind = "RetinaHead"
    head = build(kind, dict(w_loc="auto"))
    found, _, _ = step(kind, head, outputs(kind), truth((0, 0)))
    assert found["w_loc"] == 1
    head.eval()
    losses(kind, head, outputs(kind), truth((4, 3)))
    assert head.iou_balance.calib_steps == 0


def test_boxes_that_do_not_overlap_yet_are_normalised_step_by_step():
    """FCOS starts with points, whose IoU says nothing about the boxes to come."""
    kind, gts = "FCOSHead", truth((4, 3))
    head = build(kind, dict(eta=None, lam=1.5, w_loc="auto"))
    out = outputs(kind)
    with torch.no_grad():
        for x in out[1]:
            x.mul_(0.1)
    _, expected, _ = step(kind, build(kind), out, gts)
    found, sums, _ = step(kind, head, out, gts)
    assert found["iou_pos_mean"] < 0.2
    assert found["w_loc"] > 20
    assert head.iou_balance.calib_steps == 0
    assert_close(sums["loss_bbox"], expected["loss_bbox"], rtol=1e-5, atol=0)


# Corners


@every_head
@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (1, 0)])
@pytest.mark.parametrize("scope", ["level", "image", "batch", "global"])
def test_few_or_no_objects_are_finite(kind, counts, scope):
    out = outputs(kind)
    found, sums, grads = step(kind, build(kind, dict(cls_scope=scope)), out, truth(counts))
    assert all(torch.isfinite(v) for v in sums.values())
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert torch.isfinite(found["iou_pos_mean"])


def test_boxes_that_all_miss_keep_the_classification_loss():
    kind, gts = "RetinaHead", truth((4, 3))
    out = outputs(kind)
    with torch.no_grad():
        for x in out[1]:
            x.copy_(torch.full_like(x, 50.0))  # far away
    _, expected, expected_grads = step(kind, build(kind), out, gts)
    found, sums, grads = step(kind, build(kind, dict(eta=1.5, lam=1.5)), out, gts)
    assert found["iou_pos_mean"] == 0
    assert_close(sums["loss_cls"], expected["loss_cls"], rtol=1e-6, atol=0)
    assert_close(grads[0], expected_grads[0])
    assert abs(sums["loss_bbox"]) < 1e-6 * expected["loss_bbox"]
    floor, _ = build(kind, dict(lam=1.5, w_loc=2.0, iou_floor=0.1)), None
    _, sums, _ = step(kind, floor, out, gts)
    assert_close(sums["loss_bbox"], expected["loss_bbox"] * 2 * 0.1**1.5, rtol=1e-5, atol=0)


def test_pos_weight_and_ignored_boxes_count_in_the_normaliser():
    kind, gts = "RetinaHead", truth((4, 3))
    head = build(kind, dict(eta=1.5, lam=None))
    host = build(kind)
    for h in (head, host):
        h.train_cfg["pos_weight"] = 2.0
    out = outputs(kind)
    _, expected, _ = step(kind, host, out, gts)
    _, sums, _ = step(kind, head, out, gts)
    assert_close(sums["loss_cls"], expected["loss_cls"], rtol=1e-6, atol=0)


@every_head
def test_weights_are_the_same_under_bf16_autocast(kind, seen):
    out, gts = outputs(kind), truth((4, 3))
    head = build(kind, dict(w_loc=2.0))
    losses(kind, head, out, gts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses(kind, head, out, gts)
    (_, full), (_, half) = seen
    assert_close(half.iou, full.iou, rtol=1e-6, atol=0)
    assert_close(half.cls_loss, full.cls_loss, rtol=1e-6, atol=0)


@every_head
def test_float64_gives_what_float32_gives(kind):
    gts, found = truth((4, 3)), {}
    for dtype in (torch.float32, torch.float64):
        head = build(kind, dict(eta=1.5, lam=1.5)).to(dtype)
        out = outputs(kind, dtype=dtype)
        out = [
            [x.detach().requires_grad_() for x in m] if isinstance(m, list) else m.detach()
            for m in out
        ]
        for x in flat(out):
            x.requires_grad_()
        found[dtype] = step(kind, head, out, gts)[1:]
    (single, grads), (double, exact) = found.values()
    assert_close(
        {k: v.double() for k, v in single.items()}, {k: v.double() for k, v in double.items()}
    )
    for got, want in zip(grads, exact, strict=True):
        assert_close(got, want.float(), rtol=1e-4, atol=1e-6)


@every_head
def test_it_waits_for_the_device_at_most_three_times_more_than_the_host(kind):
    """Once calibrated: for positives' indices and their number a level, in ATSS for the centerness.

    Not for every level, and not for whether it is calibrated.
    """
    gts, out = truth((4, 3)), outputs(kind)
    host, ours = build(kind), build(kind, dict(w_loc="auto", calib_iters=1))
    losses(kind, ours, out, gts)
    theirs, mine = (host_waits(lambda h=h: losses(kind, h, out, gts)) for h in (host, ours))
    assert len(mine) <= len(theirs) + 3, set(map(str, mine)) - set(map(str, theirs))


@every_head
def test_bf16_outputs_are_finite(kind):
    head = build(kind, dict(w_loc=2.0))
    out = outputs(kind, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses(kind, head, out, truth((4, 3)))
    assert all(torch.isfinite(total(v)) for k, v in found.items() if "loss" in k)


# Refusals


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (dict(type="mmdet.QualityFocalLoss", use_sigmoid=True), "QualityFocalLoss"),
        (dict(type="mmext.QualityFocalLoss"), "QualityFocalLoss"),
        (dict(type="mmdet.VarifocalLoss"), "VarifocalLoss"),
        (dict(type="mmdet.GHMC"), "GHMC"),
        (dict(type="mmdet.SeesawLoss", num_classes=K), "SeesawLoss"),
    ],
)
def test_classification_losses_that_do_not_fit_are_refused(loss, name):
    kind = "Shared2FCBBoxHead" if name == "SeesawLoss" else "RetinaHead"
    with pytest.raises(
        ValueError, match=rf"got {name}.*use FocalLoss or CrossEntropyLoss, or set eta=None"
    ):
        build(kind, {}, loss_cls=loss)
    build(kind, dict(eta=None), loss_cls=loss)


def test_box_losses_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got GHMR; use SmoothL1Loss"):
        build("RetinaHead", {}, loss_bbox=dict(type="mmdet.GHMR"))


def test_mining_hard_rois_sees_the_hosts_losses():
    kind, gts = "Shared2FCBBoxHead", truth((3, 2))
    ours, host = build(kind, dict(w_loc=2.0)), build(kind)
    out = outputs(kind)
    args = (*out, *rois(host, gts))
    got, want = (h.loss(*args, reduction_override="none") for h in (ours, host))
    assert torch.equal(got["loss_cls"], want["loss_cls"])
    assert set(got) == set(want)
