"""What a video file must be so that clips can be read from it.

Host     none: OpenCV, whose headers count frames that a cut-off file no longer has
Opens    a file, and jumps to its end: milliseconds a file, whatever its length
Not      decoded in full: damage in the middle stays unseen
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from mmext.engine.coco import DECODE_UP_TO, Report

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


def check_videos(
    dataset: Mapping[str, Any], folder: str, report: Report, *, cure: str, decode: bool | None = None
) -> None:
    """Find videos of mmaction2's VideoDataset that are missing, empty, cut off or too short.

    Args:
        dataset: its config.
        folder: where its videos lie.
        report: takes the findings; its ``file`` lists the videos.
        cure: what the errors tell people to do.
        decode: whether to open them; None opens up to :data:`DECODE_UP_TO` videos.
    """
    lines = Path(report.file).read_text().splitlines()
    names = [line.strip().split(dataset.get("delimiter", " "))[0] for line in lines if line.strip()]
    report.what, report.images = "videos", len(names)
    if decode is None and len(names) > DECODE_UP_TO:
        report.warnings.append(
            f"{report.file}: with {len(names)} videos, more than {DECODE_UP_TO}, they were looked for and "
            "not opened; python tools/verify.py CONFIG --decode opens them all"
        )
    decode = len(names) <= DECODE_UP_TO if decode is None else decode
    least = _segments(dataset)
    for name in names:
        path = Path(folder) / name
        if not path.is_file():
            report.errors.append(f"{path}: not found, expected a video since {report.file} lists it; {cure}")
        elif decode:
            report.decoded += 1
            if trouble := broken_video(path, least):
                report.errors.append(f"{path}: {trouble}; remove it from {report.file}, or {cure}")


def _segments(dataset: Mapping[str, Any]) -> int:
    """Return how many frames a clip takes from different parts of a video at least: its segments."""
    steps = [step for step in dataset.get("pipeline") or () if isinstance(step, Mapping)]
    kinds = ("num_clips", "num_segments")
    return max(
        (int(step[key]) for step in steps for key in kinds if isinstance(step.get(key), int)), default=1
    )
