"""Points that no net could learn, or no metric judge, are named in time; of every format."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmext.data_checks import verify

SIZE = (40, 30)
THREE = [[5.0, 6.0], [20.0, 6.0], [12.0, 20.0]]


def config(dataset: dict, *, split: str = "train", count: int = 3, **more) -> dict:
    net = dict(type="mmext.VGGCPM", num_keypoints=count)
    return {
        "default_scope": "mmengine",
        "model": dict(type="mmext.LandmarkDetector", net=net),
        f"{split}_dataloader": dict(dataset=dataset),
        "data_command": "make data",
        **more,
    }


def look(cfg: dict, split: str = "train", **options) -> verify.Report:
    """The one report that says something, or the one of the data set."""
    reports = verify.check(cfg, (split,), **options)
    told = [one for one in reports if one.errors or one.warnings] or reports
    assert len(told) == 1, [one.errors for one in told]
    return told[0]


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", SIZE).save(root / name)


def json_set(root: Path, *points: list, more: dict | None = None, **dataset) -> dict:
    """A data set of our JSON, a sample for each list of points."""
    names = [f"{number}.png" for number in range(len(points))]
    pictures(root, *names)
    samples = [
        {"img_path": name, "keypoints": one, **(more or {})}
        for name, one in zip(names, points, strict=True)
    ]
    (root / "a.json").write_text(json.dumps({"samples": samples}))
    return dict(type="mmext.LandmarkDataset", data_root=str(root), ann_file="a.json", **dataset)


def coco_set(root: Path) -> dict:
    pictures(root, "0.png")
    category = dict(id=1, name="face", keypoints=["a", "b", "c"], skeleton=[[1, 2]])
    image = dict(id=1, file_name="0.png", width=SIZE[0], height=SIZE[1])
    flat = [value for point in THREE for value in (*point, 2)]
    one = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 9, 9], area=81, keypoints=flat)
    coco = dict(categories=[category], images=[image], annotations=[one])
    (root / "a.json").write_text(json.dumps(coco))
    return dict(type="mmext.COCOLandmarkDataset", data_root=str(root), ann_file="a.json")


def pts_set(root: Path) -> dict:
    pictures(root, "0.png")
    rows = "".join(f"{x + 1} {y + 1}\n" for x, y in THREE)
    (root / "0.pts").write_text(f"version: 1\nn_points: 3\n{{\n{rows}}}\n")
    return dict(
        type="mmext.PTSLandmarkDataset",
        data_root=str(root),
        data_prefix=dict(img_path=""),
        metainfo=dict(keypoint_names=("a", "b", "c"), flip_pairs=()),
    )


def csv_set(root: Path) -> dict:
    pictures(root, "0.png")
    head = "scorer,s,s,s,s,s,s\nbodyparts,a,a,b,b,c,c\ncoords,x,y,x,y,x,y\n"
    cells = ",".join(str(value) for point in THREE for value in point)
    (root / "a.csv").write_text(f"{head}0.png,{cells}\n")
    return dict(type="mmext.CSVLandmarkDataset", data_root=str(root), ann_file="a.csv")


def mat_set(root: Path) -> dict:
    pictures(root, "0.png")
    names = np.empty((1, 1), object)
    names[0, 0] = "0.png"
    flat = np.array(THREE).T.reshape(1, -1)
    savemat(
        root / "a.mat",
        dict(nameList=names, data=flat, mask_new=[[1, 1, 1]], bbox=[[0, 9, 0, 9]], ra=[[1]]),
    )
    meta = dict(keypoint_names=("a", "b", "c"), flip_pairs=())
    return dict(
        type="mmext.AFLWMatDataset",
        data_root=str(root),
        ann_file="a.mat",
        split="all",
        metainfo=meta,
    )


FORMATS = {"json": lambda root: json_set(root, THREE), "coco": coco_set, "pts": pts_set}
FORMATS |= {"csv": csv_set, "mat": mat_set}


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_set_of_each_format_is_counted(tmp_path, name):
    report = look(config(FORMATS[name](tmp_path)))
    assert report.errors == report.warnings == []
    assert "1 pictures with points, 1 of them opened; 0 errors" in str(report)
    assert report.folders == (str(tmp_path),)


@pytest.mark.parametrize("name", FORMATS)
def test_another_number_of_points_than_the_nets_is_named(tmp_path, name):
    (error,) = look(config(FORMATS[name](tmp_path), count=68)).errors
    assert "expected 68 points as model.net.num_keypoints says, got 3; set it to 3" in error


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_or_damaged_picture_is_named(tmp_path, name):
    dataset = FORMATS[name](tmp_path)
    file = tmp_path / "0.png"
    file.write_bytes(file.read_bytes()[:45])
    (error,) = look(config(dataset)).errors
    assert error.startswith(f"{file}: expected a whole image")
    file.unlink()
    (error,) = look(config(dataset)).errors
    assert str(tmp_path) in error
    assert "expected a picture" in error


def test_each_student_is_asked_for_its_number_of_points(tmp_path):
    students = [dict(net=dict(num_keypoints=3)), dict(net=dict(num_keypoints=4))]
    cfg = config(json_set(tmp_path, THREE))
    cfg["model"] = dict(type="mmext.TS3", students=students)
    (error,) = look(cfg).errors
    assert "expected 4 points as model.students[1].net.num_keypoints says, got 3" in error


def test_a_pts_file_of_another_count_is_one_sentence(tmp_path):
    dataset = pts_set(tmp_path)
    text = (tmp_path / "0.pts").read_text()
    (tmp_path / "0.pts").write_text(text.replace("n_points: 3", "n_points: 68"))
    (error,) = look(config(dataset)).errors
    assert "0.pts: expected 3 points, got 3 below n_points: 68; correct the file" in error


def test_points_outside_the_picture_are_counted_and_the_first_is_shown(tmp_path):
    dataset = json_set(tmp_path, THREE, [[5, 6], [41.5, 6], [12, 20]])
    report = look(config(dataset))
    assert report.errors == []
    (warning,) = report.warnings
    assert "1 of 6 visible points lie outside their pictures, the first (41.5, 6) in " in warning
    assert "1.png of 40 x 30 pixels" in warning


def test_the_border_pixels_are_inside(tmp_path):
    assert look(config(json_set(tmp_path, [[-0.4, 0], [39.4, 29.4], [3, 3]]))).warnings == []


def test_points_of_a_larger_picture_are_an_error(tmp_path):
    (error,) = look(config(json_set(tmp_path, [[50, 6], [200, 6], [12, 20]]))).errors
    assert "2 of 3 visible points lie outside" in error
    assert error.endswith("take the pictures that were labelled, in their size")


def test_shares_of_the_sides_are_an_error(tmp_path):
    (error,) = look(config(json_set(tmp_path, [[0.1, 0.2], [0.9, 0.2], [0.5, 1.0]]))).errors
    assert "expected points in pixels, got none above 1, as shares of the sides have" in error


def test_samples_without_a_visible_point_are_counted(tmp_path):
    report = look(config(json_set(tmp_path, THREE, [None] * 3, [None] * 3)))
    assert report.errors == []
    (warning,) = report.warnings
    assert "2 of 3 samples have no visible point and count as unlabelled, the first" in warning
    assert "1.png" in warning


def test_a_set_whose_points_are_all_invisible_is_refused(tmp_path):
    (error,) = look(config(json_set(tmp_path, [None] * 3))).errors
    assert "expected a sample with a labelled point, got 1 without" in error


FLIP = [dict(type="mmext.LoadFace"), dict(type="mmext.FaceCrop"), dict(type="mmext.FaceFlip")]


def test_a_flip_without_pairs_is_refused_and_with_pairs_it_is_not(tmp_path):
    dataset = json_set(tmp_path, THREE, pipeline=FLIP)
    (error,) = look(config(dataset)).errors
    assert "which points change places in a mirror, since there is FaceFlip in its pip" in error
    for pairs in ([(0, 1)], ()):
        assert look(config({**dataset, "metainfo": dict(flip_pairs=pairs)})).errors == []


def test_a_test_that_mirrors_needs_pairs_too(tmp_path):
    cfg = config(json_set(tmp_path, THREE), split="test")
    cfg["model"]["flip_test"] = True
    (error,) = look(cfg, "test").errors
    assert "since there is model.flip_test, got no pairs" in error


LENGTHS = {
    "norm_len of 0": (dict(norm="norm_len"), dict(norm_len=0), "no norm_len above 0"),
    "no norm_len": (dict(norm="norm_len"), {}, "no norm_len above 0"),
    "a box without area": (dict(norm="sqrt_area"), dict(bbox=[3, 3, 3, 9]), "no sqrt_area above"),
    "eyes that coincide": (
        dict(eye_points=((0,), (0,))),
        {},
        "1 of 1 labelled samples have no outer_eye above 0 to divide errors by",
    ),
    "eyes of other points": ({}, {}, "expected the points of outer_eye, up to 45, got 3 points"),
    "a box with area": (dict(norm="sqrt_area"), dict(bbox=[3, 3, 9, 9]), None),
    "a box that is a line": (dict(norm="bbox_long"), dict(bbox=[3, 3, 3, 9]), None),
    "no box": (dict(norm="bbox_diag"), {}, None),
    "eyes": (dict(eye_points=((0,), (1,))), {}, None),
    "a side": (dict(norm="side"), {}, None),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_lengths_that_errors_are_divided_by(tmp_path, case):
    metric, sample, sentence = LENGTHS[case]
    cfg = config(json_set(tmp_path, THREE, more=sample), split="test")
    cfg["test_evaluator"] = dict(type="mmext.LandmarkNME", **metric)
    errors = look(cfg, "test").errors
    assert len(errors) == (sentence is not None), errors
    assert not sentence or sentence in errors[0]


def test_an_invisible_eye_is_a_warning_while_others_are_seen(tmp_path):
    cfg = config(json_set(tmp_path, THREE, [None, *THREE[1:]]), split="test")
    cfg["test_evaluator"] = dict(type="mmext.LandmarkNME", eye_points=((0,), (1,)))
    report = look(cfg, "test")
    assert report.errors == []
    assert "1 of 2 labelled samples have no outer_eye above 0" in report.warnings[0]


def frames(root: Path, folder: str = "frames") -> dict:
    return dict(
        type="mmext.VideoFrames",
        data_root=str(root),
        data_prefix=dict(img_path=folder),
        num_keypoints=3,
    )


@pytest.mark.parametrize("beside", [True, False], ids=["of the config", "of the loop"])
def test_an_empty_folder_of_unlabelled_pictures_is_refused(tmp_path, beside):
    loader = dict(unlabeled_dataloader=dict(dataset=frames(tmp_path)))
    cfg = config(json_set(tmp_path, THREE))
    cfg.update(loader if beside else dict(train_cfg=dict(type="mmext.TS3TrainLoop", **loader)))
    (error,) = look(cfg).errors
    assert "frames: not found, expected the unlabeled split's img_path there; run make" in error
    (tmp_path / "frames").mkdir()
    (error,) = look(cfg).errors
    assert re.search(r"frames: expected pictures, got an empty folder; put frames there", error)
    pictures(tmp_path / "frames", "a.png", "b.png")
    reports = {one.split: one for one in verify.check(cfg, ("train",))}
    assert not any(one.errors or one.warnings for one in reports.values())
    assert reports["unlabeled"].images == reports["unlabeled"].decoded == 2


def test_unlabelled_pictures_are_read_by_training_alone(tmp_path):
    cfg = config(json_set(tmp_path, THREE), split="test")
    cfg["unlabeled_dataloader"] = dict(dataset=frames(tmp_path))
    assert look(cfg, "test").errors == []


def test_a_file_that_is_no_video_is_one_sentence(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    cfg = config(json_set(tmp_path, THREE))
    cfg["unlabeled_dataloader"] = dict(dataset=frames(tmp_path, "a.mp4"))
    (error,) = look(cfg).errors
    assert "a.mp4: expected a folder of pictures or a video, got neither" in error


@pytest.mark.parametrize("wrong", [dict(take="some"), dict(tke="all"), dict(labeled_share=3)])
def test_arguments_that_cannot_be_are_one_sentence(tmp_path, wrong):
    (error,) = look(config(json_set(tmp_path, THREE, **wrong))).errors
    assert error.startswith("train_dataloader.dataset: expected arguments of LandmarkDataset, got")
    assert error.count(next(iter(wrong))) == 1


def test_the_data_set_s_own_ways_of_reading_do_not_matter(tmp_path):
    lazy = dict(lazy_init=True, serialize_data=True, pipeline=FLIP[:2])
    assert look(config(json_set(tmp_path, THREE, **lazy))).images == 1


def test_many_pictures_are_decoded_on_demand_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("mmext.data_checks.landmarks.DECODE_UP_TO", 1)
    cfg = config(json_set(tmp_path, THREE, THREE))
    report = look(cfg)
    assert "with 2 pictures, more than 1, they were not decoded" in report.warnings[0]
    assert look(cfg, decode=True).decoded == 2
    assert look(cfg, decode=False).decoded == 0


def test_a_class_of_the_users_own_that_lists_points_is_checked_alike(tmp_path):
    from mmext.landmarks.stack.datasets import LandmarkDataset

    class Mine(LandmarkDataset):
        pass

    dataset = {**json_set(tmp_path, THREE), "type": Mine}
    (error,) = look(config(dataset, count=5)).errors
    assert "expected 5 points" in error


def test_a_changed_list_of_labels_is_looked_at_again(tmp_path, monkeypatch):
    monkeypatch.setattr("mmext.data_checks.memory.WORTH_S", -1.0)
    (tmp_path / "few.txt").write_text("0\n")
    cfg = config(json_set(tmp_path, THREE, THREE, labeled_file="few.txt"))
    assert look(cfg).errors == []
    (tmp_path / "few.txt").write_text("7000\n")
    (error,) = look(cfg).errors
    assert "few.txt" in error
    assert "got '7000'" in error
