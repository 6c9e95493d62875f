"""What videos, folders of frames and their lists must be so that clips can be read from them.

Host     none: PyAV
Reads    a file's packets from end to end, and decodes its first frame alone: milliseconds for a short clip
Not      decoded in full: damage inside a packet stays unseen
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from mmext.data_checks.coco import DECODE_UP_TO, Report
from mmext.errors import BadInputError

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
    try:
        with av.open(str(path)) as video:
            promised, found = promised_frames(video), count_frames(video)
            if not found:
                return "expected a video, got one of 0 frames"
            video.seek(0)
            next(video.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError):  # IndexError: sound alone
        return "expected a video, got a file that cannot be opened, as when it is cut off or something else"
    if found < promised - SLACK:
        return f"expected the {promised} frames that its header counts, got {found}: it is cut off"
    if found < least:
        return f"expected {least} frames or more, got {found}"
    return ""


def promised_frames(video: InputContainer) -> int:
    """How many frames an opened video has by its header; 0 where that does not say."""
    stream = video.streams.video[0]
    if stream.frames or not stream.average_rate:
        return stream.frames
    if stream.duration and stream.time_base:
        return round(stream.duration * stream.time_base * stream.average_rate)
    return round((video.duration or 0) / av.time_base * stream.average_rate)


def count_frames(video: InputContainer) -> int:
    """How many frames an opened video holds, by its packets: none is decoded."""
    return sum(packet.size > 0 and not packet.is_corrupt for packet in video.demux(video=0))


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
            "and not opened; mmext verify CONFIG --decode opens them all"
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
