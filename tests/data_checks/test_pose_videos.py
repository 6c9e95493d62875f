"""Videos with keypoints and identities, as verify finds them before a run does."""

import itertools
import json

import pytest

from mmext.data_checks import verify
from tests.pose.fastpose.files import annotation, coco, pictures, points, posetrack, written

VALUES = (None, "x", -1, 1e40, [None], {})


def config(path, folder):
    dataset = dict(
        type="mmext.PoseVideoDataset",
        ann_file=str(path),
        data_prefix=dict(img_path=f"{folder}/"),
        pipeline=[],
    )
    return dict(default_scope="mmdet", train_dataloader=dict(dataset=dataset))


def report(path, folder):
    (found,) = verify.check(config(path, folder), anew=True)
    return found


def sound(**more):
    data = posetrack(**more)
    for one in data["annotations"]:
        one["bbox"] = [0, 0, 64, 48]
    return data


def test_a_file_and_a_folder_of_them_are_sound(tmp_path):
    data = sound()
    pictures(tmp_path, data)
    found = report(written(tmp_path, data), tmp_path)
    assert (found.errors, found.warnings, found.images, found.boxes) == ([], [], 3, 6)
    other = sound(video="b", first_id=50)
    pictures(tmp_path, other)
    for name, one in (("a.json", data), ("b.json", other)):
        written(tmp_path / "all", one, name)
    found = report(tmp_path / "all", tmp_path)
    assert (found.errors, found.images, found.boxes, found.decoded) == ([], 6, 12, 6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["images"][1].update(frame_id=0), "each frame once, got frame 0 twice"),
        (lambda d: d["annotations"][1].update(track_id=0), "got 0 twice in frame 0"),
        (lambda d: d["images"][0].pop("vid_id"), "expected vid_id or video_id, got none"),
        (lambda d: d["images"][0].update(frame_id="a"), "a number as frame_id, got 'a'; number"),
        (lambda d: d["annotations"][0].update(keypoints=points(5)), "17 keypoints, got 15; write"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2]), "expected four numbers (left, top, "),
        (lambda d: d["categories"][0].update(name="dog"), "among person, got dog; set metainfo"),
        (lambda d: d["images"][0].update(file_name="no.png"), "no.png: not found, expected an im"),
        (lambda d: d["annotations"].clear(), "objects in the train split, got none; correct the c"),
        (
            lambda d: d["images"][0].update(ignore_regions_x=[[1]]),
            "of the same lengths, got others",
        ),
    ],
)
def test_what_a_run_would_fail_on_is_an_error(tmp_path, change, sentence):
    data = sound()
    pictures(tmp_path, data)
    change(data)
    found = report(written(tmp_path, data), tmp_path)
    assert len(found.errors) == 1
    assert sentence in found.errors[0]


def test_gaps_order_and_nameless_objects_are_told(tmp_path):
    data = sound(numbers=(8, 0, 1))
    del data["annotations"][0]["track_id"]
    pictures(tmp_path, data)
    found = report(written(tmp_path, data), tmp_path)
    assert found.errors == []
    for part in (
        "in the order of frame_id",
        "between frames 1 and 8",
        "1 objects have no track_id",
    ):
        assert any(part in one for one in found.warnings), part


def test_hidden_points_of_posetrack_count_as_labelled(tmp_path):
    data = sound()
    pictures(tmp_path, data)
    for one in data["annotations"]:
        one["keypoints"][2::3] = [0] * 17
    cfg = config(written(tmp_path, data), tmp_path)
    (found,) = verify.check(cfg, anew=True)
    assert "expected labelled keypoints in the train split" in found.errors[0]
    cfg["train_dataloader"]["dataset"]["visible_from"] = 1
    (found,) = verify.check(cfg, anew=True)
    assert found.errors == []


def test_pictures_as_videos_of_one_frame_are_sound(tmp_path):
    data = coco([annotation(bbox=[0, 0, 64, 48])])
    pictures(tmp_path, data)
    cfg = config(written(tmp_path, data), tmp_path)
    (found,) = verify.check(cfg, anew=True)
    assert "or single_frames=True" in found.errors[0]
    cfg["train_dataloader"]["dataset"]["single_frames"] = True
    (found,) = verify.check(cfg, anew=True)
    assert (found.errors, found.warnings, found.boxes) == ([], [], 1)


def test_a_folder_without_files_and_no_json_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "expected files that end in .json" in report(tmp_path / "empty", tmp_path).errors[0]
    (tmp_path / "bad.json").write_text("{")
    assert "something that is no JSON" in report(tmp_path / "bad.json", tmp_path).errors[0]


def test_the_check_fails_on_no_damaged_value(tmp_path):
    """Every value of the first entries is replaced by others."""
    data = sound(numbers=(0,), ignore_regions_x=[[1, 2, 3]], ignore_regions_y=[[1, 2, 3]])
    pictures(tmp_path, data)
    keys = [
        (kind, key) for kind in ("images", "annotations", "categories") for key in data[kind][0]
    ]
    for (kind, key), value in itertools.product(keys, VALUES):
        damaged = json.loads(json.dumps(data))
        damaged[kind][0][key] = value
        report(written(tmp_path, damaged), tmp_path)
