"""The quality heads: oracle, limits, corners, gradients, bad input.

QualityRetinaHead, QualityATSSHead, QualityFCOSHead.
"""

import copy

import pytest
import torch
from torch.testing import assert_close

from mmext.detection.gfl.quality_atss import QualityATSSHead
from mmext.detection.gfl.quality_fcos import QualityFCOSHead
from mmext.detection.gfl.quality_retina import QualityRetinaHead
from tests.detection.gfl.quality_scenes import (
    CENTERNESS,
    DFL,
    GIOU,
    KINDS,
    SIZE,
    build,
    build_host,
    host_losses,
    losses_of,
    maps,
    oracle,
    scene,
    targets_of,
)
from tests.detection.gfl.scenes import STRIDES, feature_maps, ground_truth, host_cfg

EVERY = pytest.mark.parametrize("kind", KINDS)


def perfect_boxes(head, boxes, instances, metas):
    """Box maps (deltas or distances) that decode to the ground truth at every positive."""
    sizes, perfect = [x.shape[-2:] for x in boxes], []
    levels = targets_of(head, sizes, copy.deepcopy(instances), metas)
    for box, stride, (at, labels, _, gt) in zip(boxes, STRIDES, levels, strict=True):
        code = torch.zeros(*labels.shape, 4)
        row = labels < head.num_classes
        code[row] = head.bbox_coder.encode(at[row], gt[row])
        if getattr(head, "norm_on_bbox", False):
            code /= stride
        B, C, H, W = box.shape
        perfect.append(code.reshape(B, H, W, C).permute(0, 3, 1, 2))
    return perfect


class TestOracle:
    @EVERY
    @pytest.mark.parametrize("counts", [(4, 2), (0, 3)])
    def test_losses_equal_the_loop_over_rows(self, kind, counts):
        head = build(kind)
        instances, metas = scene(counts)
        scores, boxes = maps(head, len(counts), *SIZE)
        got = losses_of(head, scores, boxes, instances, metas)
        expected = oracle(head, scores, boxes, copy.deepcopy(instances), metas)
        for name, value in expected.items():
            assert value > 0
            assert_close(got[name].item(), value, rtol=2e-5, atol=0)

    @pytest.mark.parametrize("kind", ["retina", "retina-decoded"])
    def test_the_box_loss_of_retina_is_the_host_s(self, kind):
        ours, host = build(kind), build_host(kind)
        instances, metas = scene((4, 2))
        results = []
        for head in (ours, host):
            scores, boxes = maps(head, 2, *SIZE)
            loss = host_losses(head, scores, boxes, instances, metas)["loss_bbox"]
            loss.backward()
            results.append((loss.detach(), [b.grad for b in boxes]))
        assert_close(*results, rtol=1e-5, atol=1e-7)


