"""Box heads with sample weighting: the host's numbers at weights of 1, else weighted; corners."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.testing import assert_close

from mmext.detection.sample_weighting.samples import Weights
from tests.contract import detection as host
from tests.contract.parts import ROOT, forget_files
from tests.detection.sample_weighting.roi_scenes import (
    CIOU,
    GIOU,
    K,
    build,
    gradients,
    losses_of,
    scene,
)

HEADS = {
    "SWNShared2FCBBoxHead": {},
    "SWNShared4Conv1FCBBoxHead": {},
    "SWNConvFCBBoxHead": dict(num_shared_fcs=1, num_cls_fcs=1),
}
KINDS = {
    "per class": ({}, {}),
    "class agnostic": (dict(reg_class_agnostic=True), dict(agnostic=True)),
    "GIoU": (dict(reg_decoded_bbox=True, loss_bbox=GIOU), dict(decoded=True)),
    "CIoU, agnostic": (
        dict(reg_decoded_bbox=True, reg_class_agnostic=True, loss_bbox=CIOU),
        dict(decoded=True, agnostic=True),
    ),
    "L1, one loss a class": (
        dict(
            loss_bbox=dict(type="L1Loss"), loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True)
        ),
        {},
    ),
}


class Given(torch.nn.Module):
    """In place of SampleWeighting: weights drawn at random, and a record of what it was given."""

    sees = ("iou", "prob")

    def forward(self, samples):
        self.samples = samples
        g = torch.Generator().manual_seed(1)
        cls = torch.rand(len(samples.cls), generator=g) + 0.5
        return Weights(cls, torch.rand(len(samples.positive), generator=g) + 0.5, None, {})


@pytest.mark.parametrize("head", HEADS)
def test_without_swn_it_is_the_host(head):
    ours, theirs = build(head, **HEADS[head]), build(head.removeprefix("SWN"), **HEADS[head])
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert losses_of(ours, scene()).keys() == losses_of(theirs, scene()).keys()
    assert_close(gradients(ours, scene()), gradients(theirs, scene()), rtol=0, atol=0)


def test_the_detector_starts_from_the_same_weights_with_it():
    ours, theirs = build(swn={}), build("Shared2FCBBoxHead")
    after = []
    for head in (ours, theirs):
        torch.manual_seed(1)
        head.init_weights()
        after.append(torch.rand(1))
    assert after[0] == after[1]
    state = ours.state_dict()
    assert_close(
        {key: state[key] for key in theirs.state_dict()}, dict(theirs.state_dict()), rtol=0, atol=0
    )


def test_neutral_weights_give_the_hosts_numbers_exactly():
    swn = dict(clamp=(0, 0), lambdas=dict(cls_pos=0, cls_neg=0, reg=0))
    ours, theirs = build(swn=swn), build("Shared2FCBBoxHead")
    torch.nn.init.normal_(ours.swn.predictor.last.weight)
    x = scene(ignored=3)
    assert_close(gradients(ours, x), gradients(theirs, x), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_network_changes_no_number(kind):
    head, drawn = KINDS[kind]
    x = scene(ignored=3, **drawn)
    ours, theirs = build(swn={}, **head), build("Shared2FCBBoxHead", **head)
    assert_close(gradients(ours, x), gradients(theirs, x), rtol=1e-6, atol=1e-6)
    assert all(value == 0 for key, value in losses_of(ours, x).items() if "loss_swn" in key)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_multiply_the_hosts_gradients(kind):
    """So they are constants for the detector, whatever the network saw of it."""
    head, drawn = KINDS[kind]
    x = scene(ignored=3, **drawn)
    ours = build(swn={}, **head)
    ours.swn = Given()
    theirs = build("Shared2FCBBoxHead", **head)
    found, plain = gradients(ours, x), gradients(theirs, x)
    w = ours.swn(ours.swn.samples)
    box = torch.ones(len(x.labels)).index_copy(0, ours.swn.samples.positive, w.box)
    assert_close(found["scores"], plain["scores"] * w.cls[:, None])
    assert_close(found["boxes"], plain["boxes"] * box[:, None])
    weighted = x._replace(
        label_weights=x.label_weights * w.cls, bbox_weights=x.bbox_weights * box[:, None]
    )
    assert_close(
        losses_of(ours, x)["loss_cls"],
        losses_of(theirs, weighted)["loss_cls"],
        rtol=1e-6,
        atol=1e-6,
    )
    assert_close(
        losses_of(ours, x)["loss_bbox"],
        losses_of(theirs, weighted)["loss_bbox"],
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_network_sees(kind):
    head, drawn = KINDS[kind]
    x = scene(ignored=3, **drawn)
    ours = build(swn={}, **head)
    ours.swn = Given()
    losses_of(ours, x)
    seen = ours.swn.samples
    assert seen.positive.tolist() == list(range(7))
    assert seen.negative.nonzero().squeeze(1).tolist() == list(range(7, 19))
    single = build("Shared2FCBBoxHead", **head).loss(*x, reduction_override="none")
    assert_close(seen.cls, single["loss_cls"].reshape(len(x.labels), -1).sum(1))
    assert_close(seen.box.sum(1), single["loss_bbox"].reshape(7, -1).sum(1))
    scores = x.cls_score.sigmoid() if "one loss" in kind else x.cls_score.softmax(1)
    assert_close(seen.prob, torch.stack([scores[i, x.labels[i]] for i in range(7)]))
    for i in range(7):
        own = 0 if x.bbox_pred.shape[1] == 4 else x.labels[i]
        deltas = x.bbox_pred[i].view(-1, 4)[own]
        box = ours.bbox_coder.decode(x.rois[i : i + 1, 1:], deltas[None])[0]
        target = x.bbox_targets[i]
        if not drawn.get("decoded"):
            target = ours.bbox_coder.decode(x.rois[i : i + 1, 1:], target[None])[0]
        assert_close(seen.iou[i], one_iou(box, target))


def one_iou(a, b):
    width = (min(a[2], b[2]) - max(a[0], b[0])).clamp(min=0)
    height = (min(a[3], b[3]) - max(a[1], b[1])).clamp(min=0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(area) - width * height)


CORNERS = {
    "no positives": dict(positives=0),
    "no negatives": dict(negatives=0),
    "one positive": dict(positives=1, negatives=0),
    "one negative": dict(positives=0, negatives=1),
    "no RoIs": dict(positives=0, negatives=0),
    "all ignored": dict(positives=0, negatives=0, ignored=4),
}


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["mlp", "closed_form"])
def test_corners_are_finite_and_reach_every_parameter(corner, kind, mode):
    head, drawn = KINDS[kind]
    ours = build(swn=dict(mode=mode), **head)
    x = scene(**CORNERS[corner], **drawn)
    total = sum(value for key, value in losses_of(ours, x).items() if "loss" in key)
    total.backward()
    assert torch.isfinite(total)
    for leaf in (x.cls_score, x.bbox_pred, *ours.swn.parameters()):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


def test_single_losses_are_the_hosts():
    x = scene()
    ours, theirs = build(swn=dict(mode="closed_form")), build("Shared2FCBBoxHead")
    found, expected = (losses_of(head, x, reduction_override="none") for head in (ours, theirs))
    assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(loss_cls=dict(type="GHMC")), "got GHMC"),
        (dict(loss_bbox=dict(type="GHMR")), "got GHMR"),
        (dict(loss_cls=dict(type="SeesawLoss", num_classes=K)), "got SeesawLoss"),
        (dict(with_reg=False), "classifies and regresses"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        build(swn={}, **changes)


def test_checkpoints_go_both_ways_strictly_and_predictions_stay():
    ours, theirs = build(swn={}), build("Shared2FCBBoxHead")
    kept = copy.deepcopy(ours.swn.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert_close(dict(ours.swn.state_dict()), dict(kept), rtol=0, atol=0)
    feats = torch.rand(6, 4, 3, 3)
    assert_close(ours(feats), theirs(feats), rtol=0, atol=0)
    for swn in (None, dict(mode="closed_form")):
        build(swn=swn).load_state_dict(ours.state_dict(), strict=True)
    parts = {key: value for key, value in ours.state_dict().items() if "last" not in key}
    with pytest.raises(RuntimeError, match=r"Missing key.*swn.predictor.last"):
        ours.load_state_dict(parts, strict=True)


def small_model(bbox_head):
    init_default_scope("mmdet")
    model = Config.fromfile(ROOT / "configs/_base_/models/faster_rcnn_mobilenet-v2_fpn.py").model
    model.roi_head.bbox_head.update(num_classes=K, **bbox_head)
    forget_files(model)
    host.lessen(model)
    torch.manual_seed(0)
    built = MODELS.build(model)
    built.init_weights()
    return built


def test_a_detector_predicts_what_it_would_without_the_network():
    ours = small_model(dict(type="mmext.SWNShared2FCBBoxHead", swn=dict(init="zero_last")))
    theirs = small_model({})
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if ".swn." not in k})
    for model in (ours, theirs):
        model.test_cfg.rcnn.score_thr = 0.0
    data = host.batch((3, 2))
    found, expected = (host.predictions(model, data) for model in (ours, theirs))
    assert sum(map(len, expected)) > 0
    assert_close(found, expected, rtol=0, atol=0)
