import json
from pathlib import Path

import pytest
from PIL import Image

from mmext.data_checks import coco, layouts, objects, pictures
from mmext.data_checks.needs import Needs
from mmext.data_checks.report import LISTED, Report
from mmext.errors import BadInputError


def report() -> Report:
    return Report("train", "all.json")


def file_of(*names: str, bbox: object = None) -> dict:
    annotation = dict(id=5, image_id=1, category_id=0, bbox=bbox or [0, 0, 4, 4], area=16)
    return dict(
        images=[dict(id=1, file_name="1.png", width=10, height=8)],
        categories=[dict(id=index, name=name) for index, name in enumerate(names)],
        annotations=[annotation],
    )


@pytest.mark.parametrize(
    ("bbox", "word"),
    [
        ([0, 0, 10, 8], ""),
        ([-1, -1, 12, 10], ""),  # a pixel on each side is rounding
        ([0, 0, 11.1, 8], "outside"),
        ([0, 0, 10, 9.1], "outside"),
        ([-1.1, 0, 3, 3], "outside"),
        ([4, 4, 0, 2], "empty"),
        ([4, 4, 2, -1], "empty"),
        ([4, 4, 2], "four numbers"),
        ([4, 4, 2, float("nan")], "four numbers"),
        ([4, 4, 2, "3"], "four numbers"),
        (None, "four numbers"),
    ],
)
def test_a_box_is_odd_only_beyond_rounding(bbox: object, word: str) -> None:
    found = objects.odd_box(bbox, 10, 8)
    assert word in found
    assert bool(found) == bool(word)


def test_boxes_are_counted_as_mmdet_treats_them() -> None:
    data = file_of("tree", "car")
    extra = [
        dict(iscrowd=1),
        dict(ignore=True),
        dict(category_id=1),
        dict(image_id=9),
        dict(area=0),
        dict(bbox=[0, 0, 4, 0.5]),
    ]
    data["annotations"] += [{**data["annotations"][0], **change} for change in extra]
    one = report()
    objects.count_objects(data, ("tree",), Needs(), one)
    assert one.boxes == 1
    assert dict(one.dropped) == {
        "crowd": 1,
        "of other classes or ignored": 2,
        "without image": 1,
        "smaller than a pixel": 2,
    }
    assert one.errors == one.warnings == []


def test_an_odd_box_is_an_error_unless_it_is_accepted() -> None:
    data = file_of("tree", bbox=[0, 0, 99, 4])
    strict, lenient = report(), report()
    objects.count_objects(data, ("tree",), Needs(), strict)
    objects.count_objects(data, ("tree",), Needs(), lenient, allow_odd=True)
    assert len(strict.errors) == 1
    assert "all.json: annotation 5" in strict.errors[0]
    assert lenient.errors == []
    assert lenient.dropped["odd"] == 1
    assert "wholly outside" in lenient.warnings[0]


def test_an_odd_box_of_a_class_that_nobody_wants_is_no_error() -> None:
    one = report()
    objects.count_objects(file_of("tree", bbox=[0, 0, 0, 0]), ("car",), Needs(), one)
    assert one.errors == []


def test_classes_in_another_order_are_told() -> None:
    one = report()
    coco.check_classes(file_of("a", "b"), ("b", "a"), one)
    assert "same order" in one.warnings[0]
    same = report()
    coco.check_classes(file_of("x", "a", "b"), ("a", "b"), same)
    assert same.warnings == []


@pytest.mark.parametrize("text", ["not json", "[]", '{"images": []}', '{"images": 1}'])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "all.json"
    file.write_text(text)
    with pytest.raises(BadInputError, match=r"all\.json: expected a COCO file.*; do this"):
        coco.read_coco(str(file), "do this")


def errors(
    data: dict, *wanted: str, needs: Needs | None = None, kind: str = layouts.COCO
) -> list[str]:
    """What is wrong with a file."""
    one = report()
    coco.check_file(data, wanted, one, needs=needs, kind=kind)
    return one.errors


