"""Keypoints in COCO's files, as verify finds them before a run does."""

import copy

import numpy as np
import pytest

from mmext.data_checks import verify
from tests.pose.fastpose import files
from tests.pose.fastpose.files import annotation, coco, person, pictures, written

PIPELINE = [dict(type="LoadImageFromFile"), dict(type="mmext.LoadPoseAnnotations")]


def config(folder, data, *, split="train", steps=(), **more):
    pictures(folder, data)
    dataset = dict(
        type="mmext.PoseCocoDataset",
        ann_file=written(folder, data),
        data_prefix=dict(img=f"{folder}/"),
        pipeline=[*PIPELINE, *steps],
    )
    return {"default_scope": "mmdet", f"{split}_dataloader": dict(dataset=dataset | more)}


def told(cfg):
    reports = verify.check(cfg, anew=True)
    errors, warnings = ([x for one in reports for x in getattr(one, key)] for key in KEYS)
    return errors, warnings


KEYS = ("errors", "warnings")


def inside(**more):
    """An annotation whose points lie in its box."""
    return annotation(bbox=[0, 0, 64, 48], **more)


def test_a_sound_file_is_sound_and_its_boxes_are_counted(tmp_path):
    data = coco([inside(), inside(number=2, keypoints=[0] * 51, num_keypoints=0)])
    cfg = config(tmp_path, data, steps=[dict(type="mmext.PoseFlip", prob=0.5)])
    (report,) = verify.check(cfg, anew=True)
    assert (report.errors, report.warnings, report.boxes, report.images) == ([], [], 2, 1)


def change(keypoints):
    data = coco([inside(number=one) for one in (1, 2)])
    for one in data["annotations"]:
        one["keypoints"] = keypoints(np.reshape(one["keypoints"], (-1, 3)).astype(float))
    return data


def flat(points):
    return points.ravel().tolist()


@pytest.mark.parametrize(
    ("keypoints", "sentence"),
    [
        (
            lambda p: flat(p[:5]),
            "annotation 1: expected 3 numbers for each of 17 keypoints, got 15",
        ),
        (lambda p: ["x"] * 51, "annotation 1: expected numbers as keypoints, got ['x', 'x', "),
        (lambda p: flat(p[:, ::-1]), "expected v to be 0 (unlabelled), 1 (hidden) or 2 (visible)"),
        (lambda p: [0] * 51, "labelled keypoints in the train split, got none of 2 objects; write"),
        (lambda p: flat(p / [64, 48, 1]), "in pixels, got all 34 between 0 and 1; multiply"),
    ],
)
def test_points_that_cannot_be_meant_are_errors(tmp_path, keypoints, sentence):
    errors, _ = told(config(tmp_path, change(keypoints)))
    assert sentence in errors[0]
    assert "file.json: " in errors[0]


@pytest.mark.parametrize(
    ("keypoints", "sentence"),
    [
        (
            lambda p: flat(p + np.array([60, 0, 0])),
            "33 of 34 labelled keypoints lie outside their picture",
        ),
        (lambda p: flat(p * ([[-1, 1, 1]] + [[1, 1, 1]] * 16)), "2 of 34 labelled keypoints lie o"),
        (lambda p: flat(np.vstack([p[:16], [[0, 0, 0]]])), "num_keypoints of 2 objects is another"),
    ],
)
def test_points_that_are_doubtful_are_warnings(tmp_path, keypoints, sentence):
    errors, warnings = told(config(tmp_path, change(keypoints)))
    assert errors == []
    assert sentence in warnings[0]


def test_x_and_y_that_changed_places_lie_outside_the_boxes(tmp_path):
    data = change(lambda p: flat(p * [0.2, 1, 1]))
    for one in data["annotations"]:
        one["bbox"] = [0, 0, 14, 48]
        points = np.reshape(one["keypoints"], (-1, 3))
        one["keypoints"] = flat(points[:, [1, 0, 2]])
    _, warnings = told(config(tmp_path, data))
    assert "look whether x comes before y" in warnings[-1]


def test_what_a_config_wants_of_points(tmp_path):
    """All of these fail in the first step of a run, or in the first evaluation."""
    data = coco([inside(keypoints=files.points(3))], categories=[person(["a", "b", "c"])])
    cfg = config(tmp_path, data, steps=[dict(type="mmext.PoseFlip", prob=0.5)])
    cfg["model"] = dict(roi_head=dict(keypoint_head=dict(num_keypoints=17)))
    errors, _ = told(cfg)
    assert "expected model.roi_head.keypoint_head.num_keypoints=3, the keypoints" in errors[0]
    assert "expected flip_pairs in metainfo, since PoseFlip swaps" in errors[1]
    own = dict(flip_pairs=[], classes=("person",))
    cfg["train_dataloader"]["dataset"]["metainfo"] = own
    assert len(told(cfg)[0]) == 1
    judged = config(tmp_path, data, split="val")
    judged["val_evaluator"] = dict(
        type="mmext.CocoKeypointMetric", ann_file=judged["val_dataloader"]["dataset"]["ann_file"]
    )
    errors, _ = told(judged)
    assert len(errors) == 1
    assert "expected a sigma for each of 3 keypoints in metainfo" in errors[0]
    judged["val_evaluator"]["sigmas"] = [0.05] * 3
    assert told(judged)[0] == []


def test_categories_without_points_and_of_other_points(tmp_path):
    data = coco([inside()], categories=[dict(id=1, name="person")])
    errors, _ = told(config(tmp_path, data))
    assert "expected categories with keypoints, got none" in errors[0]
    fits = config(tmp_path, coco([inside()]), layout="posetrack15")
    assert told(fits) == ([], [])
    unfit = config(tmp_path, coco([inside()], categories=[person("abcdefghijklmnopq")]))
    unfit["train_dataloader"]["dataset"]["layout"] = "posetrack15"
    assert "in the file, got a, b, c, d, e and 12 more; name its" in told(unfit)[0][0]


@pytest.mark.parametrize("key", ["keypoints", "skeleton", "flip_pairs", "sigmas"])
@pytest.mark.parametrize("value", ["x", -1, [[]], {}, [None], [[1, "a"]], True])
def test_no_damaged_category_makes_the_check_fail(tmp_path, key, value):
    categories = [person(**{key: value}) if key in ("flip_pairs", "sigmas") else person()]
    categories[0][key] = value
    told(config(tmp_path, coco([inside()], categories=categories)))


def test_the_file_of_the_metric_must_have_the_pictures(tmp_path):
    data = coco([inside()])
    cfg = config(tmp_path, data, split="val")
    other = copy.deepcopy(data)
    other["images"][0]["id"] = other["annotations"][0]["image_id"] = 99
    cfg["val_evaluator"] = dict(
        type="mmext.CocoKeypointMetric", ann_file=written(tmp_path, other, "other.json")
    )
    errors, _ = told(cfg)
    assert "got none of id 1; set ann_file of the evaluator" in errors[0]


def test_what_is_packed_must_have_an_id(tmp_path):
    packing = dict(type="mmext.PackPoseDetInputs", meta_keys=("img_path",))
    data = coco([inside()])
    cfg = config(tmp_path, data, split="val", steps=[packing])
    cfg["val_evaluator"] = dict(type="mmext.CocoKeypointMetric", ann_file=str(tmp_path / "f.json"))
    assert any("expected img_id in meta_keys" in one for one in told(cfg)[0])
