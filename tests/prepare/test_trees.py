"""Tree crowns: counts, geometry, separation of splits, determinism, bad downloads."""

import hashlib
import json
import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmext.prepare import trees as script
from tests.checkout import REPO, run_script
from tests.prepare.written import contents

CACHE = REPO / "data" / "packages"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}


@pytest.fixture(scope="module")
def splits(trees):
    return {
        split: json.loads((trees / "annotations" / f"{split}.json").read_text())
        for split in script.SPLITS
    }


@pytest.fixture(scope="module")
def drawn(trees):
    """The boxes as people drew them, by the photograph's stem."""
    with zipfile.ZipFile(CACHE / script.DEEPFOREST.file_name) as wheel:
        return {
            photo.stem: script.read_boxes(wheel.read(f"deepforest/data/{photo.stem}.xml"), photo)
            for photos in script.SPLITS.values()
            for photo in photos
        }


def pieces(coco, crowd):
    return [box for box in coco["annotations"] if box["iscrowd"] == crowd]


def corner(image):
    """Where a tile lies in its photograph, from its name."""
    words = image["file_name"].removesuffix(".png").split("_")
    return int(words[-2][1:]), int(words[-1][1:])


def in_photo(coco, boxes):
    """Boxes as left, top, right, bottom in the photograph."""
    corners = {image["id"]: corner(image) for image in coco["images"]}
    for box in boxes:
        (x, y), (left, top, width, height) = corners[box["image_id"]], box["bbox"]
        yield x + left, y + top, x + left + width, y + top + height


def test_people_drew_574_279_61_and_37_boxes(drawn):
    assert [len(boxes) for boxes in drawn.values()] == [574, 279, 61, 37]


@pytest.mark.parametrize(
    ("split", "images", "truths", "crowd"),
    [("train", 64, 1004, 217), ("val", 9, 279, 50), ("test", 2, 98, 0)],
)
def test_the_splits_have_the_numbers_that_the_card_states(splits, split, images, truths, crowd):
    coco = splits[split]
    assert (len(coco["images"]), len(pieces(coco, 0)), len(pieces(coco, 1))) == (
        images,
        truths,
        crowd,
    )
    assert f"{split} {truths} / {crowd}" in " ".join(script.__doc__.split())
    assert coco["categories"] == [{"id": 1, "name": "tree"}]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_boxes_are_positive_and_inside_images_of_the_stated_size(trees, splits, split):
    sizes = {}
    for image in splits[split]["images"]:
        with Image.open(trees / split / image["file_name"]) as pixels:
            assert pixels.size == (image["width"], image["height"])
            assert pixels.mode == "RGB"
        sizes[image["id"]] = pixels.size
    for box in splits[split]["annotations"]:
        left, top, width, height = box["bbox"]
        assert left >= 0
        assert top >= 0
        assert width > 0
        assert height > 0
        assert left + width <= sizes[box["image_id"]][0]
        assert top + height <= sizes[box["image_id"]][1]
        assert box["area"] == width * height


def test_no_photograph_is_in_two_splits(trees, splits):
    names = [photo.stem for photos in script.SPLITS.values() for photo in photos]
    assert len(set(names)) == len(names) == 4
    pixels = Counter()
    for split, coco in splits.items():
        stems = tuple(photo.stem for photo in script.SPLITS[split])
        for image in coco["images"]:
            assert image["file_name"].startswith(stems)
            pixels[hashlib.sha256((trees / split / image["file_name"]).read_bytes()).digest()] += 1
    assert max(pixels.values()) == 1


def test_every_training_crown_is_whole_in_some_tile(splits, drawn):
    whole = set(in_photo(splits["train"], pieces(splits["train"], 0)))
    assert set(drawn["2019_YELL_2_528000_4978000_image_crop2"]) <= whole


def test_validation_pieces_make_up_the_drawn_crowns_without_overlap(splits, drawn):
    boxes = drawn["2019_YELL_2_541000_4977000_image_crop"]
    canvas = np.zeros((1035, 1249), dtype=int)
    for left, top, right, bottom in boxes:
        canvas[top:bottom, left:right] += 1
    for left, top, right, bottom in in_photo(splits["val"], splits["val"]["annotations"]):
        canvas[top:bottom, left:right] -= 1
    assert not canvas.any()


