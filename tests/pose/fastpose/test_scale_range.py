"""An object is learned at the scales that suit its size, and ignored at the others."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import TRANSFORMS
from mmengine.runner import set_random_seed

from mmext.errors import BadInputError
from mmext.pose.fastpose.scale_range import ScaleValidRange

SIDES = (4.0, 30.0, 100.0)
RANGES = ((None, 40), (20, 60), (50, None))


def results(**more):
    boxes = [[1.0, 1, 1 + side, 1 + side] for side in SIDES]
    flags = np.zeros(3, bool)
    image = np.zeros((120, 120, 3), np.uint8)
    own = dict(img=image, img_shape=(120, 120), gt_bboxes=HorizontalBoxes(boxes))
    return own | dict(gt_ignore_flags=flags, gt_bboxes_labels=np.zeros(3, int)) | more


@pytest.mark.parametrize(
    ("index", "ignored"),
    [(0, [False, False, True]), (1, [True, False, True]), (2, [True, True, False])],
)
def test_objects_outside_the_range_are_ignored(index, ignored):
    own = results(scale_idx=index)
    found = ScaleValidRange(RANGES)(own)
    assert found["gt_ignore_flags"].tolist() == ignored
    assert (found["scale_index"], found["valid_range"]) == (index, RANGES[index])
    assert not own["gt_ignore_flags"].any(), "the flags that came in are as they were"


def test_what_is_ignored_already_stays_so():
    flags = np.array([False, True, False])
    found = ScaleValidRange(((None, None),))(results(gt_ignore_flags=flags))
    assert found["gt_ignore_flags"].tolist() == flags.tolist()


def test_every_object_is_valid_at_a_scale_and_sizes_count_after_the_resize():
    steps = [
        TRANSFORMS.build(
            dict(
                type="mmcv.RandomChoiceResize",
                scales=[(480, 480), (120, 120), (60, 60)],
                resize_type="mmext.PoseResize",
                keep_ratio=True,
            )
        ),
        ScaleValidRange(((0, 200), (20, 60), (40, None))),
    ]
    valid = np.zeros(3, bool)
    for seed in range(12):
        set_random_seed(seed)
        own = results()
        for step in steps:
            own = step(own)
        index, factor = own["scale_index"], own["scale_factor"][0]
        low, high = own["valid_range"]
        sizes = np.array(SIDES) * factor
        expected = (sizes < (low or 0)) | (sizes > (high or np.inf))
        assert (factor, own["gt_ignore_flags"].tolist()) == (
            (4, 1, 0.5)[index],
            expected.tolist(),
        )
        valid |= ~own["gt_ignore_flags"]
    assert valid.all()


def test_a_picture_without_objects_or_annotations_passes():
    empty = results(gt_bboxes=HorizontalBoxes([]), gt_ignore_flags=np.zeros(0, bool), scale_idx=1)
    assert ScaleValidRange(RANGES)(empty)["gt_ignore_flags"].shape == (0,)
    assert ScaleValidRange(RANGES)(dict(scale_idx=1)) == dict(
        scale_idx=1, scale_index=1, valid_range=(20, 60)
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [({}, "one of 3 scales .* got no scale that was drawn"), (dict(scale_idx=3), "got scale 3; ")],
)
def test_a_scale_without_a_range_is_refused(more, sentence):
    with pytest.raises(BadInputError, match=sentence):
        ScaleValidRange(RANGES)(results(**more))


def test_ranges_rise():
    with pytest.raises(BadInputError, match=r"ranges that rise, got \(9, 9\)"):
        ScaleValidRange([(9, 9)])
