"""Label maps that mmseg could not train on are named in one sentence, before a run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmext.data_checks import masks, verify

CLASSES = ("background", "cat", "dog")


def write(
    folder: Path, name: str = "a", *, values=(0, 1, 2, 255), size=(8, 6), mask_size=None
) -> None:
    """An image and its map, of which each pixel has one of the values."""
    for sub in ("images", "maps"):
        (folder / sub).mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / "images" / f"{name}.jpg")
    width, height = mask_size or size
    pixels = np.resize(np.array(values, dtype=np.uint8), (height, width))
    Image.fromarray(pixels).save(folder / "maps" / f"{name}.png")


def config(folder: Path, **more) -> dict:
    dataset = dict(
        type="mmseg.BaseSegDataset",
        data_root=str(folder),
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img_path="images", seg_map_path="maps"),
    )
    return dict(train_dataloader=dict(dataset=dataset | more), data_command="make data")


def look(cfg: dict, split: str = "train", **options) -> verify.Report:
    report, *others = verify.check(cfg, (split,), **options)
    assert not any(one.errors for one in others)
    return report


def test_sound_maps_are_counted(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "b", values=(0,))
    report = look(config(tmp_path))
    assert report.errors == report.warnings == []
    assert "2 label maps, 2 of them opened; 0 errors" in str(report)
    assert look(config(tmp_path), decode=False).decoded == 0


def test_a_map_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "maps" / "a.png").unlink()
    (error,) = look(config(tmp_path)).errors
    assert (
        error
        == f"{tmp_path}/maps/a.png: not found, expected the label map of a.jpg there; run make data"
    )


def test_an_image_that_the_list_names_must_be_there(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.txt").write_text("a\nb\n")
    (error,) = look(config(tmp_path, ann_file="train.txt")).errors
    assert error.startswith(
        f"{tmp_path}/images/b.jpg: not found, expected an image since {tmp_path}/train.txt"
    )


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    (error,) = look(config(tmp_path, img_suffix=".tif")).errors
    assert error == f"{tmp_path}/images: expected images there, got none; run make data"


def test_a_map_of_another_size_than_its_image_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, mask_size=(8, 5))
    (error,) = look(config(tmp_path)).errors
    assert "images/a.jpg: expected 8 x 5 pixels as its label map" in error
    assert "got 8 x 6; mend one of the two" in error


@pytest.mark.parametrize(
    ("values", "more", "odd"),
    [
        ((0, 1, 2, 255), {}, None),
        ((0, 3, 77), {}, "from 0 to 2 or 255 for ignored pixels, got 3, 77;"),
        # Zero is ignored and the others move down by one, so there is one number more.
        ((0, 1, 2, 3, 255), dict(reduce_zero_label=True), None),
        ((4,), dict(reduce_zero_label=True), "from 0 to 3 or 255 for ignored pixels, got 4;"),
        # Two of VOC's classes are wanted; the maps still hold all 21.
        ((0, 20), dict(type="mmseg.PascalVOCDataset", metainfo=dict(classes=("cat", "dog"))), None),
        (
            (0, 21),
            dict(type="mmseg.PascalVOCDataset", metainfo=dict(classes=("cat", "dog"))),
            "from 0 to 20 or 255 for ignored pixels, got 21;",
        ),
    ],
)
def test_values_outside_the_classes_are_errors(tmp_path: Path, values, more, odd) -> None:
    write(tmp_path, values=values)
    report = look(config(tmp_path, **more))
    assert [odd in error for error in report.errors] == ([True] if odd else []), report.errors


def test_suffixes_are_those_of_the_datasets_class(tmp_path: Path) -> None:
    write(tmp_path, values=(0, 18, 255))
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / "a_leftImg8bit.png")
    (tmp_path / "maps" / "a.png").rename(tmp_path / "maps" / "a_gtFine_labelTrainIds.png")
    report = look(config(tmp_path, type="mmseg.CityscapesDataset", metainfo={}))
    assert (report.images, report.decoded, report.errors) == (1, 1, [])


def test_a_map_in_colours_and_one_that_is_cut_off_are_errors(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "b", size=(64, 64), values=tuple(range(3)) * 7 + (0, 0, 1))
    Image.new("RGB", (8, 6)).save(tmp_path / "maps" / "a.png")
    whole = (tmp_path / "maps" / "b.png").read_bytes()
    (tmp_path / "maps" / "b.png").write_bytes(whole[: len(whole) // 2])
    colours, cut_off = look(config(tmp_path)).errors
    assert (
        "a.png: expected a label map of one channel, got 3; write class numbers, not colours"
        in colours
    )
    assert "b.png: expected a whole label map, got one that cannot be decoded" in cut_off


def test_a_palette_is_read_by_its_numbers(tmp_path: Path) -> None:
    write(tmp_path, values=(0, 2))
    mask = Image.open(tmp_path / "maps" / "a.png")
    mask.putpalette([200, 100, 50] * 256)
    mask.save(tmp_path / "maps" / "a.png")
    assert Image.open(tmp_path / "maps" / "a.png").mode == "P"
    assert look(config(tmp_path)).errors == []


def test_heads_must_tell_as_many_classes_apart_as_the_data_has(tmp_path: Path) -> None:
    write(tmp_path)
    cfg = config(tmp_path) | dict(
        model=dict(decode_head=dict(num_classes=3), auxiliary_head=[dict(num_classes=2)])
    )
    (error,) = [error for report in verify.check(cfg, ("train",)) for error in report.errors]
    assert error.startswith("model.auxiliary_head[0].num_classes: expected 3")
    assert error.endswith("got 2; set it to 3")


def test_a_dataset_with_a_layout_of_its_own_is_not_checked_and_this_is_said(tmp_path: Path) -> None:
    from mmseg.datasets import BaseSegDataset

    class Odd(BaseSegDataset):
        def load_data_list(self):
            return []

    write(tmp_path)
    report = look(config(tmp_path, type=Odd))
    assert report.errors == []
    (warning,) = report.warnings
    assert (
        "Odd lists its samples in its own way, so only the presence of files and folders" in warning
    )


def errors_of(folder: Path, split: str = "train", **more) -> list[str]:
    return look({f"{split}_dataloader": config(folder, **more)["train_dataloader"]}, split).errors


def test_maps_in_black_and_white_are_refused_with_the_cure(tmp_path: Path) -> None:
    """They train to an accuracy of 100: each pixel is the background or is ignored."""
    write(tmp_path, values=(0, 255))
    write(tmp_path, "b", values=(0,))
    for split in ("train", "val"):
        (error,) = errors_of(tmp_path, split)
        assert "got only class 0 and ignored pixels (255); write 1 instead of 255" in error
    write(tmp_path, "c", values=(0, 2, 255))
    report = look(config(tmp_path))
    assert report.errors == []
    assert "cat: no pixel of this class in the train split" in report.warnings[0]


def test_of_very_many_maps_a_sample_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "DECODE_UP_TO", 5)
    monkeypatch.setattr(masks, "SAMPLE", 3)
    for name in "abcdefghi":
        write(tmp_path, name, values=(0, 255))
    report = look(config(tmp_path))
    assert report.decoded == 3
    assert "write 1 instead of 255" in report.errors[0]
    assert look(config(tmp_path), decode=True).decoded == 9


def test_maps_are_read_as_the_pipeline_reads_them(tmp_path: Path) -> None:
    """OpenCV makes colours of a palette, Pillow keeps its numbers."""
    write(tmp_path, values=(0, 2))
    mask = Image.open(tmp_path / "maps" / "a.png")
    mask.putpalette([200, 100, 50, 1, 2, 3, 9, 8, 7])
    mask.save(tmp_path / "maps" / "a.png")
    steps = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", imdecode_backend="cv2")]
    assert "one channel, got 3" in errors_of(tmp_path, pipeline=steps)[0]
    steps[1]["imdecode_backend"] = "pillow"
    assert errors_of(tmp_path, pipeline=steps) == []


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_values_that_eight_bits_cannot_hold_are_refused(tmp_path: Path, dtype: type) -> None:
    write(tmp_path)
    for values, number in (((0, 1, 2), 0), ((0, 1, 258), 1)):
        pixels = np.resize(np.array(values, dtype=dtype), (6, 8))
        Image.fromarray(pixels).save(tmp_path / "maps" / "a.tif")
        found = errors_of(tmp_path, seg_map_suffix=".tif")
        assert ["eight bits" in error for error in found] == [True] * number


def test_a_map_of_one_bit_holds_two_classes(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(np.eye(8, dtype=bool)[:6]).save(tmp_path / "maps" / "a.png")
    assert errors_of(tmp_path) == []


def test_a_test_without_maps_is_fine_if_nothing_compares_with_them(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "maps" / "a.png").unlink()
    (tmp_path / "maps").rmdir()
    steps = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    cfg = dict(test_dataloader=config(tmp_path, pipeline=steps)["train_dataloader"])
    cfg["test_evaluator"] = dict(type="IoUMetric", format_only=True, output_dir="out")
    report = look(cfg, "test")
    assert (report.images, report.errors) == (1, [])
    cfg["test_evaluator"] = dict(type="IoUMetric")
    assert "maps: not found" in look(cfg, "test").errors[0]
    (tmp_path / "maps").mkdir()
    assert "expected LoadAnnotations in the pipeline, got none" in look(cfg, "test").errors[0]


def test_data_set_and_loader_agree_on_whether_zero_is_ignored(tmp_path: Path) -> None:
    write(tmp_path)
    steps = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", reduce_zero_label=True)]
    assert (
        "expected reduce_zero_label=False in LoadAnnotations"
        in errors_of(tmp_path, pipeline=steps)[0]
    )
    assert errors_of(tmp_path, pipeline=steps, reduce_zero_label=True) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"\xef\xbb\xbfa\n", "byte order mark"),
        ("\u00e4\n".encode("latin-1"), "expected a text in UTF-8, got other bytes"),
        (b"a\n\n", "maps/.png: not found"),
    ],
)
def test_a_list_is_read_as_the_host_reads_it(tmp_path: Path, text: bytes, word: str) -> None:
    write(tmp_path)
    (tmp_path / "train.txt").write_bytes(text)
    found = " ".join(errors_of(tmp_path, ann_file="train.txt"))
    assert word in found or word.replace("maps/.png", "images/.jpg") in found


def test_a_turned_image_is_not_of_the_size_of_its_map(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "images" / "a.jpg"
    for tag, error, warning in ((6, True, False), (3, False, True), (1, False, False)):
        exif = Image.Exif()
        exif[0x0112] = tag
        Image.new("RGB", (8, 6)).save(path, exif=exif)
        report = look(config(tmp_path))
        assert bool(report.errors) == error, tag
        assert any("EXIF" in one for one in report.warnings) == warning, tag
