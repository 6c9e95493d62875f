"""The mouse: counts, positions, splits, boxes, the video's frames, determinism, bad downloads."""

import csv
import io
import itertools
import json
import os
import shutil
import tarfile

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmext.prepare import mouse as script
from mmext.prepare.packages import DataError, SourceArchive
from tests.checkout import REPO, run_script
from tests.prepare.written import contents

CACHE = REPO / "data" / "packages"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}


@pytest.fixture(scope="module")
def splits(mouse):
    return {split: script.read_split(mouse, split) for split in script.SPLITS}


def names(coco):
    return [image["file_name"] for image in coco["images"]]


def table(rows, points=script.NAMES):
    """A table of labels as the package writes it."""
    columns = [column for name in points for column in (name, name)]
    lines = [["scorer", *columns], ["bodyparts", *columns], ["coords", *["x", "y"] * len(points)]]
    return "\n".join(",".join(line) for line in [*lines, *rows])


def test_the_splits_have_the_numbers_of_their_names(splits):
    assert len(names(splits["all"])) == 90
    for split, coco in splits.items():
        if split != "all":
            assert len(names(coco)) == int(split.split("_")[1]), split
        assert [one["image_id"] for one in coco["annotations"]] == [
            image["id"] for image in coco["images"]
        ]


def test_train_and_test_divide_all_frames_and_the_labeled_are_of_train(splits):
    of = {split: set(names(coco)) for split, coco in splits.items()}
    for train, test in (("train_70", "test_20"), ("train_60", "test_30")):
        assert of[train].isdisjoint(of[test])
        assert of[train] | of[test] == of["all"]
    assert of["labeled_10"] < of["labeled_20"] < of["train_60"] < of["train_70"]
    assert of["test_20"] < of["test_30"]
    assert of["labeled_20"] | of["hidden_50"] == of["train_70"]
    assert of["labeled_20"].isdisjoint(of["hidden_50"])


def test_the_order_is_by_chance_and_the_same_for_ever():
    frames = [f"img{number:02d}.png" for number in range(1, 91)]
    order = script.shuffled(frames)
    assert order[:4] == ["img32.png", "img07.png", "img73.png", "img66.png"]
    assert order == script.shuffled(frames[::-1])


def test_points_are_those_of_the_table_and_the_missing_ones_are_invisible(mouse, splits):
    rows = list(csv.reader((mouse / "labels.csv").read_text().splitlines()))
    of_file = {image["file_name"]: image["id"] for image in splits["all"]["images"]}
    by_id = {one["image_id"]: one for one in splits["all"]["annotations"]}
    assert len(rows) == 3 + 90
    for path, *row in rows[3:]:
        assert (mouse / path).is_file()
        one = by_id[of_file[path.removeprefix("images/")]]
        kept = np.reshape(one["keypoints"], (17, 3))
        for (x, y), (u, v, visible) in zip(np.reshape(row, (17, 2)), kept, strict=True):
            assert (u, v, visible) == ((float(x), float(y), 2) if x else (0, 0, 0))
        assert one["num_keypoints"] == (kept[:, 2] > 0).sum() >= 12


def test_each_point_is_visible_in_60_to_100_percent_of_the_frames(splits):
    points = np.array([one["keypoints"] for one in splits["all"]["annotations"]])
    share = (points.reshape(90, 17, 3)[..., 2] > 0).mean(0)
    assert share.min() == pytest.approx(0.6)
    assert share.max() == 1


def test_boxes_hold_the_visible_points_with_a_margin_inside_the_frame(splits):
    for one in splits["all"]["annotations"]:
        x, y, width, height = one["bbox"]
        kept = np.reshape(one["keypoints"], (17, 3))
        seen = kept[kept[:, 2] > 0, :2]
        assert (seen >= (x, y)).all()
        assert (seen <= (x + width, y + height)).all()
        assert min(x, y) >= 0
        assert x + width <= 396 + 0.01
        assert y + height <= 406 + 0.01
        assert one["area"] == pytest.approx(width * height, abs=0.01)


def test_a_box_is_a_tenth_wider_on_every_side_and_ends_with_the_frame():
    assert script.box([(100.0, 200.0), None, (200.0, 300.0)]) == [90, 190, 120, 120]
    assert script.box([(2.0, 200.0), (392.0, 400.0)]) == [0, 180, 396, 226]


def test_pycocotools_reads_it_with_its_points_and_limbs(mouse):
    coco = COCO(str(mouse / "annotations" / "test_30.json"))
    (category,) = coco.loadCats(coco.getCatIds())
    assert category["name"] == "mouse"
    assert category["keypoints"] == list(script.NAMES)
    assert all(1 <= end <= 17 for limb in category["skeleton"] for end in limb)
    assert category["flip_pairs"] == [list(pair) for pair in script.FLIP_PAIRS]
    assert len(coco.getAnnIds()) == 30


def test_flip_pairs_are_left_and_right_of_the_same_limb_in_the_same_view():
    for left, right in script.FLIP_PAIRS:
        (foot, view), (other_foot, other_view) = (
            script.NAMES[index].split("_") for index in (left, right)
        )
        assert view == other_view
        assert {foot[-2], other_foot[-2]} == {"L", "R"}
        assert foot[-1] == other_foot[-1]  # hind and hind, front and front
    assert len(set(itertools.chain(*script.FLIP_PAIRS))) == 8


