"""Videos that are empty, of zero frames, cut off, too short or no videos: each has its sentence."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mmext.data_checks import clips, verify, videos


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
def test_whole_videos_are_fine_and_short_ones_are_counted(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = write_video(tmp_path / name, 12, codec)
    assert videos.broken_video(path, least=12) == ""
    assert videos.broken_video(path, least=13) == "expected 13 frames or more, got 12"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    zero = write_video(tmp_path / "zero.mp4", 0)
    # Without the index at its end this file cannot be opened; an AVI file can be read up to the
    # cut.
    closed = cut(write_video(tmp_path / "b.mp4", 30), 0.9)
    cut_off = cut(write_video(tmp_path / "b.avi", 30, "MJPG"), 0.5)
    assert videos.broken_video(tmp_path / "empty.mp4") == "expected a video, got an empty file"
    for path in (tmp_path / "text.mp4", zero, closed):
        assert "got a file that cannot be opened, as when it is cut off" in videos.broken_video(
            path
        )
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
    assert str(report) == f"val: {tmp_path}/all.txt: 5 videos, 4 of them opened; 3 errors"
    cut_off, empty, gone = report.errors
    assert cut_off.startswith(f"{tmp_path}/cut_whole.avi: expected the 30 frames")
    assert empty.startswith(f"{tmp_path}/empty.mp4: expected a video, got an empty file; ")
    assert gone.startswith(f"{tmp_path}/gone.mp4: not found")
    assert all(error.endswith("run make data") for error in report.errors)
    # mmaction2 takes frames of a short video more than once.
    (short,) = report.warnings
    assert "1 of 2 videos have fewer frames than the 8 that a clip takes (the shortest 7)" in short


def test_very_many_videos_are_looked_for_and_opened_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "DECODE_UP_TO", 1)
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
    assert lists(tmp_path, "clip 8 6") == lists(tmp_path, "clip 8 6\n") == []
    assert lists(tmp_path, "clip 3 5 6\n", with_offset=True) == []
    (gone,) = lists(tmp_path, "none 8 0\n")
    assert gone.startswith(
        f"{tmp_path}/none: not found, expected a folder of frames since {tmp_path}/all.txt"
    )
    assert lists(tmp_path, "clip 3 0\n") == [], "frames are taken more than once"
    (nothing,) = lists(tmp_path, "clip 0 0\n")
    assert "expected 1 frame or more, got 0" in nothing
    (cut_off,) = lists(tmp_path, "clip 9 0\n")
    assert cut_off.startswith(
        f"{tmp_path}/clip: expected the 9 frames of its line, got no img_00009.jpg; "
    )
    (shifted,) = lists(tmp_path, "clip 4 5 0\n", with_offset=True)
    assert "got no img_00009.jpg" in shifted


@pytest.mark.parametrize("label", [7, -1])
def test_a_label_that_is_no_class_is_named_with_its_file(tmp_path: Path, label: int) -> None:
    (error,) = lists(tmp_path, f"clip 8 {label}\n")
    assert error == (
        f"{tmp_path}/clip: expected labels from 0 to 6, since the head has 7 classes, got {label} "
        f"in {tmp_path}/all.txt; correct it there, or set num_classes of the head"
    )


@pytest.mark.parametrize("line", ["clip", "clip eight 0", "clip 8 wave"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (error,) = lists(tmp_path, f"clip 8 0\n{line}\n")
    assert error == (
        f"{tmp_path}/all.txt:2: expected 'folder frames label' with whole numbers, got {line!r}; "
        "mend it"
    )


def encode(path: Path, times: list[int], codec: str = "mpeg4", rate: int = 30) -> Path:
    """A video whose frames stand at these times, in thousandths of a second."""
    with av.open(str(path), "w") as video:
        track = video.add_stream(codec, rate=rate)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.codec_context.time_base = Fraction(1, 1000)
        rng = np.random.default_rng(0)
        for time in times:
            frame = av.VideoFrame.from_ndarray(
                rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            video.mux(track.encode(frame))
        video.mux(track.encode())
    return path


UNEVEN = [0, 33, 66, 100, 1000, 1033, 3000, 3033, 3066, 6000]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_frames_that_are_uneven_in_time_are_whole(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, UNEVEN)
    trouble, found = videos.look(path)
    assert (trouble, found >= len(UNEVEN)) == ("", True)
    assert videos.unreadable(path, "decord") == videos.unreadable(path, "opencv") == ""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.gif"])
def test_a_video_of_one_frame_is_one(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libvpx", "a.gif": "gif"}.get(name, "mpeg4")
    if codec == "gif":
        Image.effect_noise((64, 48), 40).save(tmp_path / name)
    else:
        encode(tmp_path / name, [0], codec)
    assert videos.look(tmp_path / name) == ("", 1)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_matroska_file_that_is_cut_off_is_short_of_its_duration(
    tmp_path: Path, share: float
) -> None:
    whole = encode(tmp_path / "a.mkv", list(range(0, 4000, 40)))
    assert videos.look(whole) == ("", 100)
    assert videos.look(cut(whole, share))[0].endswith(": it is cut off")


def test_what_the_decoder_of_the_pipeline_cannot_read_is_refused(tmp_path: Path) -> None:
    """PyAV decodes more than others do; what matters is whether the run can."""
    path = encode(tmp_path / "a.mkv", list(range(0, 400, 40)))
    assert videos.unreadable(path, "decord") == videos.unreadable(path, "pyav") == ""
    (tmp_path / "b.mkv").write_text("nothing")
    for decoder in ("decord", "opencv"):
        assert f"expected a video that {decoder}" in videos.unreadable(tmp_path / "b.mkv", decoder)


def test_decord_finds_a_name_without_suffix_as_mmaction2_does(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    (tmp_path / "all.txt").write_text("a 0\n")
    dataset = dict(
        type="VideoDataset",
        ann_file=str(tmp_path / "all.txt"),
        data_prefix=dict(video=str(tmp_path)),
    )
    for decoder, number in (("DecordInit", 0), ("OpenCVInit", 1)):
        cfg = dict(val_dataloader=dict(dataset=dict(dataset, pipeline=[dict(type=decoder)])))
        assert len([error for report in verify.check(cfg) for error in report.errors]) == number


@pytest.mark.parametrize(
    ("text", "more", "word"),
    [
        ("clip 8\n", {}, "expected a label for each clip of the val split, got none for 1 of 1"),
        ("clip 8 1 2\n", {}, "with one label, got 2"),
        ("clip 8 1 2\n", dict(multi_class=True, num_classes=7), ""),
        ("clip 8 1\n\n", {}, "all.txt:2: expected 'folder frames label', got an empty line"),
        ("", {}, "expected a clip a line, got an empty list"),
        ("\ufeffclip 8 1\n", {}, "byte order mark"),
    ],
)
def test_one_label_a_clip(tmp_path: Path, text: str, more: dict, word: str) -> None:
    found = lists(tmp_path, text, **more)
    assert [word in error for error in found] == [True] * bool(word)


def test_a_list_without_labels_is_fine_where_predictions_are_only_written(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    (tmp_path / "all.txt").write_text("a.mp4\n")
    dataset = dict(
        type="VideoDataset",
        ann_file=str(tmp_path / "all.txt"),
        data_prefix=dict(video=str(tmp_path)),
    )
    cfg = dict(
        test_dataloader=dict(dataset=dataset),
        test_evaluator=dict(type="DumpResults", out_file_path="x"),
    )
    assert [error for report in verify.check(cfg) for error in report.errors] == []
    cfg["test_evaluator"] = [cfg["test_evaluator"], dict(type="AccMetric")]
    assert len([error for report in verify.check(cfg) for error in report.errors]) == 1


@pytest.mark.parametrize("text", ["clip 8 1\n\n", "clip 8 1 2\n", "clip\n"])
def test_such_a_list_stops_the_host(tmp_path: Path, text: str) -> None:
    """The reason for the refusal."""
    from mmaction.datasets import RawframeDataset

    (tmp_path / "all.txt").write_text(text)
    with pytest.raises((IndexError, AssertionError)):
        RawframeDataset(str(tmp_path / "all.txt"), pipeline=[])