@pytest.mark.parametrize(
    ("kind", "key", "word"),
    [
        (
            "images",
            "height",
            "expected images with id, file_name, width, height, got one without height",
        ),
        ("categories", "name", "expected categories with id, name, got one without name"),
        ("annotations", "image_id", "got one without image_id"),
        ("annotations", "area", "annotation 5 has the area None, expected a number"),
        ("annotations", "bbox", "annotation 5 has the box None, expected four numbers"),
    ],
)
def test_an_entry_without_a_key_that_mmdet_reads_is_refused(kind: str, key: str, word: str) -> None:
    data = file_of("tree")
    del data[kind][0][key]
    (error,) = errors(data)
    assert word in error


@pytest.mark.parametrize("kind", ["annotations", "categories"])
def test_ids_must_differ(kind: str) -> None:
    data = file_of("tree")
    data[kind] *= 2
    assert "number anew" in errors(data)[0]


def test_an_image_that_is_listed_twice_is_harmless_and_two_of_one_id_are_not() -> None:
    data = file_of("tree")
    data["images"] *= 2
    assert errors(data) == []
    data["images"][1] = {**data["images"][0], "file_name": "2.png"}
    assert "expected each image id once, got 1 twice" in errors(data)[0]


def test_what_mmdet_never_reads_may_be_damaged() -> None:
    """It looks at no annotation without an image, and at no box of one that is to be ignored."""
    data = file_of("tree")
    whole = data["annotations"][0]
    data["annotations"] += [
        dict(id=6, image_id=9, category_id=0, bbox=None),
        {**whole, "id": 7, "ignore": 1, "bbox": [None]},
        {**whole, "id": 8, "bbox": [50, 50, 4, 4], "area": 16},
    ]
    one = report()
    objects.count_objects(data, ("tree",), Needs(), one, allow_odd=True)
    assert (one.errors, one.boxes) == ([], 1)


def test_a_few_odd_boxes_among_very_many_are_slips() -> None:
    """COCO's own training file has two without height among 860,001."""
    data = file_of("tree")
    whole = data["annotations"][0]
    data["annotations"] = [{**whole, "id": one} for one in range(2000)]
    data["annotations"][7]["bbox"] = [3, 3, 1.03, 0.0]
    one = report()
    objects.count_objects(data, (), Needs(), one)
    assert (one.errors, one.boxes, len(one.warnings)) == ([], 1999, 1)


def test_boxes_by_their_corners_are_recognised_and_not_all_listed() -> None:
    data = file_of("tree")
    whole = data["annotations"][0]
    data["annotations"] = [{**whole, "id": one, "bbox": [5, 4, 9, 8]} for one in range(50)]
    one = report()
    objects.count_objects(data, (), Needs(), one)
    assert "it looks like left, top, right, bottom: write left, top, width, height" in one.errors[0]
    assert (len(one.errors), one.unlisted) == (LISTED, 30)
    assert str(one).endswith("; 50 errors")


def test_a_truncated_image_is_found_though_opencv_would_read_it(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "1.jpg"
    Image.effect_noise((200, 100), 60).convert("RGB").save(path)
    assert pictures.broken_image(path, (200, 100)) == ""
    path.write_bytes(path.read_bytes()[:2000])
    assert cv2.imread(str(path)) is not None
    assert "truncated" in pictures.broken_image(path, (200, 100))


def test_an_image_of_another_size_is_found(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    Image.new("L", (20, 10)).save(path)
    for size in ((20, 11), (10, 20)):
        said = pictures.broken_image(path, size)
        assert f"expected {size[0]} x {size[1]} pixels as its annotations say, got 20 x 10" in said


def test_many_images_are_not_decoded_and_the_log_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(coco, "DECODE_UP_TO", 0)
    (tmp_path / "1.png").write_text("no image")
    silent, asked = report(), report()
    coco.check_images(file_of("tree"), str(tmp_path), silent, cure="")
    assert (silent.errors, silent.decoded) == ([], 0)
    assert "mmext verify CONFIG --decode" in silent.warnings[0]
    coco.check_images(file_of("tree"), str(tmp_path), asked, cure="", decode=True)
    assert asked.decoded == 1
    assert "cannot be decoded" in asked.errors[0]


def test_a_good_file_passes_and_its_report_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps(file_of("tree")))
    assert coco.read_coco(str(tmp_path / "all.json"), "") == file_of("tree")
    assert str(report()) == (
        "train: all.json: 0 images, 0 of them decoded; 0 boxes used, left out: none; 0 errors"
    )
