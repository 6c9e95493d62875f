"""RetinaHead with sample weighting: the host's numbers at weights of 1, else weighted; corners."""

import copy

import pytest
import torch
from mmdet.models.dense_heads import PISARetinaHead, RetinaHead, RetinaSepBNHead
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch.testing import assert_close

from mmext.detection.iou_balanced.dense_heads import IoUBalancedRetinaHead
from mmext.detection.sample_weighting.dense_heads import SWNAnchorHeadMixin
from mmext.detection.sample_weighting.samples import Weights
from tests.contract.parts import ROOT

K, SIZE = 4, 96
GIOU = dict(reg_decoded_bbox=True, loss_bbox=dict(type="GIoULoss", loss_weight=2.0))


def build(swn=None, type_="mmext.SWNRetinaHead", **changes):
    """Ours, or mmdet's; the same weights but for the network's."""
    init_default_scope("mmdet")
    model = Config.fromfile(ROOT / "configs/_base_/models/retinanet_mobilenet-v2_fpn.py").model
    cfg = (
        dict(model.bbox_head, train_cfg=model.train_cfg, test_cfg=model.test_cfg, num_classes=K)
        | changes
    )
    if type_ != "RetinaHead":
        cfg |= dict(type=type_, swn=swn)
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def theirs(**changes):
    return build(type_="RetinaHead", **changes)