def test_a_validation_truth_is_the_largest_piece_of_its_crown(splits, drawn):
    truths = list(in_photo(splits["val"], pieces(splits["val"], 0)))
    others = list(in_photo(splits["val"], pieces(splits["val"], 1)))
    for box in drawn["2019_YELL_2_541000_4977000_image_crop"]:
        parts = [part for part in truths if script.clip(part, box) and inside(part, box)]
        smaller = [part for part in others if inside(part, box)]
        assert parts
        assert max(map(script.area, parts)) >= max(map(script.area, smaller), default=0)


def inside(part, box):
    return part[0] >= box[0] and part[1] >= box[1] and part[2] <= box[2] and part[3] <= box[3]


def test_tiles_show_the_photograph_where_their_names_say(trees, splits):
    name = "deepforest/data/2019_YELL_2_541000_4977000_image_crop.png"
    with zipfile.ZipFile(CACHE / script.DEEPFOREST.file_name) as wheel, wheel.open(name) as file:
        photograph = np.asarray(Image.open(file))
    covered = 0
    for image in splits["val"]["images"]:
        x, y = corner(image)
        with Image.open(trees / "val" / image["file_name"]) as tile:
            np.testing.assert_array_equal(
                tile, photograph[y : y + image["height"], x : x + image["width"]]
            )
        covered += image["width"] * image["height"]
    assert covered == photograph.shape[0] * photograph.shape[1]


def test_intervals_cover_everything_evenly():
    assert script.cut(10, 3, None) == [(0, 3), (3, 7), (7, 10)]
    assert script.cut(10, 3, 4) == [(0, 4), (3, 7), (6, 10)]
    assert script.cut(400, 1, None) == [(0, 400)]


def test_a_half_visible_crown_is_truth_in_overlapping_tiles_only_once_in_others():
    tiles = [(0, 0, 10, 10), (10, 0, 20, 10)]
    halves = (8, 0, 12, 4)
    assert [script.is_truth(halves, tile, tiles, overlapping=True) for tile in tiles] == [
        True,
        True,
    ]
    assert [script.is_truth(halves, tile, tiles, overlapping=False) for tile in tiles] == [
        True,
        False,
    ]


def test_the_same_bytes_come_out_twice_without_network_and_damage_is_repaired(trees, tmp_path):
    root = tmp_path / "trees"
    assert run_script("data/trees.py", "--root", root, "--cache", CACHE, **OFFLINE).returncode == 0
    first = contents(root)
    assert len(first) == 64 + 9 + 2 + 3 + 1
    next((root / "train").iterdir()).unlink()
    assert run_script("data/trees.py", "--root", root, "--cache", CACHE, **OFFLINE).returncode == 0
    assert contents(root) == first
    assert b"MIT License" in (root / "LICENSE").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["trees"]


def test_a_wheel_with_another_checksum_is_refused_and_nothing_is_written(trees, tmp_path):
    cache = tmp_path / "packages"
    cache.mkdir()
    wheel = cache / script.DEEPFOREST.file_name
    shutil.copy(CACHE / wheel.name, wheel)
    with open(wheel, "ab") as file:
        file.write(b"x")
    result = run_script("data/trees.py", "--root", tmp_path / "trees", "--cache", cache, **OFFLINE)
    assert result.returncode == 1
    assert f"{wheel}: expected SHA-256 {script.DEEPFOREST.sha256}, got " in result.stderr
    assert result.stderr.endswith("delete it and run this command again.\n")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "trees").exists()


def test_without_network_a_sentence_says_what_to_do(tmp_path):
    result = run_script(
        "data/trees.py", "--root", tmp_path / "trees", "--cache", tmp_path / "packages", **OFFLINE
    )
    assert result.returncode == 1
    assert "pip could not fetch deepforest 2.1.0" in result.stderr
    assert f"put {script.DEEPFOREST.file_name} from another machine at {tmp_path}" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list((tmp_path / "packages").iterdir()) == []
    assert not (tmp_path / "trees").exists()


def test_another_number_of_boxes_is_refused():
    xml = b"<annotation><size><width>9</width><height>9</height></size></annotation>"
    with pytest.raises(script.DataError, match=r"OSBS_029\.xml: expected 61 boxes, got 0"):
        script.read_boxes(xml, script.Photo("OSBS_029", 61))


def test_a_box_outside_the_photograph_is_refused():
    box = b"<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>5</ymax></bndbox>"
    xml = b"<annotation><size><width>9</width><height>9</height></size>" + box + b"</annotation>"
    with pytest.raises(script.DataError, match=r"inside 9 x 9 pixels, got \(0, 0, 10, 5\)"):
        script.read_boxes(xml, script.Photo("OSBS_029", 1))
