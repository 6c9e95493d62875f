"""Each format gives the same points, and what is wrong with a file is said in a sentence."""

import json
import logging

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from mmext.errors import BadInputError
from tests.landmarks.stack.files import (
    NAMES,
    PAIRS,
    POINTS,
    picture,
    write_aflw,
    write_coco,
    write_csv,
    write_json,
    write_pts,
)


def infos(cfg, **changed):
    dataset = DATASETS.build({**cfg, **changed})
    return dataset, [dataset.get_data_info(number) for number in range(len(dataset))]


def test_json(tmp_path):
    dataset, found = infos(write_json(tmp_path))
    assert dataset.metainfo["keypoint_names"] == NAMES
    assert len(found) == 4
    np.testing.assert_allclose(found[1]["keypoints"], POINTS + 1)
    assert found[3]["keypoints_visible"].tolist() == [1, 1, 0, 1, 1]
    assert np.isnan(found[3]["keypoints"][2]).all()
    assert found[0]["norm_len"] == 20
    assert np.isnan(found[0]["bbox"]).all()  # the whole picture: LoadFace knows its size
    assert found[0]["flip_pairs"] == PAIRS
    assert (found[2]["key"], found[2]["labeled"], found[2]["subset"]) == ("2.png", True, "")


def test_json_takes_a_column_of_visibility_and_what_samples_say_of_themselves(tmp_path):
    sample = dict(img_path="0.png", keypoints=[[1, 2, 0], [3, 4, 1]], bbox=[0, 1, 2, 3])
    others = [
        sample | dict(key="a", subset="easy", labeled=False),
        sample | dict(keypoints=[None, None]),
    ]
    cfg = write_json(tmp_path, 1, keypoint_names=[], flip_pairs=[], samples=[sample, *others])
    _, found = infos(cfg)
    assert found[0]["keypoints_visible"].tolist() == [0, 1]
    assert found[0]["bbox"].tolist() == [0, 1, 2, 3]
    assert np.isnan(found[0]["norm_len"])
    assert [one["labeled"] for one in found] == [True, False, False]
    assert (found[1]["key"], found[1]["subset"]) == ("a", "easy")


