"""A picture is judged as the host reads it: its decoder, its turns, its bits."""

import io
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmext.data_checks import coco, pictures
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report

READERS = [
    Reader(backend, flag)
    for backend in ("cv2", "pillow")
    for flag in ("color", "grayscale", "unchanged", "color_ignore_orientation")
]


def write(
    path: Path, tag: int | None = None, size: tuple[int, int] = (40, 24), **options: object
) -> Path:
    """A picture of noise, with an EXIF tag."""
    picture = Image.effect_noise(size, 40).convert("RGB")
    exif = picture.getexif()
    if tag is not None:
        exif[pictures.EXIF_TURN] = tag
    picture.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("reader", READERS, ids=str)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_size_is_the_hosts_for_every_tag_and_reader(
    tmp_path: Path, suffix: str, reader: Reader
) -> None:
    for tag in (None, *range(1, 9)):
        path = write(tmp_path / f"{tag}.{suffix}", tag)
        theirs = mmcv.imfrombytes(path.read_bytes(), flag=reader.flag, backend=reader.backend)
        seen = pictures.look(path, reader)
        assert (seen.trouble, seen.size) == ("", theirs.shape[1::-1]), (tag, seen)
        assert seen.tag == (tag or 1)


def found(
    folder: Path,
    name: str,
    size: tuple[int, int],
    reader: Reader | None = Reader(),  # noqa: B008
) -> Report:
    """What is said of one picture with a size in its annotations."""
    report = Report("train", "a.json")
    image = dict(id=1, file_name=name, width=size[0], height=size[1])
    coco.check_images(dict(images=[image]), str(folder), report, cure="fetch it", reader=reader)
    return report


@pytest.mark.parametrize("tag", [2, 3, 4, 5, 6, 7, 8])
def test_boxes_beside_a_turned_picture_are_told(tmp_path: Path, tag: int) -> None:
    write(tmp_path / "a.jpg", tag)
    stored, turned = found(tmp_path, "a.jpg", (40, 24)), found(tmp_path, "a.jpg", (24, 40))
    unturned = found(tmp_path, "a.jpg", (40, 24), Reader("cv2", "unchanged"))
    assert (unturned.errors, unturned.warnings) == ([], [])
    if tag in pictures.SIDEWAYS:
        assert f"since the host turns it by its EXIF tag ({tag})" in stored.errors[0]
        assert (turned.errors, turned.warnings) == ([], []), "whoever wrote this size saw it turned"
    else:
        assert stored.errors == []
        assert "1 images have an EXIF tag" in stored.warnings[0]


def test_a_square_picture_does_not_tell_how_it_was_seen(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", 6, size=(32, 32))
    assert "EXIF tag" in found(tmp_path, "a.jpg", (32, 32)).warnings[0]
    write(tmp_path / "b.jpg", 1, size=(32, 32))
    assert found(tmp_path, "b.jpg", (32, 32)).warnings == []


def test_what_only_one_decoder_reads_is_judged_by_that_of_the_pipeline(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((24, 40, 3)).astype(np.float32)
    (tmp_path / "floats.hdr").write_bytes(cv2.imencode(".hdr", pixels)[1].tobytes())
    Image.effect_noise((40, 24), 40).convert("P").save(tmp_path / "old.pcx")
    for name, backend in (("floats.hdr", "cv2"), ("old.pcx", "pillow")):
        other = {"cv2": "pillow", "pillow": "cv2"}[backend]
        assert found(tmp_path, name, (40, 24), Reader(backend)).errors == []
        assert len(found(tmp_path, name, (40, 24), Reader(other)).errors) == 1


def test_sixteen_bits_are_fine_by_opencv_and_white_by_pillow(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (24, 40), dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert found(tmp_path, "a.png", (40, 24)).errors == []
    assert found(tmp_path, "a.png", (40, 24), Reader("pillow", "unchanged")).errors == []
    (error,) = found(tmp_path, "a.png", (40, 24), Reader("pillow")).errors
    assert "turns more of them white; load it with cv2" in error
    assert mmcv.imread(str(tmp_path / "a.png"), backend="pillow").mean() > 250, "as it does"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_a_picture_that_is_cut_off_is_found_in_every_format(tmp_path: Path, suffix: str) -> None:
    whole = write(tmp_path / f"whole.{suffix}").read_bytes()
    for share in (0.95, 0.5, 0.02, 0):
        (tmp_path / f"cut.{suffix}").write_bytes(whole[: int(share * len(whole))])
        assert len(found(tmp_path, f"cut.{suffix}", (40, 24)).errors) == 1, share


def test_files_that_are_no_pictures_have_their_sentence(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    (tmp_path / "folder.jpg").mkdir()
    assert "cannot be decoded" in found(tmp_path, "page.jpg", (4, 4)).errors[0]
    assert "not found" in found(tmp_path, "folder.jpg", (4, 4)).errors[0]
    assert "not found" in found(tmp_path, "x" * 300, (4, 4)).errors[0]
    assert len(found(tmp_path, "half \ud800.jpg", (4, 4)).errors) == 1


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], Reader()),
        ([dict(type="LoadImageFromFile")], Reader()),
        ([dict(type="mmcv.LoadImageFromFile", imdecode_backend="pillow")], Reader("pillow")),
        (
            [
                dict(
                    type="RandomChoice",
                    transforms=[[dict(type="LoadImageFromFile", color_type="unchanged")]],
                )
            ],
            Reader("cv2", "unchanged"),
        ),
        # a wrapper around this data set loads the picture
        ([dict(type="LoadAnnotations")], Reader()),
        ([dict(type="LoadMultiChannelImageFromFiles")], None),
        ([dict(type="Somebodys")], None),
    ],
)
def test_the_reader_is_the_pipelines(steps: list, expected: Reader | None) -> None:
    assert pictures.image_reader(steps) == expected


def test_pictures_of_an_unknown_loader_are_looked_for_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    report = found(tmp_path, "a.npy", (4, 4), reader=None)
    assert (report.errors, report.decoded) == ([], 0)
    assert len(found(tmp_path, "b.npy", (4, 4), reader=None).errors) == 1


def test_pillows_limit_on_size_is_lifted_and_put_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write(tmp_path / "a.png")
    assert found(tmp_path, "a.png", (40, 24)).errors == []
    assert pictures.broken_image(tmp_path / "a.png", (40, 24)) == ""
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO((tmp_path / "a.png").read_bytes()))
