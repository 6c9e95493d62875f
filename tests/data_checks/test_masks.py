"""Label maps that mmseg could not train on are named in one sentence, before a run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmext.data_checks import verify

CLASSES = ("background", "cat", "dog")


def write(folder: Path, name: str = "a", *, values=(0, 1, 2, 255), size=(8, 6), mask_size=None) -> None:
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


def look(cfg: dict, **options) -> verify.Report:
    (report,) = verify.check(cfg, ("train",), **options)
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
    assert error == f"{tmp_path}/maps/a.png: not found, expected the label map of a.jpg there; run make data"


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
    assert "a.png: expected a label map of one channel, got 3; write class numbers, not colours" in colours
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
    (error,) = look(cfg).errors
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
    assert report.warnings == ["Odd lists its files in its own way, so they were not checked"]