def test_pts(tmp_path):
    for number, name in enumerate(("b/1", "a/2", "a/1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_pts(tmp_path / f"{name}.pts", POINTS + number, number=number)
    cfg = dict(
        type="mmext.PTSLandmarkDataset",
        data_root=str(tmp_path),
        metainfo=dict(keypoint_names=NAMES, flip_pairs=PAIRS),
        folders=dict(common=["a"], challenging=["b"]),
    )
    _, found = infos(cfg)
    assert [one["key"] for one in found] == ["a/1.png", "a/2.png", "b/1.png"]
    assert [one["subset"] for one in found] == ["common", "common", "challenging"]
    np.testing.assert_allclose(found[2]["keypoints"], POINTS)  # the format counts from 1
    np.testing.assert_allclose(found[2]["bbox"], [10, 20, 31, 51.25])


def test_68_points_have_pairs_that_mirror_each_other():
    from mmext.landmarks.stack.pts import MIRRORED_68

    flat = [point for pair in MIRRORED_68 for point in pair]
    assert len(flat) == len(set(flat)) == 58
    in_the_middle = {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    assert set(range(68)) - set(flat) == in_the_middle


def test_aflw(tmp_path):
    cfg, points, visible = write_aflw(tmp_path)
    _, train = infos(cfg)
    assert [one["key"] for one in train] == ["2.png#2", "0.png#0", "5.png#5", "1.png#1"]
    np.testing.assert_allclose(train[1]["keypoints"][visible[0]], points[0][visible[0]], rtol=1e-5)
    assert train[1]["keypoints_visible"].tolist() == visible[0].tolist()
    assert train[1]["bbox"].tolist() == [4, 2, 44, 52]
    assert train[1]["norm_len"] == pytest.approx((40 * 50) ** 0.5)
    assert [one["key"] for one in infos(cfg, split="test")[1]] == ["4.png#4", "3.png#3"]
    assert [one["key"] for one in infos(cfg, split="frontal")[1]] == ["4.png#4"]
    with pytest.raises(ValueError, match="split must be one of"):
        infos(cfg, split="val")


@pytest.mark.parametrize("columns", [1, 3])
def test_csv(tmp_path, columns):
    dataset, found = infos(write_csv(tmp_path, columns))
    assert dataset.metainfo["keypoint_names"] == NAMES
    np.testing.assert_allclose(found[0]["keypoints"], POINTS)
    assert found[1]["keypoints_visible"].tolist() == [1, 1, 0, 1, 1]
    assert found[1]["key"] == "labeled-data/video/1.png"
    assert cv2.imread(found[1]["img_path"]) is not None


def test_coco(tmp_path):
    dataset, found = infos(write_coco(tmp_path))
    assert dataset.metainfo["flip_pairs"] == [(0, 1), (3, 4)]  # by the names
    assert dataset.metainfo["skeleton"] == [(0, 2), (1, 2)]  # COCO counts from 1
    assert [one["key"] for one in found] == ["0.png#10", "0.png#11", "1.png", "2.png"]
    assert found[1]["bbox"].tolist() == [8, 18, 32, 54]
    np.testing.assert_allclose(found[1]["keypoints"][3], POINTS[3] + 1)
    assert found[1]["keypoints_visible"].tolist() == [1, 1, 0, 1, 1]
    assert [one["labeled"] for one in found] == [True, True, True, False]
    assert np.isnan(found[3]["bbox"]).all()


def test_coco_with_pairs_of_its_own(tmp_path):
    dataset, _ = infos(write_coco(tmp_path, flip_pairs=[["nose", "left_eye"], [3, 4]]))
    assert dataset.metainfo["flip_pairs"] == [(2, 0), (3, 4)]


def test_an_unknown_name_in_a_pair_of_coco_is_said(tmp_path):
    cfg = write_coco(tmp_path, flip_pairs=[["nose", "left_eyes"]])
    with pytest.raises(BadInputError, match=r"got 'left_eyes' \(did you mean 'left_eye'\?\)"):
        infos(cfg)


@pytest.mark.parametrize("pair", [(0, 5), (0,), (-1, 2), (0.5, 1), ("0", "1"), 3])
def test_a_pair_that_is_no_pair_of_points_is_said(tmp_path, pair):
    cfg = write_json(tmp_path)
    with pytest.raises(BadInputError, match="expected flip_pairs of two points each"):
        infos(cfg, metainfo=dict(flip_pairs=[(1, 2), pair]))
    cfg = write_coco(tmp_path, flip_pairs=[pair if isinstance(pair, int) else ["nose"]])
    with pytest.raises(BadInputError, match="from 0 to 4, got"):
        infos(cfg)


def test_frames_of_a_folder_and_of_a_video(tmp_path):
    for number in range(5):
        picture(tmp_path / "frames" / f"{number}.png", number)
    (tmp_path / "frames/notes.txt").write_text("no picture")
    cfg = dict(
        type="mmext.VideoFrames", data_root=str(tmp_path), data_prefix=dict(img_path="frames")
    )
    _, found = infos(cfg, every=2, num_keypoints=3)
    assert [one["key"] for one in found] == ["0.png", "2.png", "4.png"]
    assert found[0]["keypoints"].shape == (3, 2)
    assert not any(one["labeled"] for one in found)
    video = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (48, 64)
    )
    for shade in (0, 120, 250):
        video.write(np.full((64, 48, 3), shade, np.uint8))
    video.release()
    pipeline = [dict(type="mmext.LoadFace")]
    names = dict(keypoint_names=NAMES)
    dataset, found = infos(
        cfg, data_prefix=dict(img_path="clip.avi"), metainfo=names, pipeline=pipeline
    )
    assert [one["key"] for one in found] == ["clip.avi#0", "clip.avi#1", "clip.avi#2"]
    assert [round(dataset[number]["img"].mean(), -1) for number in range(3)] == [0, 120, 250]


def test_shares_hide_labels_and_choose_samples(tmp_path):
    cfg = write_json(tmp_path, 10)
    _, everything = infos(cfg, labeled_share=0.3)
    labelled = [one["key"] for one in everything if one["labeled"]]
    assert len(labelled) == 3
    assert all(one["keypoints_visible"].any() for one in everything)  # the truth stays, hidden
    assert [one["key"] for one in infos(cfg, labeled_share=0.3, take="labeled")[1]] == labelled
    rest = [one["key"] for one in infos(cfg, labeled_share=0.3, take="unlabeled")[1]]
    assert sorted(rest + labelled) == sorted(one["key"] for one in everything)
    (tmp_path / "some.txt").write_text("3.png\n7\n")
    listed = infos(cfg, labeled_file="some.txt", take="labeled")[1]
    assert [one["key"] for one in listed] == ["3.png", "7.png"]


def test_nothing_unlabelled_is_one_line(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "mmext"):
        dataset, found = infos(write_json(tmp_path), take="unlabeled", serialize_data=True)
    assert (len(dataset), found) == (0, [])
    assert "no sample without a label: training has labels alone" in caplog.text


SAMPLE = dict(img_path="0.png", keypoints=[[1, 2]])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (dict(samples=[]), "expected samples, got none"),
        (dict(samples=7), "expected a JSON object with a list 'samples'"),
        (dict(samples=[dict(img_path="0.png")]), "in sample 0, got KeyError: 'keypoints'"),
        (dict(samples=[dict(SAMPLE, keypoints=[[1]])]), "in sample 0, got ValueError"),
        (dict(samples=[SAMPLE]), "expected the 5 points of keypoint_names, got 1"),
        (
            dict(samples=[dict(SAMPLE, keypoints=[None] * 5, bbox=[1, 2])]),
            r"0.png: expected a bbox of left, top, right and bottom, got \[1, 2\]; correct it",
        ),
        (
            dict(samples=[dict(SAMPLE, keypoints=[None] * 5)] * 2),
            "expected a sample with a labelled point, got 2 without; label some",
        ),
    ],
)
def test_a_wrong_json_file_is_refused(tmp_path, changed, said):
    with pytest.raises(BadInputError, match=said):
        infos(write_json(tmp_path, 2, **changed))


