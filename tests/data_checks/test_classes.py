"""Folders, lists, idx and label files that no classifier could learn from are named in time."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from mmext.data_checks import verify
from tests.classification.stack.files import idx, random_idx, write_folders

THREE = ("a", "b", "c")


def config(dataset: dict, *, classes: int = 3, split: str = "train", **more) -> dict:
    return {
        "default_scope": "mmengine",
        "model": dict(type="mmext.ImageClassifier", head=dict(num_classes=classes)),
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


def folders(root: Path, **more) -> dict:
    prefix = dict(img_path="train")
    return dict(type="mmext.FolderClsDataset", data_root=str(root), data_prefix=prefix, **more)


def test_sound_folders_are_counted(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", dict(a=2, b=1, c=1))
    report = look(config(folders(tmp_path)))
    assert report.errors == report.warnings == []
    assert f"{tmp_path}/train: 4 pictures, 4 of them opened; 0 errors" in str(report)
    assert report.labels == THREE
    assert look(config(folders(tmp_path)), decode=False).decoded == 0


FOLDERS = {
    "no folder of the data": (None, "train: not found, expected the train split's img_path there"),
    "no class": ({}, "train: expected one folder a class, got none"),
    "an empty class": (dict(a=1, b=0, c=1), "train/b: expected pictures of this class"),
    "another number of classes": (
        dict(a=1, b=1),
        "model.head.num_classes: expected 2, the number of classes of .*train, got 3; set it to 2",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_bad_folders(tmp_path: Path, case: str) -> None:
    classes, sentence = FOLDERS[case]
    if classes is not None:
        (tmp_path / "train").mkdir()
        write_folders(tmp_path / "train", classes)
    (error,) = look(config(folders(tmp_path))).errors
    assert re.search(sentence, error), error


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", dict(a=1, b=1, c=1))
    file = tmp_path / "train" / "b" / "00.png"
    file.write_bytes(file.read_bytes()[:50])
    (error,) = look(config(folders(tmp_path))).errors
    assert error.startswith(f"{file}: expected a whole image")


LISTS = {
    "sound": ("a/00.png 0\nb/00.png,1\n", {}, None),
    "a name that does not exist": (
        "a/00.png 0\nb/77.png 1\n",
        {},
        "b/77.png: not found, expected a picture since .*list lists it; run make data",
    ),
    "no labels": (
        "a/00.png\nb/00.png\n",
        {},
        "expected a label for each picture of the train .* 2",
    ),
    "a label outside the head": (
        "a/00.png 0\nb/00.png 3\n",
        {},
        "labels from 0 to 2, since the head has 3 classes, got 3",
    ),
    "a label outside the classes": (
        "a/00.png 0\nb/00.png 3\n",
        dict(metainfo=dict(classes=THREE)),
        "list:2: expected labels from 0 to 2, got 3",
    ),
    "other classes than the head": (
        "a/00.png 0\nb/00.png 1\n",
        dict(metainfo=dict(classes=("a", "b"))),
        "model.head.num_classes: expected 2, the number of classes of the train split, got 3",
    ),
    "numbers alone": ("490\n361\n", {}, "numbers alone, as in ImageNet's devkit"),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists(tmp_path: Path, case: str) -> None:
    lines, more, sentence = LISTS[case]
    write_folders(tmp_path / "train", dict(a=1, b=1))
    (tmp_path / "list").write_text(lines)
    report = look(config(folders(tmp_path, ann_file="list", **more)))
    if sentence is None:
        assert report.errors == []
        assert report.images == report.decoded == 2
    else:
        (error,) = report.errors
        assert re.search(sentence, error), error


def test_a_test_that_compares_nothing_needs_no_labels(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", dict(a=1))
    (tmp_path / "list").write_text("a/00.png\n")
    cfg = config(
        folders(tmp_path, ann_file="list"), split="test", test_evaluator=dict(type="DumpResults")
    )
    assert look(cfg, "test").errors == []


def test_labels_count_from_one(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", dict(a=1))
    (tmp_path / "list").write_text("".join(f"a/00.png {one}\n" for one in (1, 2, 3)))
    (error,) = look(config(folders(tmp_path, ann_file="list"))).errors
    assert "got 3" in error


IDX = {
    "sound": (None, None, None),
    "cut off": ("images.gz", gzip.compress(idx(np.zeros((6, 5, 5))))[:-9], "cannot be unpacked"),
    "of another kind": ("images.gz", b"GIF89a", "got another kind of file"),
    "labels of another split": ("labels", idx(np.zeros(5)), "a label for each of the 6 pictures"),
    "a label outside": ("labels", idx(np.full(6, 3)), "expected labels from 0 to 2"),
}


@pytest.mark.parametrize("case", IDX)
def test_idx_files(tmp_path: Path, case: str) -> None:
    name, content, sentence = IDX[case]
    dataset = dict(type="mmext.IdxClsDataset", **random_idx(tmp_path))
    if name:
        (tmp_path / name).write_bytes(content)
    report = look(config(dataset))
    assert bool(report.errors) == bool(sentence)
    assert report.images == 6 or sentence
    for error in report.errors:
        assert re.search(sentence, error), error


def test_digits(tmp_path: Path, digits: Path) -> None:
    dataset = dict(type="mmext.DigitsDataset", ann_file=str(digits))
    report = look(config(dataset, classes=10))
    assert report.errors == report.warnings == []
    assert report.images == 1797
    (error,) = look(config(dataset, classes=9)).errors
    assert "model.head.num_classes: expected 10" in error


def test_a_class_without_a_picture_is_warned_of(tmp_path: Path) -> None:
    dataset = dict(type="mmext.IdxClsDataset", metainfo=dict(classes=(*THREE, "d")))
    (warning,) = look(config(dataset | random_idx(tmp_path), classes=4)).warnings
    assert "d: no picture of this class in the train split" in warning


def test_folders_of_other_splits_must_number_classes_alike(tmp_path: Path) -> None:
    write_folders(tmp_path / "train", dict(a=1, b=1, c=1))
    write_folders(tmp_path / "val", dict(a=1, c=1, d=1))
    cfg = config(folders(tmp_path))
    cfg["val_dataloader"] = dict(dataset=folders(tmp_path, test_mode=True))
    cfg["val_dataloader"]["dataset"]["data_prefix"] = dict(img_path="val")
    errors = [error for report in verify.check(cfg, ("train", "val")) for error in report.errors]
    assert len(errors) == 1
    assert "label 1 is b by" in errors[0]


def test_a_missing_list_of_samples_to_keep_is_named(tmp_path: Path) -> None:
    inner = dict(type="mmext.IdxClsDataset", **random_idx(tmp_path))
    cfg = config(dict(type="mmext.FilteredDataset", keep=str(tmp_path / "k.txt"), dataset=inner))
    (error,) = look(cfg).errors
    assert error.startswith(f"{tmp_path}/k.txt: not found, expected the list of samples that train")
    (tmp_path / "k.txt").write_text("1\n")
    assert look(cfg).errors == []


REAL = {
    "no file": (None, {}, 6, "not found, expected ReaL's labels there"),
    "a class too many": ([[0], [6]], {}, 6, "expected labels from 0 to 5 for picture 1"),
    "another number of classes": ([[0], [5]], {}, 3, "num_classes: expected 6, the classes of"),
    "the labels of its classes": ([[0], [5]], dict(class_indices=[5, 0, 1]), 3, None),
}


@pytest.mark.parametrize("case", REAL)
def test_files_of_several_labels(tmp_path: Path, case: str) -> None:
    lists, more, classes, sentence = REAL[case]
    file = tmp_path / "real.json"
    if lists is not None:
        file.write_text(json.dumps(lists))
    metric = dict(type="mmext.ReaLAccuracy", labels=str(file), num_classes=6, **more)
    names = tuple("abcdef"[:classes])
    dataset = dict(type="mmext.IdxClsDataset", metainfo=dict(classes=names), **random_idx(tmp_path))
    cfg = config(dataset, classes=classes, split="val", val_evaluator=[metric])
    found = [error for report in verify.check(cfg, ("val",)) for error in report.errors]
    assert len(found) == bool(sentence), found
    assert not sentence or re.search(sentence, found[0]), found
