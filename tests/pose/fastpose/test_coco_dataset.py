"""COCO's keypoint files, read with their points."""

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from mmext.errors import BadInputError
from mmext.pose.fastpose.coco_dataset import PoseCocoDataset
from mmext.pose.fastpose.layouts import KNOWN
from tests.pose.fastpose import files
from tests.pose.fastpose.files import annotation, coco, person, points, written

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
    dict(type="mmext.PoseResize", scale_factor=2.0),
    dict(type="mmext.PoseFlip", prob=1.0),
    dict(type="mmext.PackPoseDetInputs"),
]


def dataset(folder, data, **more):
    return PoseCocoDataset(ann_file=written(folder, data), data_prefix=dict(img=""), **more)


def stated(values):
    return np.array(values, np.float32).reshape(-1, 3)


def test_points_lie_in_the_middle_of_their_pixels(tmp_path):
    own = annotation(visible := 1)
    own["keypoints"][3:6] = [0, 0, 0]
    own["keypoints"][8] = visible
    found = dataset(tmp_path, coco([own]))[0]["instances"][0]
    expected = stated(own["keypoints"]) + np.float32([0.5, 0.5, 0])
    expected[1] = 0
    np.testing.assert_array_equal(found["keypoints"], expected)
    assert found["instance_id"] == -1
    (plain,) = dataset(tmp_path, coco([own]), point_offset=0)[0]["instances"]
    np.testing.assert_array_equal(plain["keypoints"], stated(own["keypoints"]))


def test_it_tells_what_its_points_are(tmp_path):
    found = dataset(tmp_path, coco([annotation()]))
    layout = KNOWN["coco"]
    assert found.metainfo["keypoint_names"] == layout.names
    assert found.metainfo["flip_pairs"] == layout.flip_pairs
    assert found.metainfo["sigmas"] == layout.sigmas
    assert found.metainfo["skeleton"] == ((0, 1),), "the file's, from 0"
    assert found.metainfo["point_offset"] == 0.5
    info = found.get_data_info(0)
    assert (info["num_keypoints"], info["flip_pairs"]) == (17, layout.flip_pairs)


def test_an_instance_keeps_its_points_where_the_host_leaves_others_out(tmp_path):
    outline = [[1, 1, 9, 1, 9, 9]]
    several = [
        annotation(1, ignore=1),
        annotation(2, area=0),
        annotation(3, segmentation=outline, track_id=0),
        annotation(4, iscrowd=1, bbox=[1, 1, 9, 9]),
    ]
    kept = dataset(tmp_path, coco(several))[0]["instances"]
    assert [one["ignore_flag"] for one in kept] == [0, 1]
    assert [one["instance_id"] for one in kept] == [0, -1]
    assert [one.get("mask") for one in kept] == [outline, None]
    for number, one in zip((3, 4), kept, strict=True):
        np.testing.assert_array_equal(
            one["keypoints"][:, 2], stated(several[number - 1]["keypoints"])[:, 2]
        )
        np.testing.assert_array_equal(
            one["keypoints"][:, 0], stated(points(seed=number))[:, 0] + 0.5
        )


def test_the_whole_pipeline_gives_the_analytic_coordinates(tmp_path):
    data = coco([annotation()])
    folder = files.pictures(tmp_path / "pictures", data)
    cfg = dict(type="mmext.PoseCocoDataset", ann_file=written(tmp_path, data), pipeline=PIPELINE)
    cfg |= dict(data_prefix=dict(img=folder), _scope_="mmdet")
    loaded = DATASETS.build(cfg)
    # Workers get a copy of the data set.
    (batch,) = DataLoader(loaded, num_workers=1, collate_fn=pseudo_collate)
    (sample,) = batch["data_samples"]
    expected = stated(data["annotations"][0]["keypoints"])
    for one, other in KNOWN["coco"].flip_pairs:
        expected[[one, other]] = expected[[other, one]]
    expected[:, :2] = 2 * (expected[:, :2] + 0.5)
    expected[:, 0] = 2 * files.SIZE[1] - expected[:, 0]
    np.testing.assert_allclose(sample.gt_instances.keypoints[0], expected[:, :2], rtol=1e-6)
    assert sample.gt_instances.keypoints_visible.tolist() == [[2] * 17]
    assert sample.sigmas == KNOWN["coco"].sigmas


def test_classes_without_points_have_none(tmp_path):
    car = dict(id=2, name="car")
    cars = annotation(2, category_id=2, keypoints=[0] * 51)
    del (bare := annotation(3, category_id=2))["keypoints"]
    data = coco([annotation(1), cars, bare], categories=[person(), car])
    found = dataset(tmp_path, data, metainfo=dict(classes=("person", "car")))[0]["instances"]
    assert [one["bbox_label"] for one in found] == [0, 1, 1]
    assert ["keypoints" in one for one in found] == [True, False, False]


def test_coco_in_the_joints_of_posetrack(tmp_path):
    own = dataset(tmp_path, coco([annotation()]), layout="posetrack15", point_offset=0)
    layout = KNOWN["posetrack15"]
    assert own.metainfo["keypoint_names"] == layout.names
    assert own.metainfo["sigmas"] == layout.sigmas
    found = own[0]["instances"][0]["keypoints"]
    given = stated(annotation()["keypoints"])
    assert not found[[1, 2]].any()
    np.testing.assert_array_equal(found[[0, 3, 14]], given[[0, 5, 16]])
    neck = dict(head_bottom=["left_shoulder", "right_shoulder"])
    own = dataset(tmp_path, coco([annotation()]), layout="posetrack15", joint_map=neck)
    middle = given[[5, 6], :2].mean(0) + 0.5
    np.testing.assert_array_equal(own[0]["instances"][0]["keypoints"][1], [*middle, 2])


def test_metainfo_names_points_of_its_own(tmp_path):
    data = coco([annotation(keypoints=points(2))], categories=[dict(id=1, name="fish")])
    own = dict(classes=("fish",), keypoint_names=["head", "tail"], flip_pairs=[], sigmas=[0.1, 0.2])
    found = dataset(tmp_path, data, metainfo=own)
    assert found[0]["instances"][0]["keypoints"].shape == (2, 3)
    assert (found.metainfo["flip_pairs"], found.metainfo["sigmas"]) == ((), (0.1, 0.2))


@pytest.mark.parametrize(
    ("change", "more", "sentence"),
    [
        (dict(keypoints=points(5)), {}, "annotation 1: expected 3 numbers for each of 17 keypoint"),
        ({}, dict(categories=[dict(id=1, name="person")]), "categories with keypoints, got none"),
        (
            {},
            dict(categories=[person(), dict(id=2, name="dog", keypoints=["nose"])]),
            r"same keypoints in all classes, got 17 \(nose, .*\) and 1 \(nose\)",
        ),
    ],
)
def test_counts_that_differ_get_a_sentence(tmp_path, change, more, sentence):
    with pytest.raises(BadInputError, match=sentence):
        dataset(
            tmp_path, coco([annotation(**change)], **more), metainfo=dict(classes=("person", "dog"))
        )


def test_a_picture_without_people(tmp_path):
    data = coco([])
    cfg = dict(type="mmext.PoseCocoDataset", ann_file=written(tmp_path, data), pipeline=PIPELINE)
    cfg |= dict(data_prefix=dict(img=files.pictures(tmp_path, data)), _scope_="mmdet")
    sample = DATASETS.build(cfg)[0]["data_samples"]
    assert sample.gt_instances.keypoints.shape == (0, 17, 2)
