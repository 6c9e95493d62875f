"""GFLHead: parity with mmdet's, corners, the float32 integral, the floor, saturation, bytes."""

import copy
import logging

import pytest
import torch
from mmdet.models.dense_heads.gfl_head import Integral as HostIntegral
from mmengine.logging import MMLogger
from torch.testing import assert_close

from mmext.detection.gfl.head import GFLHead, Integral
from mmext.measure import bytes_kept_for_backward
from tests.detection.gfl.scenes import (
    feature_maps,
    ground_truth,
    head_pair,
    host_cfg,
    predictions,
)

LOSSES = ("loss_cls", "loss_bbox", "loss_dfl")


def total(loss):
    return sum(loss) if isinstance(loss, list) else loss


def losses_and_gradients(head, scores, boxes, instances, metas):
    leaves = [x.detach().clone().requires_grad_() for x in [*scores, *boxes]]
    out = head.loss_by_feat(
        leaves[: len(scores)], leaves[len(scores) :], copy.deepcopy(instances), metas
    )
    assert set(out) == set(LOSSES)
    totals = {name: total(out[name]) for name in LOSSES}
    sum(totals.values()).backward()
    return {name: value.detach() for name, value in totals.items()}, [x.grad for x in leaves]


class TestParity:
    def test_state_dict_keys_are_the_host_s(self):
        ours, theirs = head_pair()
        assert list(ours.state_dict()) == list(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict(), strict=True)

    @pytest.mark.parametrize("counts", [(5, 3), (1, 0), (0, 7), (0, 0), (4,)])
    @pytest.mark.parametrize("size", [(256, 320), (203, 317)])
    def test_losses_and_gradients_equal_the_host_s(self, counts, size):
        ours, theirs = head_pair()
        scores, boxes = predictions(len(counts), *size)
        instances, metas = ground_truth(counts, *size)
        mine = losses_and_gradients(ours, scores, boxes, instances, metas)
        host = losses_and_gradients(theirs, scores, boxes, instances, metas)
        assert_close(mine[0], host[0], rtol=1e-5, atol=1e-6)
        assert_close(mine[1], host[1], rtol=1e-5, atol=1e-6)

    def test_ignored_boxes_and_a_border_are_treated_as_in_the_host(self):
        size = (256, 320)
        ours, theirs = head_pair()
        for head in (ours, theirs):
            head.train_cfg["allowed_border"] = 0
            head.assigner.ignore_iof_thr = 0.3
        scores, boxes = predictions(2, *size)
        instances, metas = ground_truth((5, 3), *size)
        ignore, _ = ground_truth((2, 2), *size, seed=5)
        mine, host = (
            head.loss_by_feat(scores, boxes, copy.deepcopy(instances), metas, copy.deepcopy(ignore))
            for head in (ours, theirs)
        )
        for name in LOSSES:
            assert_close(total(mine[name]), total(host[name]), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("with_nms", [True, False])
    @pytest.mark.parametrize("nms_pre", [100, -1])
    def test_predictions_are_identical(self, with_nms, nms_pre):
        size = (203, 317)
        ours, theirs = head_pair()
        cfg = copy.deepcopy(ours.test_cfg)
        cfg.nms_pre = nms_pre if nms_pre > 0 else 10**6
        scores, boxes = predictions(2, *size)
        _, metas = ground_truth((0, 0), *size)
        metas[1]["scale_factor"] = (0.5, 0.5)
        mine, host = (
            head.predict_by_feat(
                scores, boxes, None, metas, cfg, rescale=with_nms, with_nms=with_nms
            )
            for head in (ours, theirs)
        )
        for a, b in zip(mine, host, strict=True):
            assert len(a) > 0
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.scores, b.scores)
            # px; sums of 17 products in another order
            assert_close(a.bboxes, b.bboxes, rtol=0, atol=1e-4)

    def test_an_image_without_any_score_gives_no_boxes(self):
        ours, _ = head_pair()
        scores, boxes = predictions(1, 256, 320)
        (result,) = ours.predict_by_feat(
            [x - 50 for x in scores], boxes, None, ground_truth((0,), 256, 320)[1]
        )
        assert result.bboxes.shape == (0, 4)


class TestCorners:
    def test_a_compiled_head_has_the_same_losses(self):
        ours, _ = head_pair()
        scores, boxes = predictions(2, 64, 96)
        instances, metas = ground_truth((3, 1), 64, 96)
        plain = losses_and_gradients(ours, scores, boxes, instances, metas)
        torch._dynamo.reset()
        ours.loss_by_feat = torch.compile(ours.loss_by_feat, backend="eager")
        assert_close(losses_and_gradients(ours, scores, boxes, instances, metas), plain)

    @pytest.mark.parametrize("counts", [(0, 0), (0,), (3,)])
    def test_every_parameter_gets_a_gradient(self, counts):
        ours, _ = head_pair()
        instances, metas = ground_truth(counts, 256, 320)
        out = ours.loss_by_feat(*ours(feature_maps(len(counts), 256, 320)), instances, metas)
        if not any(counts):
            assert total(out["loss_bbox"]) == total(out["loss_dfl"]) == 0
        sum(map(total, out.values())).backward()
        for name, parameter in ours.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name

    def test_bf16_autocast_changes_little_and_stays_finite(self):
        ours, _ = head_pair()
        instances, metas = ground_truth((5, 3), 256, 320)
        maps = feature_maps(2, 256, 320)
        exact = ours.loss_by_feat(*ours(maps), instances, metas)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = ours.loss_by_feat(*ours(maps), instances, metas)
        for name in LOSSES:
            assert total(half[name]).dtype == torch.float32
            # bf16 maps carry 8 bits
            assert_close(total(half[name]), total(exact[name]), rtol=0.05, atol=0.01)

    def test_it_takes_the_host_s_losses(self):
        cfg = host_cfg()
        head = GFLHead(**cfg, loss_cls=dict(type="mmdet.QualityFocalLoss"))
        instances, metas = ground_truth((5,), 256, 320)
        scores, boxes = predictions(1, 256, 320)
        ours, _ = head_pair()
        mixed = head.loss_by_feat(scores, boxes, copy.deepcopy(instances), metas)
        assert_close(mixed, ours.loss_by_feat(scores, boxes, instances, metas))

    @pytest.mark.parametrize("floor", [0, -1.0, "none"])
    def test_a_wrong_floor_is_refused(self, floor):
        with pytest.raises(ValueError, match="avg_factor_floor must be 'paper' or above 0"):
            GFLHead(**host_cfg(), avg_factor_floor=floor)


