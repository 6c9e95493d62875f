"""The picture of tracks: a row a video, frames at equal distances."""

import numpy as np
import pytest
from PIL import Image

from dev.demo import mouse, tracked
from mmext.inference.outputs import write_video


def video(path, height, width):
    """Nine frames, each brighter than the one before."""
    write_video(path, [np.full((height, width, 3), 25 * n, np.uint8) for n in range(9)], 10.0)
    return str(path)


def test_each_video_is_a_row_of_its_own_height(tmp_path, capsys):
    flat, high = video(tmp_path / "a.mp4", 32, 64), video(tmp_path / "b.mp4", 64, 32)
    out = tmp_path / "tracked.png"
    tracked.main([flat, high, "--start", "2", "0", "--step", "1", "2", "--out", str(out)])
    with Image.open(out) as made:
        pixels = np.array(made.convert("L")).astype(int)
    heights = mouse.SIDE // 2, mouse.SIDE * 2
    assert pixels.shape[0] == sum(heights) + mouse.GAP
    middles = mouse.SIDE // 2 + np.arange(4) * (mouse.SIDE + mouse.GAP)
    rows = pixels[heights[0] // 2], pixels[heights[0] + mouse.GAP + heights[1] // 2]
    np.testing.assert_allclose(rows[0][middles], 25 * np.arange(2, 6), atol=12)
    np.testing.assert_allclose(rows[1][middles], 25 * np.arange(0, 8, 2), atol=12)


def test_a_part_of_each_frame_is_shown(tmp_path):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[32:, 16:48] = 200
    write_video(tmp_path / "a.mp4", [picture] * 4, 10.0)
    words = [str(tmp_path / "a.mp4"), "--step", "1", "--out", str(tmp_path / "b.png")]
    tracked.main([*words, "--crop", ".25,.5,.75,1"])
    with Image.open(tmp_path / "b.png") as made:
        assert np.array(made)[:, : mouse.SIDE].min() > 180


def test_a_video_that_ends_before_is_told(tmp_path):
    short = video(tmp_path / "a.mp4", 32, 32)
    with pytest.raises(SystemExit, match="expected frame 30, got 9 frames; lessen --step"):
        tracked.main([short, "--out", str(tmp_path / "b.png")])
