"""A real video in mmaction2's readers: decord and OpenCV see the same frames; cut off, neither."""

import struct
from pathlib import Path

import numpy as np
import pytest

import mmext  # noqa: F401  repairs mmaction2
from mmext.data_checks.videos import broken_video

FRAMES = 250


def read(path: Path, reader: str) -> dict:
    """Eight frames, chosen and decoded as a test of mmaction2 does."""
    from mmaction.datasets import transforms

    steps = [
        getattr(transforms, f"{reader}Init")(),
        transforms.SampleFrames(clip_len=1, frame_interval=1, num_clips=8, test_mode=True),
        getattr(transforms, f"{reader}Decode")(),
    ]
    results = dict(filename=str(path), label=-1, start_index=0, modality="RGB")
    for step in steps:
        results = step(results)
    return results


def test_decord_and_opencv_read_the_same_frames(bikes: Path) -> None:
    assert broken_video(bikes, least=FRAMES) == ""
    decord, opencv = (read(bikes, reader) for reader in ("Decord", "OpenCV"))
    assert decord["total_frames"] == opencv["total_frames"] == FRAMES
    np.testing.assert_array_equal(decord["frame_inds"], opencv["frame_inds"])
    ours, theirs = (np.stack(one["imgs"]).astype(int) for one in (decord, opencv))
    assert ours.shape == theirs.shape == (8, 272, 640, 3)
    # Both decode with FFmpeg and differ in how they turn YUV into RGB: by a few grey levels.
    assert np.abs(ours - theirs).mean() < 1.5
    # The right frames, and in the right order: each is closest to the one of the same number.
    distance = np.abs(ours[:, None] - theirs[None]).mean((2, 3, 4))
    np.testing.assert_array_equal(distance.argmin(1), np.arange(8))
    assert np.sort(distance, axis=1)[:, 1].min() > 3


def index_first(content: bytes) -> bytes:
    """The same video with its index before its frames, as files for the web have it."""
    start = content.find(b"moov") - 4
    (length,) = struct.unpack(">I", content[start : start + 4])
    index, at = bytearray(content[start : start + length]), 0
    while (at := index.find(b"stco", at + 1)) > 0:
        (number,) = struct.unpack(">I", index[at + 8 : at + 12])
        for place in range(at + 12, at + 12 + 4 * number, 4):
            (offset,) = struct.unpack(">I", index[place : place + 4])
            index[place : place + 4] = struct.pack(">I", offset + length)
    frames = content.find(b"mdat") - 4
    return content[:frames] + bytes(index) + content[frames:start] + content[start + length :]


def test_a_cut_off_video_that_opencv_still_opens_is_refused(bikes: Path, tmp_path: Path) -> None:
    web = tmp_path / "web.mp4"
    content = index_first(bikes.read_bytes())
    web.write_bytes(content)
    assert broken_video(web) == ""
    for share in (0.99, 0.5):
        web.write_bytes(content[: int(share * len(content))])
        assert "expected the 250 frames that its header counts, got" in broken_video(web)
        # The reason for the check: OpenCV hands out other frames, and decord's error names no file.
        with pytest.raises(Exception, match="av_read_frame failed"):
            read(web, "Decord")
    web.write_bytes(bikes.read_bytes()[:400_000])
    assert "cannot be opened" in broken_video(web)