class TestIntegral:
    def test_autocast_does_not_move_a_box_side(self):
        g = torch.Generator().manual_seed(0)
        logits = 3 * torch.randn(4000, 68, generator=g)
        exact = HostIntegral()(logits.double())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours, theirs = Integral()(logits), HostIntegral()(logits)
        assert ours.shape == (4000, 4)
        assert (ours - exact).abs().max() < 1e-4  # strides
        assert (theirs - exact).abs().max() > 1e-2  # the witness: mmdet's runs in half precision


class TestFloor:
    def few_positives(self):
        """A freshly initialised head, whose scores are about 0.01, so their sum is far below 1."""
        instances, metas = ground_truth((1, 1), 256, 320)
        return instances, metas, feature_maps(2, 256, 320)

    def test_paper_divides_by_the_sum_of_scores_itself(self):
        paper, _ = head_pair(ours=dict(avg_factor_floor="paper"))
        damped, host = head_pair()
        instances, metas, maps = self.few_positives()
        a, b, c = (
            h.loss_by_feat(*h(maps), copy.deepcopy(instances), metas) for h in (paper, damped, host)
        )
        # The sum of the positives' scores, worked out once more and on its own.
        scores = host(maps)[0]
        sizes = [s.shape[-2:] for s in scores]
        _, labels, *_ = host.get_targets(
            *host.get_anchors(sizes, metas, device="cpu"), copy.deepcopy(instances), metas
        )
        score_sum = sum(
            s.sigmoid().amax(1).flatten()[y.flatten() < 4].sum()
            for s, y in zip(scores, labels, strict=True)
        )
        assert 0 < score_sum < 0.5
        for name in ("loss_bbox", "loss_dfl"):
            assert_close(total(a[name]) * score_sum, total(b[name]), rtol=1e-2, atol=0)
            assert_close(total(b[name]), total(c[name]), rtol=1e-5, atol=1e-7)
        assert_close(a["loss_cls"], b["loss_cls"])

    def test_paper_is_finite_without_positives(self):
        paper, _ = head_pair(ours=dict(avg_factor_floor="paper"))
        instances, metas = ground_truth((0, 0), 256, 320)
        out = paper.loss_by_feat(*paper(feature_maps(2, 256, 320)), instances, metas)
        assert total(out["loss_bbox"]) == total(out["loss_dfl"]) == 0


class TestSaturation:
    def test_cut_distances_are_counted_and_reported_once(self, caplog):
        logger = MMLogger.get_instance("saturation")
        logger.addHandler(caplog.handler)
        ours = GFLHead(**host_cfg(), reg_max=2)
        instances, metas = ground_truth((6, 6), 256, 320)
        scores, boxes = predictions(2, 256, 320, bins=3)
        with caplog.at_level(logging.WARNING, logger="saturation"):
            ours.loss_by_feat(scores, boxes, copy.deepcopy(instances), metas)
            first = ours.saturation.num_saturated
            ours.loss_by_feat(scores, boxes, instances, metas)
        assert 0 < first < ours.saturation.num_sides
        assert ours.saturation.num_saturated == 2 * first
        reports = [r.getMessage() for r in caplog.records if "box sides" in r.getMessage()]
        assert len(reports) == 1
        assert f"{first:g} of {ours.saturation.num_sides // 2} box sides" in reports[0]
        assert "reg_max=2" in reports[0]

    def test_the_count_is_that_of_the_targets(self):
        ours = GFLHead(**host_cfg())
        sides = torch.tensor([[18.0, 8.0, 15.9, 16.1]])
        assert ours.saturation.sides_of(sides).tolist() == [2, 4]

    def test_boxes_within_reach_are_not_reported(self):
        ours, _ = head_pair()
        instances, metas = ground_truth((6, 6), 256, 320)
        scores, boxes = predictions(2, 256, 320)
        ours.loss_by_feat(scores, boxes, instances, metas)
        assert ours.saturation.num_saturated == 0
        assert ours.saturation.num_sides > 0


class TestLean:
    def test_the_whole_loss_keeps_at_most_half_of_the_host_s_bytes(self):
        ours, theirs = head_pair(num_classes=80)
        instances, metas = ground_truth((7, 7), 800, 1344, num_classes=80)
        scores, boxes = predictions(2, 800, 1344, num_classes=80)  # 44,800 x 80 scores

        def kept(head):
            return bytes_kept_for_backward(
                lambda: head.loss_by_feat(scores, boxes, copy.deepcopy(instances), metas)
            )

        assert kept(ours) <= 0.5 * kept(theirs)
