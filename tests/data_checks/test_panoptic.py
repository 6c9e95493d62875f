"""Panoptic files and their PNGs: what mmdet fails on is refused, what spoils a result is told."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmext.data_checks import coco, layouts, panoptic, panoptic_maps, panoptic_sets
from mmext.data_checks.needs import Needs
from mmext.data_checks.report import Report
from mmext.errors import BadInputError
from tests.data_checks.damaged import VALUES, places, replaced

CLASSES = ("tree", "car", "sky")
TRAIN, JUDGED, BLIND = Needs(things=True), Needs(panoptic=True), Needs(truth=False)
# What a run with CocoMetric and masks beside reads in another file, or in none.
MIXED = Needs(panoptic=True, masks=True, by_coco=True, crowds=True, outlines=True)
IDS = (7, 300, 70_000)


def sound() -> dict[str, Any]:
    """A file without a fault: two images, in each a tree, a car and the sky above."""
    boxes = ([0, 0, 10, 2], [0, 2, 5, 6], [5, 2, 5, 6])
    return dict(
        images=[dict(id=one, file_name=f"{one}.jpg", width=10, height=8) for one in (1, 2)],
        categories=[
            dict(id=1, name="tree", isthing=1),
            dict(id=2, name="car", isthing=1),
            dict(id=9, name="sky", isthing=0),
        ],
        annotations=[
            dict(
                image_id=image,
                file_name=f"{image}.png",
                segments_info=[
                    dict(id=one, category_id=kind, bbox=box, area=box[2] * box[3], iscrowd=0)
                    for one, kind, box in zip(IDS, (9, 1, 2), boxes, strict=True)
                ],
            )
            for image in (1, 2)
        ],
    )


def pixels() -> np.ndarray:
    """The segment of each pixel of every image, (8, 10)."""
    ids = np.full((8, 10), IDS[0])
    ids[2:, :5], ids[2:, 5:] = IDS[1], IDS[2]
    return ids


def draw(path: Path, ids: np.ndarray) -> None:
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in (1, 2):
        draw(tmp_path / "seg" / f"{one}.png", pixels())
    return tmp_path


def check(
    content: object,
    folder: Path,
    needs: Needs = TRAIN,
    *,
    wanted: Any = CLASSES,
    places: list[panoptic_maps.Place] | None = None,
    heads: list[tuple[str, int, int | None]] | None = None,
) -> Report:
    """The check of a file as it stands in a run, without its pictures."""
    report = Report("train", "all.json")
    data: Any = json.loads(json.dumps(content))
    beside = panoptic_sets.Around(
        heads if heads is not None else [("model.head", 2, 1)],
        places if places is not None else [panoptic_maps.Place(str(folder / "seg"))],
    )
    try:
        coco.require_lists(data, "all.json", ("images", "annotations", "categories"), "mend it")
        coco.check_file(data, wanted, report, kind=layouts.PANOPTIC, needs=needs)
        panoptic_sets.check(data, beside, report, wants=needs, cure="fetch it", decode=None)
    except BadInputError as error:
        report.error("refused", str(error))
    return report


def test_a_sound_file_is_accepted_whatever_reads_it(folder: Path) -> None:
    for needs in (TRAIN, JUDGED, BLIND, MIXED):
        report = check(sound(), folder, needs)
        assert (report.errors, report.warnings, report.boxes) == ([], [], 6)
        assert report.labels == CLASSES
    assert (
        check(sound(), folder, heads=[("model.head", 2, 0), ("model.other", 2, None)]).errors == []
    )
    bare = {**sound(), "annotations": []}
    assert check(bare, folder, BLIND, places=[]).errors == []


def first(content: dict) -> dict:
    return content["annotations"][0]["segments_info"][1]


def set_in(key: str, value: Any) -> Callable[[dict], None]:
    return lambda content: first(content).__setitem__(key, value)


def without(key: str) -> Callable[[dict], None]:
    return lambda content: first(content).pop(key)


def isthing(index: int, value: Any) -> Callable[[dict], None]:
    return lambda content: content["categories"][index].__setitem__("isthing", value)


FAULTS: dict[str, tuple[Callable[[dict], Any], str]] = {
    "unknown category": (set_in("category_id", 5), "expected one of the file's categories (1,"),
    "text for a number": (set_in("category_id", "1"), "categories as numbers"),
    "fraction": (set_in("category_id", 1.0), "expected a whole number"),
    "no box": (without("bbox"), "expected four numbers"),
    "no area": (without("area"), "expected its number of pixels"),
    "no id": (without("id"), "got one without id"),
    "text id": (set_in("id", "300"), "an id that no pixel can have"),
    "large id": (set_in("id", 256**3), "an id that no pixel can have"),
    "odd crowd": (set_in("iscrowd", 3), "expected 0 or 1"),
    "no segments": (lambda one: one["annotations"][0].pop("segments_info"), "a list segments_info"),
    "null": (lambda one: one["annotations"][0].update(segments_info=None), "a list segments_info"),
    "no isthing": (
        lambda one: one["categories"][0].pop("isthing"),
        "things or 0 for stuff, got none",
    ),
    "text isthing": (isthing(2, "0"), "expected isthing of category 'sky'"),
    "one id, two classes": (set_in("id", IDS[0]), "expected each id once an image"),
    "order": (lambda one: one["categories"].reverse(), "the thing 'car' behind the stuff 'sky'"),
    "kinds": (isthing(1, 0), "num_things_classes: expected 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_host_fails_on_is_refused(folder: Path, name: str) -> None:
    damage, word = FAULTS[name]
    content = sound()
    damage(content)
    errors = check(content, folder).errors
    assert errors
    assert word in errors[0]
    assert ";" in errors[0], "what to do"


def test_segments_of_classes_that_are_not_wanted_are_refused_at_once(folder: Path) -> None:
    report = check(sound(), folder, wanted=("tree", "sky"), heads=[])
    assert len(report.errors) == 1
    assert "got 2 of car; add these to metainfo.classes" in report.errors[0]
    thin = sound()
    for one in thin["annotations"]:
        one["segments_info"][2]["area"] = 0  # the host passes over it before it looks at the class
    assert check(thin, folder, wanted=("tree", "sky"), heads=[]).errors == []


def test_the_evaluation_reads_more(folder: Path) -> None:
    content = sound()
    del first(content)["iscrowd"]
    assert check(content, folder).errors == []
    assert "has no iscrowd" in check(content, folder, JUDGED).errors[0]
    assert "none named boat" in check(sound(), folder, JUDGED, wanted=(*CLASSES, "boat")).errors[0]
    things = sound()
    things["categories"].pop()
    for one in things["annotations"]:
        one["segments_info"].pop(0)
    (error,) = check(things, folder, JUDGED, wanted=CLASSES[:2], heads=[]).errors[:1]
    assert "got none of stuff" in error
    things = sound()
    for one in things["annotations"]:
        one["segments_info"].pop(0)
    assert any("no segment of stuff" in one for one in check(things, folder, JUDGED).warnings)
    larger = sound()
    for one in larger["annotations"]:
        for segment in one["segments_info"]:
            segment["area"] *= 4
    assert "got another for 6 of 6" in check(larger, folder, JUDGED).errors[0]
    assert check(larger, folder).errors == []


def test_a_training_needs_a_thing_where_empty_images_are_left_out(folder: Path) -> None:
    content = sound()
    for one in content["annotations"]:
        del one["segments_info"][1:]
    assert "expected a thing, since filter_empty_gt" in check(content, folder).errors[0]
    assert not any("filter_empty_gt" in one for one in check(content, folder, Needs()).errors)


def test_pngs_are_found_as_the_host_finds_them(folder: Path) -> None:
    assert panoptic_maps.Place("s").path("a/1.jpeg") == "s/a/1.jpeg"
    content = sound()
    content["images"][0]["file_name"] = "1.JPG"
    (error,) = check(content, folder).errors
    assert "seg/1.JPG: not found" in error
    (folder / "seg" / "2.png").unlink()
    assert "seg/2.png: not found" in check(sound(), folder).errors[0]
    assert check(sound(), folder, places=[]).errors == []


def test_a_metric_looks_for_pngs_without_their_folder(folder: Path) -> None:
    own = dict(type="CocoPanopticMetric", ann_file="a", seg_prefix=str(folder / "seg"))
    content = sound()
    for one in content["images"]:
        one["file_name"] = f"val/{one['file_name']}"
    flat, deep = (
        panoptic_maps.judged_in([{**own, **more}]) for more in ({}, dict(outfile_prefix="o"))
    )
    assert check(content, folder, JUDGED, places=flat).errors == []
    assert "seg/val/1.png: not found" in check(content, folder, JUDGED, places=deep).errors[0]
    assert panoptic_maps.judged_in([{**own, "format_only": True}, dict(type="CocoMetric")]) == []


DRAWN: dict[str, tuple[np.ndarray, str, str]] = {
    "size": (pixels()[:, :9], "expected 10 x 8 pixels as its image has, got 9 x 8", ""),
    "nothing": (pixels() * 0, "got none for 6 of 6", ""),
    "grey": (pixels() // 300 + 1, "got none for 6 of 6", ""),
    "one segment": (np.where(pixels() == 7, 0, pixels()), "", "got none for 2 of 6, the first 7"),
    "one unlisted": (
        np.where(np.arange(10) == 9, 5, pixels()),
        "",
        "got none for 10.0 % of them",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_pngs_hold_the_segments_of_their_image(folder: Path, name: str) -> None:
    ids, error, warning = DRAWN[name]
    for one in (1, 2):
        draw(folder / "seg" / f"{one}.png", ids)
    report = check(sound(), folder)
    assert bool(report.errors) is bool(error)
    assert error in "".join(report.errors)
    assert warning in "".join(report.warnings)


def test_changed_channels_are_named(folder: Path) -> None:
    for one in (1, 2):
        path = folder / "seg" / f"{one}.png"
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1].copy()).save(path)
    (error,) = check(sound(), folder).errors
    assert "change red and blue" in error


def test_a_damaged_png_is_named(folder: Path) -> None:
    path = folder / "seg" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert "expected a whole PNG" in check(sound(), folder).errors[0]


def test_the_check_fails_on_no_damaged_file(folder: Path) -> None:
    whole, number, refused = sound(), 0, 0
    for path in places(whole):
        for value in [*VALUES.values(), None]:
            for remove in {False, value is None and bool(path)}:
                content = replaced(copy.deepcopy(whole), path, value, remove=remove)
                report = check(content, folder, (TRAIN, JUDGED)[number % 2])
                number, refused = number + 1, refused + bool(report.errors)
                assert all(one.isprintable() for one in [*report.errors, *report.warnings]), path
    assert number > 1000
    assert refused > number / 2


def test_a_model_that_divides_otherwise_is_named() -> None:
    model = dict(
        panoptic_head=dict(num_things_classes=80, num_stuff_classes=53),
        panoptic_fusion_head=dict(num_things_classes=2, num_stuff_classes=1),
    )
    found = panoptic.heads(model)
    said = list(panoptic.disagreements(sound(), CLASSES, found, "a.json"))
    assert [one.partition(":")[0] for one in said] == [
        "model.panoptic_head.num_things_classes",
        "model.panoptic_head.num_stuff_classes",
    ]
