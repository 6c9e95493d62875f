"""ScaleNormalizedTTA: each scale for its sizes, no object twice, more only where it is needed."""

import copy
import itertools

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import nn
from torch.testing import assert_close

from mmext.errors import BadInputError
from mmext.pose.fastpose.scale_tta import ScaleNormalizedTTA
from mmext.pose.fastpose.scale_views import (
    RANGES,
    area,
    focus_regions,
    in_range,
    sizes_after,
    uncovered,
    whole_in,
)

SIDES = (896, 640, 384)
PICTURE = (192, 256)  # height and width
PEOPLE = torch.tensor(
    [
        [20.0, 30, 32, 46],  # small: 14 px
        [60.0, 40, 100, 100],
        [120.0, 10, 240, 180],  # large
        [100.0, 150, 110, 160],  # small, and cut by nobody
    ]
)
"""Boxes in the picture's own pixels."""
PAIRS = [(0, 1)]


def points_of(boxes):
    """A point at the left edge, one at the right edge, one in the middle."""
    left, top, right, bottom = boxes.unbind(1)
    y = (top + bottom) / 2
    return torch.stack([left, y, right, y, (left + right) / 2, y], 1).unflatten(1, (3, 2))


class Seeing(nn.Module):
    """A detector that finds PEOPLE in whatever part of the picture it is shown.

    Pixels of the input tell where they come from: channels hold x and y of the view. Each view is
    off by a little of its own, so that nothing is found twice at the very same place.
    """

    def __init__(self):
        super().__init__()
        self.pixels = []

    def test_step(self, data):
        return [self.one(*pair) for pair in zip(data["inputs"], data["data_samples"], strict=True)]

    def one(self, image, sample):
        assert tuple(sample.metainfo["img_shape"]) == tuple(image.shape[1:])
        factor = torch.tensor(sample.metainfo["scale_factor"])
        self.pixels.append(image[0].numel())
        start = image[:2, 0, 0]  # of the crop, in pixels of the view
        people = PEOPLE + 0.5 / factor[0]
        points = points_of(people)
        if sample.metainfo["flip"]:
            width = PICTURE[1]
            people = people * people.new_tensor([-1, 1, -1, 1]) + width * torch.tensor([1, 0, 1, 0])
            people = people[:, [2, 1, 0, 3]]
            points = points_of(people)
        limit = torch.tensor(image.shape[:0:-1]).repeat(2)
        boxes = (people * factor.repeat(2) - start.repeat(2)).clamp(min=0).minimum(limit)
        seen = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(1)
        found = InstanceData(
            bboxes=(boxes / factor.repeat(2))[seen],
            scores=torch.linspace(0.9, 0.6, len(people))[seen],
            labels=torch.zeros(int(seen.sum()), dtype=torch.long),
            keypoints=(points - start / factor)[seen],
            keypoint_scores=torch.tensor([0.3, 0.6, 0.9]).expand(int(seen.sum()), 3),
            embeddings=torch.eye(4)[: len(people)][seen],
        )
        result = sample.new()
        result.pred_instances = found
        return result


def view(side, *, flip=False):
    height, width = side, side * PICTURE[1] // PICTURE[0]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([columns, rows, rows]).float()
    factor = width / PICTURE[1]
    meta = dict(img_shape=(height, width), ori_shape=PICTURE, scale_factor=(factor, factor))
    meta.update(flip=flip, flip_direction="horizontal" if flip else None, flip_pairs=PAIRS)
    return image, DetDataSample(metainfo=meta)


def batch(sides=SIDES, *, flips=(False,), pictures=1):
    views = [view(side, flip=flip) for side, flip in itertools.product(sides, flips)]
    return dict(
        inputs=[[image] * pictures for image, _ in views],
        data_samples=[[copy.deepcopy(sample) for _ in range(pictures)] for _, sample in views],
    )


def results_of(data, **options):
    model = ScaleNormalizedTTA(module=Seeing(), **options)
    return model.test_step(data), model.module


def test_every_size_is_in_range_at_some_scale():
    assert uncovered(SIDES, RANGES) == []  # FP-10
    assert uncovered((800, 400), ((0, 80), (80, None))) == [(0.1, 0.2)]
    assert uncovered((800,), ((40, 320),)) == [(0, 0.05), (0.4, None)]


@pytest.mark.parametrize("focus", [False, True])
@pytest.mark.parametrize("flips", [(False,), (False, True)], ids=["as-is", "flipped"])
def test_each_object_is_found_once(flips, focus):
    results, _ = results_of(batch(flips=flips, pictures=2), focus=focus)
    assert len(results) == 2
    for result in results:
        found = result.pred_instances
        assert len(found) == len(PEOPLE)
        overlaps = bbox_overlaps(found.bboxes, found.bboxes).fill_diagonal_(0)
        assert (overlaps <= 0.5).all()
        # What belongs to an object came along with it.
        number = found.embeddings.argmax(1)
        assert sorted(number.tolist()) == [0, 1, 2, 3]
        assert_close(found.bboxes, PEOPLE[number], rtol=0, atol=0.5)
        assert_close(found.keypoints, points_of(PEOPLE)[number], rtol=0, atol=0.5)


