"""What videos, folders of frames and their lists must be so that clips can be read from them.

Host     none: OpenCV, whose headers count frames that a cut-off file no longer has
Opens    a file, and jumps to its end: milliseconds a file, whatever its length
Not      decoded in full: damage in the middle stays unseen
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from mmext.engine.coco import DECODE_UP_TO, Report
from mmext.engine.errors import BadInputError

SLACK = 2
"""Frames at the end that may be missing: headers of some formats count one too many."""


def broken_video(path: str | Path, least: int = 1) -> str:
    """Say why a video cannot be used, or return an empty string.

    Args:
        path: of the file.
        least: frames that it must have.
    """
    if Path(path).stat().st_size == 0:
        return "expected a video, got an empty file"
    video = cv2.VideoCapture(str(path))
    try:
        if not video.isOpened():
            return (
                "expected a video, got a file that cannot be opened, as when it is cut off or something else"
            )
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        if frames < 1 or not video.grab():
            return "expected a video, got one of 0 frames"
        end = max(0, frames - SLACK)
        video.set(cv2.CAP_PROP_POS_FRAMES, end)
        # A cut-off file may answer with its last whole frame, so the position that it got to counts.
        whole = video.grab()
        reached = int(video.get(cv2.CAP_PROP_POS_FRAMES))
        if not whole or reached < end:
            return f"expected the {frames} frames that its header counts, got {reached}: it is cut off"
        if frames < least:
            return f"expected {least} frames or more, got {frames}"
    finally:
        video.release()
    return ""


@dataclass(frozen=True)
class Clip:
    """A line of a list: a file or folder, which frames of it, and its labels."""

    name: str
    labels: tuple[int, ...]
    first: int = 0
    frames: int | None = None
    """None where the file itself says it."""


def read_list(dataset: Mapping[str, Any], file: str) -> list[Clip]:
    """Read the list of mmaction2's VideoDataset or RawframeDataset.

    Raises:
        BadInputError: a line is none of these.
    """
    raw = is_raw(dataset)
    offset = bool(raw and dataset.get("with_offset"))
    columns = "folder first frames label" if offset else "folder frames label" if raw else "file label"
    clips = []
    for number, line in enumerate(Path(file).read_text().splitlines(), 1):
        if not line.strip():
            continue
        name, *rest = line.split() if raw else line.strip().split(dataset.get("delimiter", " "))
        try:
            values = [int(value) for value in rest]
            first, frames = (values.pop(0) if offset else 0), (values.pop(0) if raw else None)
        except (ValueError, IndexError):
            raise BadInputError(
                f"{file}:{number}: expected '{columns}' with whole numbers, got {line.strip()!r}; mend it"
            ) from None
        clips.append(Clip(name, tuple(values), first, frames))
    return clips


def is_raw(dataset: Mapping[str, Any]) -> bool:
    """Whether a dataset reads folders of frames."""
    return str(dataset.get("type")).rpartition(".")[2] == "RawframeDataset"


def check_clips(
    dataset: Mapping[str, Any],
    folder: str,
    report: Report,
    *,
    classes: int,
    cure: str,
    decode: bool | None = None,
) -> None:
    """Find clips that are missing, empty, cut off or too short, and labels that are no class.

    Args:
        dataset: config of mmaction2's VideoDataset or RawframeDataset.
        folder: where its videos or folders lie.
        report: takes the findings; its ``file`` lists the clips.
        classes: how many there are; 0 for unknown.
        cure: what the errors tell people to do.
        decode: whether to open videos; None opens up to :data:`DECODE_UP_TO`.
    """
    clips, raw = read_list(dataset, report.file), is_raw(dataset)
    report.what, report.images = "folders of frames" if raw else "videos", len(clips)
    if decode is None and len(clips) > DECODE_UP_TO:
        report.warnings.append(
            f"{report.file}: with {len(clips)} {report.what}, more than {DECODE_UP_TO}, they were looked for "
            "and not opened; python tools/verify.py CONFIG --decode opens them all"
        )
    decode = len(clips) <= DECODE_UP_TO if decode is None else decode
    least = _segments(dataset)
    for clip in clips:
        path = Path(folder) / clip.name
        if wrong := [label for label in clip.labels if classes and not 0 <= label < classes]:
            report.errors.append(
                f"{path}: expected labels from 0 to {classes - 1}, since the head has {classes} classes, got "
                f"{wrong[0]} in {report.file}; correct it there, or set num_classes of the head"
            )
        if not (path.is_dir() if raw else path.is_file()):
            kind = "a folder of frames" if raw else "a video"
            report.errors.append(f"{path}: not found, expected {kind} since {report.file} lists it; {cure}")
        elif decode:
            report.decoded += 1
            if trouble := _broken_folder(path, clip, dataset, least) if raw else broken_video(path, least):
                report.errors.append(f"{path}: {trouble}; remove it from {report.file}, or {cure}")


def _broken_folder(path: Path, clip: Clip, dataset: Mapping[str, Any], least: int) -> str:
    """Say why a folder of frames cannot be used, or return an empty string; looks for its last frame."""
    frames = clip.frames or 0
    if frames < least:
        return f"expected {least} frames or more, got {frames}"
    number = dataset.get("start_index", 1) + clip.first + frames - 1
    last = path / dataset.get("filename_tmpl", "img_{:05}.jpg").format(number)
    return "" if last.is_file() else f"expected the {frames} frames of its line, got no {last.name}"


def _segments(dataset: Mapping[str, Any]) -> int:
    """Return how many frames a clip takes from different parts of a video at least: its segments."""
    steps = [step for step in dataset.get("pipeline") or () if isinstance(step, Mapping)]
    kinds = ("num_clips", "num_segments")
    return max(
        (int(step[key]) for step in steps for key in kinds if isinstance(step.get(key), int)), default=1
    )