@pytest.mark.parametrize("name", ["LandmarkDataset", "COCOLandmarkDataset", "CSVLandmarkDataset"])
def test_a_missing_file_is_said(tmp_path, name):
    cfg = dict(type=f"mmext.{name}", data_root=str(tmp_path), ann_file="none.json")
    with pytest.raises(
        BadInputError, match=r"none.json: expected a file of labelled points, got none"
    ):
        infos(cfg)


def test_a_pts_file_of_another_count_is_refused(tmp_path):
    cfg = dict(type="mmext.PTSLandmarkDataset", data_root=str(tmp_path))
    with pytest.raises(BadInputError, match=r"expected a folder with .pts files, got none"):
        infos(cfg)
    write_pts(tmp_path / "one.pts")
    with pytest.raises(
        BadInputError, match=r"one.pts: expected 68 points, got 5 below n_points: 5"
    ):
        infos(cfg)
    write_pts(tmp_path / "one.pts", said=7)
    with pytest.raises(BadInputError, match="got 5 below n_points: 7; correct the file"):
        infos(cfg, metainfo=dict(keypoint_names=NAMES))
    (tmp_path / "one.pts").write_text("hello")
    with pytest.raises(BadInputError, match=r"expected a .pts file with n_points"):
        infos(cfg)
    (tmp_path / "one.pts").write_text("n_points: 1\n{\n1 two\n}")
    with pytest.raises(BadInputError, match="expected two numbers a line"):
        infos(cfg, metainfo=dict(keypoint_names=["one"]))
    (tmp_path / "one.png").unlink()
    with pytest.raises(BadInputError, match="expected a picture of the same name"):
        infos(cfg)


def test_another_mat_file_is_refused(tmp_path):
    from scipy.io import savemat

    cfg = dict(type="mmext.AFLWMatDataset", data_root=str(tmp_path), ann_file="info.mat")
    savemat(tmp_path / "info.mat", dict(data=np.zeros(3)))
    with pytest.raises(BadInputError, match="got a file without nameList, mask_new, bbox, ra"):
        infos(cfg)
    (tmp_path / "info.mat").write_text("hello")
    with pytest.raises(BadInputError, match="expected a MATLAB file, got something else"):
        infos(cfg)


def test_another_table_is_refused(tmp_path):
    cfg = write_csv(tmp_path)
    text = (tmp_path / "table.csv").read_text()
    for old, new, said in (
        ("coords", "individuals", "expected one animal a picture"),
        ("scorer", "name", "expected lines that begin with scorer, bodyparts, coords"),
        ("10.0", "ten", "a number or nothing in each cell of line 4"),
        (",x,", ",z,", "columns x and y of each point below coords, got 4 and 5"),
    ):
        (tmp_path / "table.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(BadInputError, match=said):
            infos(cfg)


def test_another_coco_file_is_refused(tmp_path):
    with pytest.raises(
        BadInputError, match="expected a category with a list 'keypoints', got none"
    ):
        infos(write_coco(tmp_path, keypoints=[]))
    with pytest.raises(BadInputError, match="expected 4 points with x, y and v in annotation 10"):
        infos(write_coco(tmp_path, keypoints=NAMES[:4]))
    cfg = write_coco(tmp_path)
    coco = json.loads((tmp_path / "coco.json").read_text())
    (tmp_path / "coco.json").write_text(json.dumps({"images": coco["images"]}))
    with pytest.raises(BadInputError, match="give a COCO file of keypoints as ann_file"):
        infos(cfg)


def test_an_empty_folder_and_no_video_are_refused(tmp_path):
    cfg = dict(type="mmext.VideoFrames", data_prefix=dict(img_path=str(tmp_path)))
    with pytest.raises(BadInputError, match="expected pictures, got an empty folder; put frames"):
        infos(cfg)
    with pytest.raises(
        BadInputError, match="expected a folder of pictures or a video, got neither"
    ):
        infos(cfg, data_prefix=dict(img_path=str(tmp_path / "none.mp4")))


def test_another_take_is_refused():
    with pytest.raises(ValueError, match=r"take must be one of .* got 'some'"):
        infos(dict(type="mmext.LandmarkDataset", take="some"))


def test_each_noughth_frame_is_refused():
    with pytest.raises(ValueError, match="expected every to be 1 or more, got 0; change it"):
        infos(dict(type="mmext.VideoFrames", every=0))
