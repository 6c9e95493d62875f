"""Files like Pascal VOC's: what mmdet fails on is refused, the rest counted as it counts."""

from pathlib import Path

import pytest
from PIL import Image

import mmext  # noqa: F401  repairs the hosts
from mmext.data_checks import verify

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{left}</xmin><ymin>5</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object>"
)
SIZE = "<size><width>64</width><height>48</height><depth>3</depth></size>"


def thing(name: str = "cat", difficult: object = 0, left: object = 1) -> str:
    return OBJECT.format(name=name, difficult=difficult, left=left)


def config(folder: Path, *files: str, size: tuple[int, int] = (64, 48)) -> dict:
    """A data set with these files."""
    for name in ("JPEGImages", "Annotations"):
        (folder / "VOC2007" / name).mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(files):
        Image.new("RGB", size).save(folder / "VOC2007" / "JPEGImages" / f"{index}.jpg")
        (folder / "VOC2007" / "Annotations" / f"{index}.xml").write_text(content)
    (folder / "train.txt").write_text("".join(f"{index}\n" for index in range(len(files))))
    return dict(
        type="mmdet.VOCDataset",
        data_root=str(folder),
        ann_file="train.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        metainfo=dict(classes=("cat", "dog")),
    )


def look(folder: Path, *files: str, **more: object) -> verify.Report:
    cfg = dict(train_dataloader=dict(dataset=config(folder, *files, **more)))
    return next(one for one in verify.check(cfg, ("train",)) if one.images or one.errors)


def test_objects_are_counted_as_mmdet_counts_them(tmp_path: Path) -> None:
    from mmdet.datasets import VOCDataset

    files = (
        f"<annotation>{SIZE}{thing()}{thing('dog')}{thing('cow')}</annotation>",
        f"<annotation>{thing(difficult=1)}{thing(left=2.7)}</annotation>",
    )
    report = look(tmp_path, *files)
    assert (report.errors, report.images, report.decoded, report.boxes) == ([], 2, 2, 3)
    own = config(tmp_path, *files)
    del own["type"]
    instances = [one for sample in VOCDataset(**own, pipeline=[]) for one in sample["instances"]]
    assert sum(not one["ignore_flag"] for one in instances) == report.boxes


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "expected objects in XML"),
        ("<annotation>", "expected objects in XML"),
        (f"<annotation>{SIZE}<object><name>cat</name></object></annotation>", "without bndbox"),
        (f"<annotation>{SIZE}<object></object></annotation>", "without name"),
        (f"<annotation>{SIZE}{thing(left='x')}</annotation>", "could not convert"),
        (f"<annotation>{SIZE}{thing(left='nan')}</annotation>", "expected objects in XML"),
        (f"<annotation>{SIZE}{thing(left='1e400')}</annotation>", "expected objects in XML"),
        (f"<annotation>{SIZE}{thing(difficult='')}</annotation>", "expected objects in XML"),
        (
            f"<annotation>{SIZE.replace('64', 'wide')}{thing()}</annotation>",
            "expected objects in XML",
        ),
        (f"<annotation>{SIZE}{thing(left=40)}</annotation>", "a box of cat is empty"),
        (
            f"<annotation>{SIZE}{thing('cow')}</annotation>",
            "of a class that the config does not want",
        ),
        (f"<annotation>{SIZE}{thing(difficult=1)}</annotation>", "marked difficult"),
        (f"<annotation>{SIZE}</annotation>", "an empty list of annotations"),
        (
            f"<annotation>{SIZE.replace('64', '65')}{thing()}</annotation>",
            "expected 65 x 48 pixels",
        ),
    ],
)
def test_what_leaves_nothing_to_learn_is_refused(tmp_path: Path, content: str, word: str) -> None:
    (error,) = look(tmp_path, content).errors
    assert word in error


def whole(*inside: str) -> str:
    return f"<annotation>{SIZE}{''.join(inside)}</annotation>"


@pytest.mark.parametrize(
    ("content", "filters", "word"),
    [
        (f"<annotation>{thing(left=40)}</annotation>", {}, "a box of cat is empty"),
        (whole(thing()).replace("64", "0"), {}, "a size of 0 x 48 pixels"),
        (whole(thing("Cat")), {}, "the files have 'Cat'"),
        (whole(thing()), dict(bbox_min_size=32), "lower bbox_min_size"),
        (whole(thing()), dict(min_size=49), "lower min_size"),
        (whole(thing()).replace("30", "70"), {}, "reaches outside the image"),
    ],
)
def test_what_a_file_leaves_open_is_asked_elsewhere(
    tmp_path: Path, content: str, filters: dict, word: str
) -> None:
    own = config(tmp_path, content) | dict(filter_cfg=filters)
    (error,) = verify.check(dict(train_dataloader=dict(dataset=own)), ("train",))[0].errors
    assert word in error


@pytest.mark.parametrize(
    ("lines", "errors", "warnings"),
    [
        ("0\n", [], []),
        ("0.jpg\n", ["write names without their ending"], []),
        ("0\n\n", ["remove the empty line"], []),
        ("0\n0\n", [], ["'0' twice"]),
        ("", ["an empty list of images"], []),
    ],
)
def test_lists_hold_each_name_once_without_ending(
    tmp_path: Path, lines: str, errors: list[str], warnings: list[str]
) -> None:
    own = config(tmp_path, whole(thing(), thing("dog")))
    (tmp_path / "train.txt").write_text(lines)
    reports = verify.check(dict(train_dataloader=dict(dataset=own)), ("train",))
    said = ["errors", "warnings"]
    found = [[one for rep in reports for one in getattr(rep, kind)] for kind in said]
    for sentences, words in zip(found, (errors, warnings), strict=True):
        assert len(sentences) == len(words)
        assert all(word in one for word, one in zip(words, sentences, strict=True))


def test_names_written_otherwise_are_a_warning(tmp_path: Path) -> None:
    report = look(tmp_path, whole(thing(), thing("dog"), thing("dogs")))
    assert report.errors == []
    assert "'dogs' (did you mean 'dog'?)" in report.warnings[0]


@pytest.mark.parametrize("classes", ["cat", ()])
def test_classes_are_a_tuple(tmp_path: Path, classes: object) -> None:
    own = config(tmp_path, whole(thing())) | dict(
        type="mmdet.XMLDataset", metainfo=dict(classes=classes)
    )
    (error,) = verify.check(dict(train_dataloader=dict(dataset=own)), ("train",))[0].errors
    assert "expected a tuple of names" in error


def test_a_test_with_a_filter_of_boxes_fails_in_the_host(tmp_path: Path) -> None:
    own = config(tmp_path, whole(thing())) | dict(filter_cfg=dict(bbox_min_size=8), test_mode=True)
    (error,) = verify.check(dict(val_dataloader=dict(dataset=own)), ("val",))[0].errors
    assert "expected no bbox_min_size" in error


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    cfg = dict(
        train_dataloader=dict(
            dataset=config(tmp_path, *[f"<annotation>{SIZE}{thing()}</annotation>"] * 2)
        )
    )
    (tmp_path / "VOC2007" / "Annotations" / "0.xml").unlink()
    (tmp_path / "VOC2007" / "JPEGImages" / "1.jpg").unlink()
    errors = verify.check(cfg, ("train",))[0].errors
    assert [error.partition(":")[0].rpartition("/")[2] for error in errors] == ["0.xml", "1.jpg"]
