"""Videos that are empty, of zero frames, cut off, too short or no videos: each has its sentence."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmext.data_checks import verify, videos


def write_video(path: Path, frames: int, codec: str = "mp4v") -> Path:
    """A video of noise, so that each frame takes its share of the file."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    return path


def cut(path: Path, share: float) -> Path:
    """The first part of a file, under another name."""
    short = path.with_name(f"cut_{path.name}")
    content = path.read_bytes()
    short.write_bytes(content[: int(share * len(content))])
    return short


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_whole_videos_are_fine_and_short_ones_are_counted(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, 12, codec)
    assert videos.broken_video(path, least=12) == ""
    assert videos.broken_video(path, least=13) == "expected 13 frames or more, got 12"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    zero = write_video(tmp_path / "zero.mp4", 0)
    # Without the index at its end this file cannot be opened; an AVI file can be read up to the cut.
    closed = cut(write_video(tmp_path / "b.mp4", 30), 0.9)
    cut_off = cut(write_video(tmp_path / "b.avi", 30, "MJPG"), 0.5)
    assert videos.broken_video(tmp_path / "empty.mp4") == "expected a video, got an empty file"
    for path in (tmp_path / "text.mp4", zero, closed):
        assert "got a file that cannot be opened, as when it is cut off" in videos.broken_video(path)
    said = videos.broken_video(cut_off)
    assert said.startswith("expected the 30 frames that its header counts, got 1"), said
    assert said.endswith(": it is cut off")


def test_the_videos_of_a_config_are_checked_before_a_run(tmp_path: Path) -> None:
    write_video(tmp_path / "good.mp4", 8)
    write_video(tmp_path / "short.mp4", 7)
    cut(write_video(tmp_path / "whole.avi", 30, "MJPG"), 0.5)
    (tmp_path / "empty.mp4").touch()
    names = ["good.mp4", "short.mp4", "cut_whole.avi", "empty.mp4", "gone.mp4"]
    (tmp_path / "all.txt").write_text("".join(f"{name} 0\n" for name in names))
    pipeline = [dict(type="DecordInit"), dict(type="SampleFrames", clip_len=1, num_clips=8)]
    dataset = dict(
        type="mmaction.VideoDataset",
        data_root=str(tmp_path),
        ann_file="all.txt",
        data_prefix=dict(video=""),
        pipeline=pipeline,
    )
    cfg = dict(val_dataloader=dict(dataset=dataset), data_command="make data")
    (report,) = verify.check(cfg)
    assert str(report) == f"val: {tmp_path}/all.txt: 5 videos, 4 of them opened; 4 errors"
    short, cut_off, empty, gone = report.errors
    assert short.startswith(f"{tmp_path}/short.mp4: expected 8 frames or more, got 7; ")
    assert cut_off.startswith(f"{tmp_path}/cut_whole.avi: expected the 30 frames")
    assert empty.startswith(f"{tmp_path}/empty.mp4: expected a video, got an empty file; ")
    assert gone.startswith(f"{tmp_path}/gone.mp4: not found")
    assert all(error.endswith("run make data") for error in report.errors)


def test_very_many_videos_are_looked_for_and_opened_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "DECODE_UP_TO", 1)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "all.txt").write_text("a.mp4,0\nb.mp4,1\n")
    dataset = dict(
        type="VideoDataset",
        delimiter=",",
        ann_file=str(tmp_path / "all.txt"),
        data_prefix=dict(video=str(tmp_path)),
    )
    cfg = dict(val_dataloader=dict(dataset=dataset))
    (quick,), (slow,) = verify.check(cfg), verify.check(cfg, decode=True)
    assert (quick.decoded, quick.errors, len(slow.errors)) == (0, [], 2)
    assert "more than 1, they were looked for and not opened" in quick.warnings[0]


def lists(tmp_path: Path, text: str, **dataset: object) -> list[str]:
    """Errors of a list of folders of eight frames, with seven classes."""
    folder = tmp_path / "clip"
    folder.mkdir(exist_ok=True)
    for number in range(1, 9):
        (folder / f"img_{number:05}.jpg").touch()
    (tmp_path / "all.txt").write_text(text)
    dataset = dict(
        type="RawframeDataset",
        ann_file=str(tmp_path / "all.txt"),
        data_prefix=dict(img=str(tmp_path)),
        pipeline=[dict(type="SampleFrames", clip_len=1, num_clips=4)],
        **dataset,
    )
    cfg = dict(val_dataloader=dict(dataset=dataset), model=dict(cls_head=dict(num_classes=7)))
    return [error for report in verify.check(cfg) for error in report.errors]


def test_folders_of_frames_are_fine_or_named(tmp_path: Path) -> None:
    assert lists(tmp_path, "clip 8 6\n\n") == []
    assert lists(tmp_path, "clip 3 5 6\n", with_offset=True) == []
    (gone,) = lists(tmp_path, "none 8 0\n")
    assert gone.startswith(
        f"{tmp_path}/none: not found, expected a folder of frames since {tmp_path}/all.txt"
    )
    (short,) = lists(tmp_path, "clip 3 0\n")
    assert short.startswith(f"{tmp_path}/clip: expected 4 frames or more, got 3; remove it")
    (nothing,) = lists(tmp_path, "clip 0 0\n")
    assert "expected 4 frames or more, got 0" in nothing
    (cut_off,) = lists(tmp_path, "clip 9 0\n")
    assert cut_off.startswith(f"{tmp_path}/clip: expected the 9 frames of its line, got no img_00009.jpg; ")
    (shifted,) = lists(tmp_path, "clip 4 5 0\n", with_offset=True)
    assert "got no img_00009.jpg" in shifted


@pytest.mark.parametrize("label", [7, -1])
def test_a_label_that_is_no_class_is_named_with_its_file(tmp_path: Path, label: int) -> None:
    (error,) = lists(tmp_path, f"clip 8 {label}\n")
    assert error == (
        f"{tmp_path}/clip: expected labels from 0 to 6, since the head has 7 classes, got {label} in "
        f"{tmp_path}/all.txt; correct it there, or set num_classes of the head"
    )


@pytest.mark.parametrize("line", ["clip", "clip eight 0", "clip 8 wave"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (error,) = lists(tmp_path, f"clip 8 0\n{line}\n")
    assert error == (
        f"{tmp_path}/all.txt:2: expected 'folder frames label' with whole numbers, got {line!r}; mend it"
    )