def test_a_scale_gives_what_is_in_its_range():
    data = batch()
    for number, side in enumerate(SIDES):
        model = ScaleNormalizedTTA(module=Seeing(), ranges=[RANGES[number]])
        alone = {key: values[number : number + 1] for key, values in data.items()}
        (result,) = model.test_step(alone)
        sizes = sizes_after(PEOPLE, (side / PICTURE[0],) * 2)
        expected = in_range(sizes, RANGES[number]).nonzero().flatten()
        assert 0 < len(expected) < len(PEOPLE)
        assert sorted(result.pred_instances.embeddings.argmax(1).tolist()) == expected.tolist()


def test_scores_of_mirrored_points_change_sides():
    data = {key: values[1:] for key, values in batch((384,), flips=(False, True)).items()}
    (result,), _ = results_of(data, ranges=[(0, None)])
    # The detector gives each point of the mirrored picture a score by its number.
    scores = torch.tensor([0.6, 0.3, 0.9]).expand(4, 3)
    assert_close(result.pred_instances.keypoint_scores, scores)


def test_focus_looks_at_less():
    (whole,), all_of_it = results_of(batch())
    (part,), focused = results_of(batch(), focus=True)
    assert sum(focused.pixels) < 0.5 * sum(all_of_it.pixels)
    assert_close(
        part.pred_instances.bboxes.sort(0)[0],
        whole.pred_instances.bboxes.sort(0)[0],
        atol=1,
        rtol=0,
    )


def test_focus_sees_all_at_the_smallest_scale_and_nothing_more_where_nobody_is_small(monkeypatch):
    monkeypatch.setattr("tests.pose.fastpose.test_scale_tta.PEOPLE", PEOPLE[2:3])
    _, module = results_of(batch(), focus=True)
    assert module.pixels == [384 * 512]


def test_focus_looks_at_all_of_it_where_small_ones_are_everywhere(monkeypatch):
    monkeypatch.setattr("tests.pose.fastpose.test_scale_tta.PEOPLE", PEOPLE[[0, 3]])
    _, module = results_of(batch(), focus=True, focus_area=0.01)
    assert module.pixels == [384 * 512, 640 * 853, 896 * 1194]


def test_nobody_in_the_picture(monkeypatch):
    monkeypatch.setattr("tests.pose.fastpose.test_scale_tta.PEOPLE", PEOPLE[:0])
    for focus in (False, True):
        (result,), _ = results_of(batch(flips=(False, True)), focus=focus)
        assert result.pred_instances.keypoints.shape == (0, 3, 2)


def test_regions_hold_their_boxes_and_do_not_overlap():
    g = torch.Generator().manual_seed(0)
    for count in range(12):
        corner = torch.rand(count, 2, generator=g) * 300
        boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=g) * 30], 1)
        regions = focus_regions(boxes, (310, 320), margin=0.5)
        for one, other in itertools.combinations(regions, 2):
            apart = (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )
            assert apart
        for left, top, right, bottom in boxes.clamp(max=310).tolist():
            assert any(
                a <= left and b <= top and right <= c and bottom <= d for a, b, c, d in regions
            )
        assert area(regions) == sum((c - a) * (d - b) for a, b, c, d in regions)
        assert bool(regions) == (count > 0)


def test_what_a_cut_goes_through_is_left_to_others():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5.0, 5, 20, 20], [5.0, 5, 19, 18]])
    assert whole_in(boxes, (0, 0, 20, 30), (30, 40)).tolist() == [True, False, True]
    assert whole_in(boxes, (0, 0, 20, 20), (20, 20)).all()


def test_resizes_and_ranges_go_together():
    with pytest.raises(BadInputError, match=r"as many resizes as ranges, 3, .* got 2 views"):
        results_of(batch(SIDES[:2]))


def test_a_mirrored_view_needs_pairs():
    data = batch(flips=(False, True))
    for sample in itertools.chain(*data["data_samples"]):
        sample.set_metainfo(dict(flip_pairs=None))
    with pytest.raises(BadInputError, match="a mirrored view with keypoints expects flip_pairs"):
        results_of(data)
    assert results_of(data, flip_pairs=PAIRS)


def test_other_mirrors_and_masks_are_refused():
    data = batch(flips=(True,))
    data["data_samples"][0][0].set_metainfo(dict(flip_direction="vertical"))
    with pytest.raises(BadInputError, match="mirrored horizontally, got vertical"):
        results_of(data)
    found = InstanceData(bboxes=PEOPLE, masks=torch.zeros(4, 2, 2))
    model = ScaleNormalizedTTA(module=Seeing())
    with pytest.raises(BadInputError, match="got masks, which it cannot merge"):
        model._unflipped(found, {})