def scene(counts=(3, 2), *, shape=None, seed=0):
    """Random outputs as leaves, ground truths, and what the host asks of each image.

    With ``shape`` smaller than the maps, the anchors beyond it are ignored.
    """
    g = torch.Generator().manual_seed(seed)
    sides = [SIZE // stride for stride in (8, 16, 32)]
    scores = [
        (torch.randn(len(counts), 9 * K, s, s, generator=g) - 2).requires_grad_() for s in sides
    ]
    boxes = [
        (0.1 * torch.randn(len(counts), 36, s, s, generator=g)).requires_grad_() for s in sides
    ]
    gts = []
    for count in counts:
        corner = torch.rand(count, 2, generator=g) * 40
        extent = 25 + 20 * torch.rand(count, 2, generator=g)
        gts.append(
            InstanceData(
                bboxes=torch.cat([corner, corner + extent], 1),
                labels=torch.randint(0, K, (count,), generator=g),
            )
        )
    shape = shape or (SIZE, SIZE)
    return scores, boxes, gts, [dict(img_shape=shape, pad_shape=shape)] * len(counts)


def total_of(losses):
    """As mmengine sums them up."""
    return sum(sum(x) if isinstance(x, list) else x for key, x in losses.items() if "loss" in key)


def gradients(head, x):
    losses = head.loss_by_feat(*copy.copy(x))
    slopes = torch.autograd.grad(total_of(losses), [*x[0], *x[1]])
    return [total_of({key: losses[key]}).detach() for key in ("loss_cls", "loss_bbox")], slopes


class Given(torch.nn.Module):
    """In place of SampleWeighting: a weight for positives, one for negatives, one for boxes."""

    sees = ("iou", "prob")

    def forward(self, samples):
        self.samples = samples
        cls = torch.ones_like(samples.cls).index_fill(0, samples.positive, 3.0)
        cls = cls.masked_fill(samples.negative, 0.5)
        return Weights(cls, torch.full_like(samples.iou, 2.0), None, {})


def test_without_swn_it_is_the_host():
    assert build().state_dict().keys() == theirs().state_dict().keys()
    assert build().loss_by_feat(*scene()).keys() == theirs().loss_by_feat(*scene()).keys()
    assert_close(gradients(build(), scene()), gradients(theirs(), scene()), rtol=0, atol=0)


@pytest.mark.parametrize("changes", [{}, GIOU], ids=["deltas", "GIoU"])
@pytest.mark.parametrize("shape", [None, (64, 80)])
def test_a_fresh_network_changes_no_number(changes, shape):
    ours, host = build({}, **changes), theirs(**changes)
    x = scene(shape=shape)
    assert_close(gradients(ours, x), gradients(host, x), rtol=1e-5, atol=1e-7)
    assert all(value == 0 for key, value in ours.loss_by_feat(*x).items() if "loss_swn" in key)


def test_losses_are_lists_as_in_the_host():
    ours = build({}).loss_by_feat(*scene())
    for key in ("loss_cls", "loss_bbox"):
        assert sum(ours[key]).dim() == 0


def test_the_mix_in_fits_another_anchor_head():
    class SWNRetinaSepBNHead(SWNAnchorHeadMixin, RetinaSepBNHead):
        pass

    ours, x = build({}, SWNRetinaSepBNHead, num_ins=3), scene()
    assert_close(gradients(ours, x), gradients(theirs(), x), rtol=1e-5, atol=1e-7)
    ours.swn = Given()
    (_, found), (_, plain) = gradients(ours, x), gradients(theirs(), x)
    assert_close(found[3:], [2 * slope for slope in plain[3:]], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("changes", [{}, GIOU], ids=["deltas", "GIoU"])
def test_weights_multiply_the_hosts_gradients(changes):
    """The gradient of an anchor's scores is 3 or half, of a positive's box twice what it was."""
    ours, x = build({}, **changes), scene()
    ours.swn = Given()
    (_, found), (_, plain) = gradients(ours, x), gradients(theirs(**changes), x)
    seen, at = ours.swn.samples, 0
    for level in range(3):
        rows, before = (
            slopes[level].permute(0, 2, 3, 1).reshape(-1, K) for slopes in (found, plain)
        )
        index = torch.arange(at, at + len(rows))
        w = torch.where(torch.isin(index, seen.positive), 3.0, 0.5)
        w[~(torch.isin(index, seen.positive) | seen.negative[index])] = 1.0
        assert_close(rows, before * w[:, None], rtol=1e-5, atol=1e-9)
        assert_close(found[level + 3], 2 * plain[level + 3], rtol=1e-5, atol=1e-9)
        at += len(rows)
    assert len(seen.positive) > 3


def test_ignored_anchors_count_only_in_the_authors_means():
    heads = [build({}), build({}, official_means=True)]
    x = scene()
    for head in heads:
        head.swn = Given()
        head.loss_by_feat(*x)
    ours, official = (head.swn.samples for head in heads)
    everything = len(official.cls)
    assert len(official.positive) + official.negative.sum() == everything
    assert len(ours.positive) + ours.negative.sum() < everything
    ignored = official.negative & ~ours.negative
    assert (official.cls[ignored] == 0).all()


@pytest.mark.parametrize("mode", ["mlp", "closed_form", "constant"])
@pytest.mark.parametrize("counts", [(0, 0), (1,), (0, 3)])
@pytest.mark.parametrize("changes", [{}, GIOU], ids=["deltas", "GIoU"])
def test_corners_are_finite_and_reach_every_parameter(mode, counts, changes):
    head, x = build(dict(mode=mode), **changes), scene(counts)
    total = total_of(head.loss_by_feat(*x))
    total.backward()
    assert torch.isfinite(total)
    for leaf in (*x[0], *x[1], *head.swn.parameters()):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


def test_all_anchors_share_one_weight_unless_told_otherwise():
    assert build({}).swn.cls_mode == "joint"
    assert build(dict(cls_mode="group")).swn.cls_mode == "group"


class OwnSingleLosses(RetinaHead):
    def loss_by_feat_single(self, *args):
        return super().loss_by_feat_single(*args)


@pytest.mark.parametrize("host", [PISARetinaHead, IoUBalancedRetinaHead, OwnSingleLosses])
def test_a_head_with_losses_of_its_own_is_refused(host):
    """They would be passed by without a word."""

    class Ours(SWNAnchorHeadMixin, host):
        pass

    with pytest.raises(
        ValueError, match=r"with AnchorHead's loss_by_feat.*, got Ours with one of its own"
    ):
        build({}, Ours)
    assert build(None, Ours).swn is None


def test_checkpoints_go_both_ways_and_predictions_stay():
    ours, host = build({}), theirs()
    ours.load_state_dict(host.state_dict(), strict=True)
    host.load_state_dict(
        {k: v for k, v in ours.state_dict().items() if "swn." not in k}, strict=True
    )
    feats = [torch.rand(1, 96, SIZE // stride, SIZE // stride) for stride in (8, 16, 32)]
    assert_close(ours(feats), host(feats), rtol=0, atol=0)