def test_limbs_stay_in_one_view():
    for start, end in script.SKELETON:
        assert script.NAMES[start].split("_")[1] == script.NAMES[end].split("_")[1]


def test_frames_are_grey_of_the_stated_size_and_no_labelled_one_is_of_the_video(mouse, splits):
    labelled = []
    for name in names(splits["all"]):
        with Image.open(mouse / "images" / name) as picture:
            assert (picture.mode, picture.size) == ("L", script.SIZE)
            labelled.append(np.asarray(picture.resize((33, 34))).astype(np.float32))
    assert len({one.tobytes() for one in labelled}) == 90  # no copies
    frames = sorted((mouse / "unlabeled").iterdir())
    assert len(frames) == 994
    assert (frames[0].name, frames[-1].name) == ("frame_0000.jpg", "frame_0993.jpg")
    for path in frames[::50]:
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("L", script.SIZE)
            frame = np.asarray(picture.resize((33, 34))).astype(np.float32)
        assert min(np.abs(frame - one).mean() for one in labelled) > 5


def test_the_same_bytes_come_out_twice_without_network(mouse, tmp_path):
    root = tmp_path / "mouse"
    result = run_script("data/mouse.py", "--root", root, "--cache", CACHE, **OFFLINE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("unlabeled   994 frames\n")
    made = contents(root)
    assert made == contents(mouse)
    assert len(made) == 90 + 994 + len(script.SPLITS) + 3
    assert b"MIT License" in (root / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    "lost", ["unlabeled/frame_0500.jpg", "images/img07.png", "annotations/test_20.json", "LICENSE"]
)
def test_a_folder_that_lost_a_file_is_made_anew(mouse, tmp_path, monkeypatch, lost):
    root = tmp_path / "mouse"
    shutil.copytree(mouse, root, copy_function=os.symlink)
    assert script.is_complete(root)
    made = []
    monkeypatch.setattr(script, "fetch", lambda *_: CACHE)
    monkeypatch.setattr(script, "unpack", lambda _: {})
    monkeypatch.setattr(script, "write", lambda *_: made.append("anew"))
    script.prepare(root, CACHE)
    assert made == []
    (root / lost).unlink()
    script.prepare(root, CACHE)
    assert made == ["anew"]


def test_without_network_a_sentence_says_what_to_do(tmp_path):
    result = run_script(
        "data/mouse.py", "--root", tmp_path / "mouse", "--cache", tmp_path / "packages", **OFFLINE
    )
    assert result.returncode == 1
    assert "pip could not fetch lightning-pose 1.2.3" in result.stderr
    assert "put lightning-pose-1.2.3.tar.gz from another machine at" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list((tmp_path / "packages").iterdir()) == []


def test_pip_is_told_the_checksum_before_it_runs_anything_of_the_archive(tmp_path):
    asked = SourceArchive("lightning-pose", "1.2.3", "ab" * 32).asked(tmp_path)
    assert asked[:2] == ["--no-binary=lightning-pose", "--requirement"]
    with open(asked[2]) as file:
        assert file.read() == f"lightning-pose==1.2.3 --hash=sha256:{'ab' * 32}\n"


def test_a_table_with_other_points_or_too_few_frames_is_refused():
    with pytest.raises(DataError, match=r"expected 90 frames with paw1LH_top, .* got 0 with a, b;"):
        script.read_labels(table([], ["a", "b"]))
    with pytest.raises(DataError, match="got 1 with paw1LH_top"):
        script.read_labels(table([["labeled-data/img01.png", *["1", "2"] * 17]]))


def test_a_point_outside_its_frame_is_refused():
    rows = [[f"labeled-data/img{number:02d}.png", *["1", "2"] * 17] for number in range(1, 91)]
    assert script.read_labels(table(rows))["img07.png"] == [(1.0, 2.0)] * 17
    rows[6][-1] = "406"
    with pytest.raises(DataError, match=r"img07\.png: expected points inside 396 x 406 pixels"):
        script.read_labels(table(rows))


def test_a_video_with_another_number_of_frames_is_refused(tmp_path):
    video = io.BytesIO()
    with av.open(video, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(DataError, match="expected 994 frames, got 3; install another version"):
        script.write_frames(video.getvalue(), tmp_path)


def test_only_the_wanted_files_are_read_of_an_archive(tmp_path):
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (f"{script.TOP}/LICENSE", f"{script.TOP}/setup.py", f"{script.MOUSE}/a.csv"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    assert script.unpack(path) == {f"{script.TOP}/LICENSE": b"x", f"{script.MOUSE}/a.csv": b"x"}


def test_a_folder_of_another_recipe_is_not_complete(tmp_path):
    (tmp_path / "annotations").mkdir()
    assert not script.is_complete(tmp_path)
    for split in script.SPLITS:
        text = json.dumps({"info": {"recipe": "older"}, "images": []})
        (tmp_path / "annotations" / f"{split}.json").write_text(text)
    assert not script.is_complete(tmp_path)
