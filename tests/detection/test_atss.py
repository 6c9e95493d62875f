"""ATSSAssigner: an oracle, parity with mmdet's, ties, properties, corners, bytes, operators."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.assigners import ATSSAssigner as HostATSSAssigner
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

from mmext.detection import atss as module
from mmext.detection.atss import ATSSAssigner, nearest_priors
from mmext.measure import num_operators
from tests.detection.atss_scenes import (
    NINE_ANCHORS,
    ONE_ANCHOR,
    LargestTensor,
    anchors,
    assert_same,
    instances,
    oracle,
    overlap,
    scene,
)
from tests.detection.gfl.scenes import ground_truth


class TestOracle:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize("num_boxes", [1, 12])
    def test_it_does_what_the_paper_s_algorithm_does(self, num_boxes, seed):
        priors, sizes, truth = scene(num_boxes, seed=seed)
        result = ATSSAssigner(9).assign(priors, sizes, truth)
        assert torch.equal(result.gt_inds, oracle(priors.priors, sizes, truth.bboxes, [9] * 5))
        assert 0 < (result.gt_inds > 0).sum() < 45 * num_boxes

    def test_overlaps_and_labels_are_those_of_the_assigned_box(self):
        priors, sizes, truth = scene(12)
        result = ATSSAssigner(9).assign(priors, sizes, truth)
        found = result.gt_inds > 0
        expected = [
            overlap(p, truth.bboxes[g - 1].tolist())
            for p, g in zip(
                priors.priors[found].tolist(), result.gt_inds[found].tolist(), strict=True
            )
        ]
        assert_close(result.max_overlaps[found], torch.tensor(expected), rtol=1e-4, atol=1e-6)
        assert (result.max_overlaps[~found] == module.NO_OVERLAP).all()
        assert torch.equal(result.labels[found], truth.labels[result.gt_inds[found] - 1])
        assert (result.labels[~found] == -1).all()

    def test_with_a_generator_k_counts_places(self):
        priors, sizes, truth = scene(6, 128, 160, cfg=NINE_ANCHORS)
        result = ATSSAssigner(3, prior_generator=NINE_ANCHORS).assign(priors, sizes, truth)
        assert torch.equal(result.gt_inds, oracle(priors.priors, sizes, truth.bboxes, [27] * 5))
        per_place = ATSSAssigner(3).assign(priors, sizes, truth)
        assert not torch.equal(result.gt_inds, per_place.gt_inds)  # the witness: the factor matters


class TestParity:
    def test_200_random_scenes_equal_the_host_s_to_the_last_bit(self):
        positives = 0
        for seed in range(200):
            g = torch.Generator().manual_seed(seed)
            height, width = torch.randint(64, 400, (2,), generator=g).tolist()
            num_boxes, topk = torch.randint(0, 30, (2,), generator=g).tolist()
            args = scene(num_boxes, height, width, seed=seed)
            ours, host = ATSSAssigner(topk + 1), HostATSSAssigner(topk + 1)
            result = ours.assign(*args)
            assert_same(result, host.assign(*args))
            positives += int((result.gt_inds > 0).sum())
        assert positives > 10_000

    @pytest.mark.parametrize("num_boxes", [0, 1, 500])
    def test_22400_priors(self, num_boxes):
        args = scene(num_boxes, 800, 1344)
        assert len(args[0].priors) == 22_400
        assert_same(ATSSAssigner(9).assign(*args), HostATSSAssigner(9).assign(*args))

    @pytest.mark.parametrize("threshold", [0.1, 0.5, 1.5, -1])
    def test_ignored_boxes(self, threshold):
        args = scene(12)
        (ignore,), _ = ground_truth((7,), 256, 320, seed=3)
        ours = ATSSAssigner(9, ignore_iof_thr=threshold).assign(*args, ignore)
        host = HostATSSAssigner(9, ignore_iof_thr=threshold).assign(*args, ignore)
        assert_same(ours, host)
        assert (ours.gt_inds == -1).any() == (0 < threshold < 1)

    def test_what_only_the_host_can_do_runs_the_host_s_code(self):
        priors, sizes, truth = scene(12)
        g = torch.Generator().manual_seed(0)
        priors.scores = torch.randn(len(priors), 4, generator=g)
        priors.bboxes = priors.priors + torch.rand(len(priors), 4, generator=g)
        for cfg in (
            dict(alpha=0.8),
            dict(alpha=0.8, prior_generator=ONE_ANCHOR),
            dict(
                alpha=0.8,
                iou_calculator=dict(type="mmdet.BboxOverlaps2D", dtype="fp16", scale=512.0),
            ),
        ):
            host = HostATSSAssigner(9, **{k: v for k, v in cfg.items() if k != "prior_generator"})
            assert_same(
                ATSSAssigner(9, **cfg).assign(priors, sizes, truth),
                host.assign(priors, sizes, truth),
            )
        del priors.scores, priors.bboxes
        other = dict(type="mmdet.BboxOverlaps2D_GLIP")
        ours = ATSSAssigner(9, iou_calculator=other).assign(priors, sizes, truth)
        assert_same(ours, HostATSSAssigner(9, iou_calculator=other).assign(priors, sizes, truth))


class TestTies:
    """Boxes on whole pixels and anchors on a grid: many distances and overlaps are equal."""

    def symmetric(self):
        levels = anchors(128, 128)
        return torch.cat(levels), [len(level) for level in levels]

    def test_of_equally_distant_priors_the_first_are_taken(self):
        priors, sizes = self.symmetric()
        centers = (priors[:, :2] + priors[:, 2:]) / 2
        points = torch.tensor([[64.0, 64], [60, 60], [4, 4], [68, 64], [127, 1]])
        found = nearest_priors(centers, points, sizes, [6] * 5)
        ties = 0
        for row, point in zip(found.tolist(), points.tolist(), strict=True):
            start = taken = 0
            for size in sizes:
                distance = {
                    i: math.dist(centers[i].tolist(), point) for i in range(start, start + size)
                }
                ranked = sorted(distance, key=lambda i: (distance[i], i))
                k = min(6, size)
                assert row[taken : taken + k] == ranked[:k]
                ties += len(ranked) > k and distance[ranked[k - 1]] == distance[ranked[k]]
                start, taken = start + size, taken + k
        assert ties >= 5

    def test_assignments_are_legal(self):
        priors, sizes = self.symmetric()
        g = torch.Generator().manual_seed(0)
        corner = torch.randint(0, 12, (40, 2), generator=g) * 8.0
        boxes = torch.cat([corner, corner + torch.randint(1, 5, (40, 2), generator=g) * 8.0], 1)
        truth = InstanceData(bboxes=boxes, labels=torch.zeros(40, dtype=torch.long))
        owner = ATSSAssigner(6).assign(InstanceData(priors=priors), sizes, truth).gt_inds - 1
        assert (owner >= 0).sum() > 40
        level = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        centers = (priors[:, :2] + priors[:, 2:]) / 2
        for i in (owner >= 0).nonzero().flatten().tolist():
            box = boxes[owner[i]]
            distance = (centers[level == level[i]] - (box[:2] + box[2:]) / 2).square().sum(1)
            own = (centers[i] - (box[:2] + box[2:]) / 2).square().sum()
            assert (distance < own).sum() < 6  # it is, or ties with, one of the six nearest
            assert overlap(priors[i].tolist(), box.tolist()) > 0
            assert (centers[i] > box[:2]).all()
            assert (centers[i] < box[2:]).all()

    def test_of_equal_overlaps_the_first_box_wins(self):
        priors, sizes, truth = scene(5)
        twice = InstanceData(bboxes=truth.bboxes.repeat(2, 1), labels=truth.labels.repeat(2))
        once = ATSSAssigner(9).assign(priors, sizes, truth)
        both = ATSSAssigner(9).assign(priors, sizes, twice)
        assert torch.equal(once.gt_inds, both.gt_inds)
        swapped = ATSSAssigner(9).assign(priors, sizes, truth[[1, 1, 0]])
        assert set(swapped.gt_inds.tolist()) == {0, 1, 3}


class TestProperties:
    @settings(max_examples=20, deadline=None)
    @given(st.permutations(range(9)), st.integers(0, 100))
    def test_permuting_the_boxes_permutes_the_result(self, order, seed):
        priors, sizes, truth = scene(9, seed=seed)
        plain = ATSSAssigner(9).assign(priors, sizes, truth)
        mixed = ATSSAssigner(9).assign(priors, sizes, truth[list(order)])
        found = plain.gt_inds > 0
        assert torch.equal(mixed.gt_inds > 0, found)
        assert torch.equal(torch.tensor(order)[mixed.gt_inds[found] - 1], plain.gt_inds[found] - 1)
        assert torch.equal(mixed.labels, plain.labels)
        assert torch.equal(mixed.max_overlaps, plain.max_overlaps)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(-2000, 2000), st.integers(-2000, 2000), st.integers(0, 100))
    def test_moving_everything_changes_nothing(self, right, down, seed):
        priors, sizes, truth = scene(9, seed=seed)
        truth.bboxes = (truth.bboxes * 64).round() / 64  # so that no bit is lost on the way
        shift = torch.tensor([right, down, right, down], dtype=torch.float32)
        plain = ATSSAssigner(9).assign(priors, sizes, truth)
        moved = InstanceData(bboxes=truth.bboxes + shift, labels=truth.labels)
        assert_same(
            ATSSAssigner(9).assign(InstanceData(priors=priors.priors + shift), sizes, moved), plain
        )

    @pytest.mark.parametrize("pairs", [1, 5000])
    def test_chunks_leave_no_seam(self, monkeypatch, pairs):
        args = scene(20)
        (ignore,), _ = ground_truth((7,), 256, 320, seed=3)
        assigner = ATSSAssigner(9, ignore_iof_thr=0.5)
        whole = assigner.assign(*args, ignore)
        monkeypatch.setattr(module, "elements_a_block", lambda device: pairs)
        assert_same(assigner.assign(*args, ignore), whole)


class TestCorners:
    def test_no_boxes(self):
        priors, sizes, _ = scene(0)
        none = instances()
        result = ATSSAssigner(9).assign(priors, sizes, none)
        assert_same(result, HostATSSAssigner(9).assign(priors, sizes, none))
        assert result.num_gts == 0
        assert not result.gt_inds.any()
        assert (result.labels == -1).all()

    def test_no_priors(self):
        result = ATSSAssigner(9).assign(
            InstanceData(priors=torch.zeros(0, 4)), [0, 0], instances([0, 0, 9, 9])
        )
        assert result.gt_inds.shape == result.labels.shape == result.max_overlaps.shape == (0,)
        assert result.num_gts == 1

    def test_a_single_candidate_is_positive_where_the_host_finds_none(self):
        priors, truth = (
            InstanceData(priors=torch.tensor([[0.0, 0, 16, 16]])),
            instances([1, 1, 12, 14]),
        )
        result = ATSSAssigner(9).assign(priors, [1], truth)
        assert result.gt_inds.tolist() == [1]
        assert result.labels.tolist() == [5]
        assert_close(result.max_overlaps, torch.tensor([11 * 13 / 256]))
        assert HostATSSAssigner(9).assign(priors, [1], truth).gt_inds.tolist() == [0]  # the witness
        outside = ATSSAssigner(9).assign(priors, [1], instances([9, 9, 20, 20]))
        assert outside.gt_inds.tolist() == [0]

    def test_levels_may_be_smaller_than_k_or_empty(self):
        priors, sizes, truth = scene(6, 40, 56)  # 35, 12, 4, 1 and 1 places
        assert min(sizes) == 1
        args = (InstanceData(priors=priors.priors), [35, 0, 12, 4, 0, 2], truth)
        assert sum(args[1]) == len(priors) == sum(sizes)
        assert_same(ATSSAssigner(50).assign(*args), HostATSSAssigner(50).assign(*args))
        result = ATSSAssigner(50).assign(priors, sizes, truth)
        assert torch.equal(result.gt_inds, oracle(priors.priors, sizes, truth.bboxes, [50] * 5))

    def test_a_box_without_area_gets_nothing(self):
        priors, sizes, _ = scene(0)
        result = ATSSAssigner(9).assign(
            priors, sizes, instances([64, 64, 64, 64], [10, 10, 90, 90])
        )
        assert set(result.gt_inds.tolist()) == {0, 2}

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_is_computed_in_float32(self, dtype):
        priors, sizes, truth = scene(9)
        exact = ATSSAssigner(9).assign(priors, sizes, truth)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_same(ATSSAssigner(9).assign(priors, sizes, truth), exact)
        half = (
            InstanceData(priors=priors.priors.to(dtype)),
            sizes,
            InstanceData(bboxes=truth.bboxes.to(dtype), labels=truth.labels),
        )
        again = (
            InstanceData(priors=half[0].priors.float()),
            sizes,
            InstanceData(bboxes=half[2].bboxes.float(), labels=truth.labels),
        )
        assert_same(ATSSAssigner(9).assign(*half), ATSSAssigner(9).assign(*again))

    def test_it_takes_box_types_and_priors_with_more_columns(self):
        priors, sizes, truth = scene(9)
        exact = ATSSAssigner(9).assign(priors, sizes, truth)
        typed = InstanceData(bboxes=HorizontalBoxes(truth.bboxes), labels=truth.labels)
        wide = InstanceData(priors=torch.cat([priors.priors, torch.ones(len(priors), 2)], 1))
        assert_same(ATSSAssigner(9).assign(wide, sizes, typed), exact)

    def test_nothing_is_kept_for_backward(self):
        priors, sizes, truth = scene(9)
        priors.priors.requires_grad_()
        assert not ATSSAssigner(9).assign(priors, sizes, truth).max_overlaps.requires_grad

    def test_it_never_waits_for_the_device(self):
        with FakeTensorMode():  # raises where a value is asked for
            args = scene(9)
            assert ATSSAssigner(9).assign(*args).gt_inds.shape == (len(args[0]),)


class TestLean:
    def test_operators_do_not_grow_with_the_boxes(self):
        assigner = ATSSAssigner(9)
        priors, sizes, _ = scene(0)

        def count(assigner, num_boxes):
            (truth,), _ = ground_truth((num_boxes,), 256, 320)
            return num_operators(lambda: assigner.assign(priors, sizes, truth))

        assert (
            count(assigner, 1)
            <= count(assigner, 2)
            == count(assigner, 300)
            < count(HostATSSAssigner(9), 1)
        )
        assert count(HostATSSAssigner(9), 300) > 1000  # the witness: a loop over the boxes

    def test_memory_does_not_grow_with_boxes_times_priors(self):
        def largest(assigner, num_boxes):
            args = scene(num_boxes, 800, 1344)
            with LargestTensor() as seen:
                assigner.assign(*args)
            return seen.bytes

        chunk = module.elements_a_block(torch.device("cpu"))
        assert largest(ATSSAssigner(9), 500) == largest(ATSSAssigner(9), 100) <= 8 * chunk
        assert largest(HostATSSAssigner(9), 500) >= 500 * 22_400 * 8  # the witness
