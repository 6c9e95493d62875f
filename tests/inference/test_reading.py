"""Pixels as they look, whatever bits a host reads; broken files are named."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from mmext.errors import BadInputError
from mmext.inference.outputs import save_facts, save_picture
from mmext.inference.reading import Preparation, looks, read_picture

GREY = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    "pixels",
    [
        GREY,
        GREY[..., None],
        GREY.astype(np.uint16) * 257,
        GREY.astype(np.float32),
        GREY.astype(np.float32) / 255,
        GREY.astype(np.float64) * 40,
        np.stack([GREY] * 3, -1),
        np.stack([GREY] * 4, -1).astype(np.uint16) * 257,
    ],
)
def test_all_bits_and_channels_look_alike(pixels: np.ndarray) -> None:
    found = looks(pixels)
    assert (found.dtype, found.shape) == (np.uint8, (16, 16, 3))
    assert np.abs(found.astype(int) - GREY[..., None]).max() <= 1


def test_colours_come_as_rgb() -> None:
    assert looks(np.full((1, 1, 3), (10, 20, 30), np.uint8)).tolist() == [[[30, 20, 10]]]
    assert looks(np.full((1, 1, 3), np.nan, np.float32)).tolist() == [[[0, 0, 0]]]


def preparation(**reader: object) -> Preparation:
    init_default_scope("mmdet")
    steps = [
        dict(type="LoadImageFromFile", **reader),
        dict(type="LoadAnnotations"),
        dict(type="PackDetInputs"),
    ]
    return Preparation(steps, "config.py")


def test_the_config_s_reader_decides(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), (200, 0, 0)).save(tmp_path / "a.png", exif=exif)
    for reader, size in (
        ({}, (40, 20)),
        (dict(color_type="color_ignore_orientation"), (20, 40)),
        (dict(imdecode_backend="pillow"), (40, 20)),
    ):
        picture, data = preparation(**reader).of_file(tmp_path / "a.png")
        assert picture.shape[:2] == size
        assert data["inputs"].shape[1:] == size
        assert picture[0, 0].tolist() == [200, 0, 0]
        assert data["inputs"][:, 0, 0].tolist() == [0, 0, 200]  # BGR, as the host's models take it


def test_a_frame_goes_the_way_of_a_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for reader in ({}, dict(to_float32=True)):
        ready = preparation(**reader)
        (seen, by_file), (frame, by_frame) = (
            ready.of_file(tmp_path / "a.png"),
            ready.of_frame(pixels),
        )
        np.testing.assert_array_equal(seen, frame)
        assert by_file["inputs"].dtype == by_frame["inputs"].dtype
        assert by_file["inputs"].equal(by_frame["inputs"])


def test_a_pipeline_without_a_reader_is_named() -> None:
    with pytest.raises(
        BadInputError, match=r"config\.py: expected a test pipeline that reads a picture.*Pack"
    ):
        Preparation([dict(type="PackDetInputs")], "config.py")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("rest", [0, 30, 0.6])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, kind: str, rest: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    file = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(pixels).save(file, format=kind)
    content = file.read_bytes()
    file.write_bytes(content[: int(rest * len(content)) if rest < 1 else int(rest)])
    for read in (read_picture, preparation().of_file):
        with pytest.raises(BadInputError, match=r"a\.\w+: expected a .*; (copy|convert) it"):
            read(file)


def test_drawings_are_written_under_any_name(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    for name, written in (
        ("a.JPG", "a.JPG"),
        ("a.tif", "a.tif"),
        ("a.unknown", "a.unknown.png"),
        ("a", "a.png"),
    ):
        out = save_picture(picture, tmp_path / name)
        assert out == tmp_path / written
        assert Image.open(out).size == (4, 4)
        assert save_facts({"class": "дуб"}, out).read_text(encoding="utf-8").count("дуб") == 1
