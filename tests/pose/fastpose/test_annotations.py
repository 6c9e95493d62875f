"""From annotations to points in a layout, whatever stands in the file for what is not there."""

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.pose.fastpose.annotations import box_around, identity, reader_of
from tests.pose.fastpose.files import COCO, annotation, person


def reader(categories=None, **more):
    return reader_of(categories or [person()], file="f.json", **{"metainfo": {}, **more})


def test_unlabelled_points_are_zeros_whatever_stands_there():
    own = annotation(keypoints=[float("nan"), 7, 0, 9, 8, 1] + [1, 2, 2] * 15)
    found = reader(offset=0.5).points(own)
    assert found.dtype == np.float32
    assert found[:3].tolist() == [[0, 0, 0], [9.5, 8.5, 1], [1.5, 2.5, 2]]


def test_what_has_no_points_gives_none():
    reads = reader([person(), dict(id=2, name="car")])
    for own in (dict(keypoints=[]), dict(keypoints=None), dict(category_id=2), dict(category_id=9)):
        assert reads.points(annotation(**own)) is None


def test_the_annotation_stays_as_it_is():
    own = annotation()
    before = list(own["keypoints"])
    for offset in (0, 0.5):
        reader(offset=offset).points(own)
    assert own["keypoints"] == before


def test_each_category_has_its_own_order_where_names_are_given():
    turned = dict(id=2, name="dog", keypoints=["tail", "nose"])
    reads = reader(
        [dict(id=1, name="cat", keypoints=["nose", "tail"]), turned],
        metainfo=dict(keypoint_names=["nose", "tail"]),
    )
    values = [1, 2, 2, 3, 4, 1]
    straight, swapped = (
        reads.points(dict(keypoints=values, category_id=one)).tolist() for one in (1, 2)
    )
    assert straight == swapped[::-1] == [[1, 2, 2], [3, 4, 1]]


def test_it_tells_transforms_and_metrics_the_same():
    reads = reader()
    assert reads.told_to_transforms["num_keypoints"] == len(reads.metainfo["keypoint_names"])
    for key in ("flip_pairs", "sigmas"):
        assert reads.told_to_transforms[key] == reads.metainfo[key]
    assert reads.metainfo["keypoint_names"] == COCO


@pytest.mark.parametrize("value", ["3", [1], float("nan"), float("inf")])
def test_an_identity_is_a_number(value):
    with pytest.raises(BadInputError, match="annotation 5: expected a number as track_id, got"):
        identity(dict(id=5, track_id=value))
    assert identity(dict(track_id=-1)) is None
    assert identity(dict(track_id=3.0)) == 3


def test_a_box_goes_around_labelled_points():
    points = np.array([[10.0, 20, 1], [30.0, 60, 2], [500.0, 500, 0]])
    np.testing.assert_allclose(box_around(points), (8, 16, 32, 64))
    assert box_around(points[2:]) is None
    assert box_around(points[:1]) == (10, 20, 10, 20)
