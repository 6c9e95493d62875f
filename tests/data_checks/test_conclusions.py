"""What counts mean, without a data set: pure functions from numbers to sentences."""

from collections import Counter

import pytest

from mmext.data_checks import conclusions, objects, report
from mmext.data_checks.needs import Needs
from mmext.data_checks.objects import Objects
from mmext.data_checks.report import Report


def found(used: int = 0, **left_out: int) -> Objects:
    reasons = Counter({getattr(objects, name): number for name, number in left_out.items()})
    return Objects(
        images=3, annotations=used + reasons.total(), used=Counter(tree=used), left_out=reasons
    )


@pytest.mark.parametrize("reason", sorted(conclusions.CURES))
def test_the_largest_reason_is_named_with_its_cure(reason: str) -> None:
    other = objects.CROWD if reason != objects.CROWD else objects.SMALL
    counts = Objects(images=1, annotations=8, left_out=Counter({other: 3, reason: 5}))
    said = conclusions.nothing_to_detect(counts, split="train")
    assert f"none of 8; most are left out (5: {reason})" in said
    assert said.endswith(conclusions.CURES[reason])


def test_every_reason_has_a_cure() -> None:
    """A reason that somebody adds without saying what to do would end in a KeyError."""
    constants = {
        value for name, value in vars(objects).items() if name.isupper() and isinstance(value, str)
    }
    assert constants - {objects.USED} == set(conclusions.CURES)


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        (Objects(), "an empty list of images"),
        (Objects(images=2), "an empty list of annotations"),
        (found(used=1, CROWD=9), ""),
        (found(used=1), ""),
        (found(used=2, PARTS=1), ""),
        (
            found(used=1, PARTS=9),
            "got 1 of 10; most are left out (9: box between 0 and 1): multiply",
        ),
    ],
)
def test_a_split_with_objects_is_fine(counts: Objects, word: str) -> None:
    said = conclusions.nothing_to_detect(counts, split="val")
    assert word in said
    assert bool(said) == bool(word)


def coco(**change: object) -> dict:
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 40, 30], area=1200, iscrowd=0)
    image = dict(id=1, file_name="1.png", width=64, height=48)
    return dict(
        images=[image], categories=[dict(id=1, name="tree")], annotations=[{**annotation, **change}]
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (dict(image_id="1"), objects.TEXT_IMAGE),
        (dict(image_id=7), objects.NO_IMAGE),
        (dict(category_id="1"), objects.TEXT_CLASS),
        (dict(category_id=7), objects.NO_CLASS),
        (dict(ignore=True), objects.IGNORED),
        (dict(bbox=[0.1, 0.2, 0.5, 0.4]), objects.PARTS),
        (dict(area=0), objects.NO_AREA),
        (dict(bbox=[10, 10, 0.5, 5]), objects.SMALL),
        (dict(iscrowd=1), objects.CROWD),
        (dict(segmentation=[[1, 1, 2, 2]]), objects.NO_OUTLINE),
        ({}, objects.FILTERED),
    ],
)
def test_each_reason_is_recognised_in_a_file(change: dict, reason: str) -> None:
    needs = Needs(masks="segmentation" in change, least_side=0 if change else 64)
    counts = objects.count_objects(coco(**change), ("tree",), needs, Report("train", "a.json"))
    assert counts.left_out == {reason: 1}
    assert counts.used.total() == 0
    assert reason in conclusions.nothing_to_detect(counts, split="train")


def test_an_unwanted_class_is_another_reason_than_none() -> None:
    counts = objects.count_objects(coco(), ("car",), Needs(), Report("train", "a.json"))
    assert counts.left_out == {objects.UNWANTED: 1}


@pytest.mark.parametrize(
    ("pixels", "options", "word"),
    [
        ({0: 9, 1: 3}, {}, ""),
        ({0: 9, 255: 3}, {}, "write 1 instead of 255"),
        ({0: 9, 255: 3}, dict(split="val"), "write 1 instead of 255"),
        ({255: 3}, {}, "only ignored ones (255); write 1 instead of 255"),
        ({0: 9}, {}, "got only class 0; write a number for each class"),
        ({0: 9}, dict(split="val"), ""),  # a few crops of the background are no fault of a test
        ({2: 9}, {}, "got only class 2"),
        ({2: 9, 255: 1}, dict(split="val"), "got only class 2"),
        ({0: 9, 255: 3}, dict(zero=True), "only ignored ones (0 and 255); write 1 instead"),
        ({0: 9}, dict(zero=True), "set reduce_zero_label=False"),
        ({1: 9, 2: 1, 255: 3}, dict(zero=True), ""),
        ({0: 9, 255: 3}, dict(classes=1), ""),
        ({}, {}, ""),
    ],
)
def test_maps_must_tell_something_apart(pixels: dict, options: dict, word: str) -> None:
    said = conclusions.nothing_to_segment(
        pixels,
        classes=options.get("classes", 3),
        ignored=[255],
        zero_is_ignored=options.get("zero", False),
        split=options.get("split", "train"),
    )
    assert word in said
    assert bool(said) == bool(word)


def test_classes_without_a_sample_are_named() -> None:
    say = conclusions.without_object
    assert say({"a": 1, "b": 2}, "ab", split="train", what="object") == ""
    assert say({}, "ab", split="train", what="object") == "", "an error says that nothing is there"
    assert say({"a": 1}, "abc", split="val", what="pixel").startswith(
        "b, c: no pixel of these 2 classes"
    )


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (dict(a="xyz", b="xyz"), ""),
        (dict(a="xyz", b="xz"), "label 1 is y by a and z by b"),
        (dict(a="xyz", b="xy"), "label 2 is z by a and no class by b"),
        (dict(a="xy", b="xyz"), ""),  # what was not learned is not predicted
        (dict(a="x"), ""),
        ({}, ""),
    ],
)
def test_labels_mean_the_same_class_in_each_file(files: dict, word: str) -> None:
    said = conclusions.disagreeing_labels(files)
    assert word in said
    assert bool(said) == bool(word)


def test_a_value_of_any_kind_can_be_shown() -> None:
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert report.shown(nested) == "a list that cannot be printed"
    assert report.shown(10**5000) == "a int that cannot be printed"
    assert report.printable("a\ud800\x00") == "a\\ud800\\x00"


def test_a_report_is_the_same_after_json() -> None:
    import json

    one = Report("train", "a.json", images=3, labels=("a", "b"), folders=("x",))
    one.dropped["crowd"] += 2
    one.error("kind", "b\n")
    one.warn("w")
    again = Report.from_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    again.dropped["crowd"] += 1