class TestProperties:
    @pytest.mark.parametrize("kind", [name for name in KINDS if "dfl" not in name])
    def test_where_every_box_fits_it_is_focal_loss_without_alpha(self, kind):
        """At IoU 1 Eq. 2 with beta 2 is focal loss with gamma 2; alpha 1/2 halves all its terms."""
        focal = dict(
            type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.5, loss_weight=2.0
        )
        ours, host = build(kind), build_host(kind, loss_cls=focal)
        instances, metas = scene((4, 2))
        scores, boxes = maps(ours, 2, *SIZE)
        perfect = perfect_boxes(ours, boxes, instances, metas)
        mine = losses_of(ours, scores, perfect, instances, metas)
        theirs = host_losses(host, scores, perfect, instances, metas)
        assert_close(mine["loss_cls"], theirs["loss_cls"], rtol=1e-4, atol=0)
        assert mine["loss_bbox"].abs() < 1e-4
        assert losses_of(ours, scores, boxes, instances, metas)["loss_cls"] != mine["loss_cls"]

    @EVERY
    def test_the_order_of_the_images_does_not_matter(self, kind):
        head = build(kind)
        instances, metas = scene((4, 2, 0))
        scores, boxes = maps(head, 3, *SIZE)
        order = [2, 0, 1]
        again = losses_of(
            head,
            [x[order] for x in scores],
            [x[order] for x in boxes],
            [instances[i] for i in order],
            [metas[i] for i in order],
        )
        assert_close(losses_of(head, scores, boxes, instances, metas), again, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("kind", CENTERNESS)
    def test_equal_scores_weigh_boxes_equally_whatever_the_scores_are(self, kind):
        head = build(kind)
        instances, metas = scene((4, 2))
        scores, boxes = maps(head, 2, *SIZE)
        low, high = (
            losses_of(head, [torch.full_like(s, x) for s in scores], boxes, instances, metas)
            for x in (-5.0, 2.0)
        )
        assert_close(low["loss_bbox"], high["loss_bbox"])

    @pytest.mark.parametrize("kind", CENTERNESS)
    def test_the_floor_bounds_the_normaliser_from_below(self, kind):
        paper, floored = build(kind), build(kind, avg_factor_floor=1e6)
        instances, metas = scene((4, 2))
        scores, boxes = maps(paper, 2, *SIZE)
        a, b = (losses_of(head, scores, boxes, instances, metas) for head in (paper, floored))
        labels = torch.cat(
            [
                y
                for _, y, _, _ in targets_of(
                    paper, [s.shape[-2:] for s in scores], instances, metas
                )
            ],
            1,
        )
        rows = torch.cat([s.flatten(2).mT for s in scores], 1)[labels < paper.num_classes]
        assert_close(a["loss_bbox"] * rows.sigmoid().amax(1).sum(), b["loss_bbox"] * 1e6)
        assert_close(a["loss_cls"], b["loss_cls"])


class TestCorners:
    @EVERY
    @pytest.mark.parametrize("counts", [(0, 0), (0,), (3,), (0, 4)])
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_a_step_is_finite_and_reaches_every_parameter(self, kind, counts, precision):
        head = build(kind)
        instances, metas = scene(counts)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            losses = losses_of(head, *head(feature_maps(len(counts), *SIZE)), instances, metas)
        sum(losses.values()).backward()
        for name, loss in losses.items():
            assert loss.dtype == torch.float32
            assert torch.isfinite(loss)
            if not any(counts) and name != "loss_cls":
                assert loss.item() == 0
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name

    @pytest.mark.parametrize("kind", ["retina", "atss"])
    def test_ignored_boxes_leave_their_anchors_out(self, kind):
        head = build(kind)
        head.assigner.ignore_iof_thr = 0.3
        instances, metas = scene((1, 1))
        # small ones: the large box keeps its anchors
        ignore, _ = ground_truth((3, 3), *SIZE, seed=7)
        scores, boxes = maps(head, 2, *SIZE)
        everything = losses_of(head, scores, boxes, instances, metas)
        some = losses_of(head, scores, boxes, instances, metas, ignore)
        assert 0 < some["loss_cls"] < everything["loss_cls"]

    @EVERY
    def test_half_precision_maps_are_decoded_and_compared_in_float32(self, kind):
        head = build(kind)
        instances, metas = scene((4, 2))
        scores, boxes = maps(head, 2, *SIZE, dtype=torch.bfloat16)
        exact = losses_of(
            head, [s.float() for s in scores], [b.float() for b in boxes], instances, metas
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = losses_of(head, scores, boxes, instances, metas)
        assert_close(half, exact, rtol=1e-5, atol=1e-6)

    @EVERY
    def test_mmdet_s_quality_focal_loss_gives_the_same(self, kind):
        ours, mixed = build(kind), build(kind, loss_cls=dict(type="mmdet.QualityFocalLoss"))
        instances, metas = scene((4, 2))
        scores, boxes = maps(ours, 2, *SIZE)
        assert_close(*(losses_of(head, scores, boxes, instances, metas) for head in (ours, mixed)))

    @pytest.mark.parametrize("dfl", [None, DFL])
    def test_atss_takes_several_anchors_a_place(self, dfl):
        anchors = dict(type="mmdet.AnchorGenerator", ratios=[0.5, 1.0], scales=[8], strides=STRIDES)
        head = build("atss", anchor_generator=anchors, loss_dfl=dfl, reg_max=3)
        instances, metas = scene((4, 2))
        scores, boxes = maps(head, 2, *SIZE)
        got = losses_of(head, scores, boxes, instances, metas)
        for name, value in oracle(head, scores, boxes, copy.deepcopy(instances), metas).items():
            assert_close(got[name].item(), value, rtol=2e-5, atol=0)


class TestGradient:
    @EVERY
    @pytest.mark.parametrize("scope", ["mmext", "mmdet"])  # ours takes any target as a constant
    def test_quality_labels_and_weights_are_constants(self, kind, scope):
        head = build(kind, loss_cls=dict(type=f"{scope}.QualityFocalLoss"))
        instances, metas = scene((4, 2))
        scores, boxes = maps(head, 2, *SIZE)
        losses = losses_of(head, scores, boxes, instances, metas)

        def reaches(loss, leaves):
            grads = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
            return any(g is not None and bool(g.any()) for g in grads)

        assert reaches(losses["loss_cls"], scores)
        assert not reaches(losses["loss_cls"], boxes)
        for name in {"loss_bbox", "loss_dfl"} & set(losses):
            assert reaches(losses[name], boxes)
            assert not reaches(losses[name], scores)


class TestBadInput:
    @pytest.mark.parametrize(
        ("cls", "cfg", "says"),
        [
            (
                QualityRetinaHead,
                dict(loss_dfl=DFL),
                "no bins, got loss_dfl; for distributions take mmext.GFLHead",
            ),
            (QualityRetinaHead, dict(reg_max=16), "no bins, got reg_max"),
            (QualityATSSHead, dict(loss_dfl=DFL, reg_max=0), "reg_max must be at least 1, got 0"),
            (
                QualityATSSHead,
                dict(loss_cls=dict(type="mmext.QualityFocalLoss", gamma=2.0, alpha=0.25)),
                "got alpha, gamma of a FocalLoss; write loss_cls=dict\\(_delete_=True",
            ),
            (
                QualityATSSHead,
                dict(reg_decoded_bbox=False),
                "reg_decoded_bbox must be True, got False",
            ),
            (
                QualityATSSHead,
                dict(avg_factor_floor=0),
                "avg_factor_floor must be 'paper' or above 0, got 0",
            ),
            (
                QualityFCOSHead,
                dict(avg_factor_floor="none"),
                "avg_factor_floor must be 'paper' or above 0",
            ),
            (
                QualityFCOSHead,
                dict(loss_dfl=DFL, norm_on_bbox=False),
                "needs norm_on_bbox=True, got False",
            ),
            (
                QualityATSSHead,
                dict(loss_dfl=DFL, bbox_coder=dict(type="mmdet.DeltaXYWHBBoxCoder")),
                "with loss_dfl needs a DistancePointBBoxCoder, got DeltaXYWHBBoxCoder",
            ),
            (
                QualityATSSHead,
                dict(bbox_coder=dict(type="mmdet.DistancePointBBoxCoder")),
                "without loss_dfl needs a coder of deltas",
            ),
        ],
    )
    def test_a_wrong_argument_says_what_was_expected(self, cls, cfg, says):
        with pytest.raises(ValueError, match=says):
            cls(**host_cfg(), **cfg)

    @pytest.mark.parametrize("cls", [QualityRetinaHead, QualityATSSHead, QualityFCOSHead])
    @pytest.mark.parametrize(
        ("loss", "got"),
        [
            (dict(type="mmdet.FocalLoss"), "FocalLoss"),
            (dict(type="mmdet.VarifocalLoss"), "VarifocalLoss"),
            (dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False), "CrossEntropyLoss"),
            (
                dict(type="mmext.QualityFocalLoss", activated=True),
                "QualityFocalLoss with activated=True",
            ),
        ],
    )
    def test_any_other_classification_loss_is_refused(self, cls, loss, got):
        with pytest.raises(
            ValueError, match=f"{cls.__name__} needs a QualityFocalLoss on logits .* got {got};"
        ):
            cls(**host_cfg(), loss_cls=loss)

    @pytest.mark.parametrize("cls", [QualityATSSHead, QualityFCOSHead])
    def test_what_a_host_s_config_says_of_centerness_may_stay(self, cls):
        head = cls(
            **host_cfg(),
            loss_bbox=GIOU,
            loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True),
        )
        assert not hasattr(head, "loss_centerness")
        assert not [name for name in head.state_dict() if "centerness" in name]
