"""Videos read and written: the frames that were asked for, in any order, and the right way up."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmext.data_checks.videos import broken_video
from mmext.errors import BadInputError
from mmext.inference.inputs import VideoClip, find_input
from mmext.inference.outputs import write_video

GREYS = np.arange(20, 240, 20)


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """Eleven frames, each of one grey, in which the left half of the upper half is white."""
    frames = [np.full((48, 64, 3), grey, np.uint8) for grey in GREYS]
    for frame in frames:
        frame[:24, :32] = 255
    write_video(tmp_path / "greys.mp4", frames, 12.5)
    return tmp_path / "greys.mp4"


def test_what_is_written_is_read_again_in_any_order(greys: Path) -> None:
    assert broken_video(greys, least=len(GREYS)) == ""
    clip = VideoClip(greys)
    assert (len(clip), clip.fps) == (len(GREYS), 12.5)
    for index in (0, 3, 3, 10, 2, 0):
        assert clip[index].shape == (48, 64, 3)
        assert clip[index][36:, 8:].mean() == pytest.approx(GREYS[index], abs=3)
        assert clip[index][:20, :28].mean() == pytest.approx(255, abs=5)


def test_a_frame_beyond_the_last_one_is_named(greys: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"greys\.mp4: expected 11 frames, got none at 11; convert it"
    ):
        VideoClip(greys)[11]


def test_colours_stay_in_their_order(tmp_path: Path) -> None:
    write_video(tmp_path / "red.mp4", [np.full((32, 32, 3), (200, 30, 60), np.uint8)] * 2, 10.0)
    found = VideoClip(tmp_path / "red.mp4")[1].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(found, (200, 30, 60), atol=4)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        # a quarter to the right: the white goes there
        ((0, 1, -1, 0), (slice(0, 28), slice(28, 48))),
        ((-1, 0, 0, -1), (slice(28, 48), slice(36, 64))),
        ((0, -1, 1, 0), (slice(36, 64), slice(0, 20))),
    ],
)
def test_a_video_that_a_telephone_has_turned_is_turned_back(
    greys: Path, matrix: tuple, corner: tuple
) -> None:
    content = bytearray(greys.read_bytes())
    place = content.index(b"tkhd") + 44  # of the matrix, in a header of version 0
    a, b, c, d = (65536 * value for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    greys.write_bytes(content)
    frame = VideoClip(greys)[0]
    assert frame.shape == ((48, 64, 3) if matrix[0] else (64, 48, 3))
    assert frame[corner].mean() == pytest.approx(255, abs=5)
    assert frame.mean() < 100


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    frames = [np.zeros((32, 32, 3), np.uint8)]
    with pytest.raises(
        BadInputError, match=r"x\.mp4: expected to write a video there, got .*choose another"
    ):
        write_video(tmp_path / "missing" / "x.mp4", frames, 10.0)


@pytest.mark.parametrize("size", [(33, 47), (32, 47), (33, 48), (1, 1)])
def test_odd_sizes_lose_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    write_video(tmp_path / "odd.mp4", [np.full((*size, 3), 90, np.uint8)] * 3, 10.0)
    frame = VideoClip(tmp_path / "odd.mp4")[2]
    assert frame.shape[:2] == tuple(side + side % 2 for side in size)
    assert frame.mean() == pytest.approx(90, abs=4)


def test_unusual_endings_are_told_by_what_is_inside(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for name, kind in (
        ("a.jfif", "JPEG"),
        ("no_ending", "PNG"),
        ("a.PNG", "PNG"),
        ("a.ppm", "PPM"),
    ):
        picture.save(tmp_path / name, format=kind)
        assert find_input(tmp_path / name) == [tmp_path / name]
    picture.save(tmp_path / "moves.gif", save_all=True, append_images=[picture.rotate(90)] * 3)
    assert isinstance(find_input(tmp_path / "moves.gif"), VideoClip)
