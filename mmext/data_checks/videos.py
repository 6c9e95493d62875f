"""What a video must be so that clips can be read from it.

Host     none: PyAV; decord or OpenCV open a file where the pipeline reads with them
Reads    a file's packets from end to end, and decodes its first frame alone: milliseconds for a
         short clip
Not      decoded in full: damage inside a packet stays unseen
"""

import io
import itertools
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer

SLACK = 2
"""Frames at the end that may be missing: headers of some formats count one too many."""

SLACK_S = 0.1
"""Seconds at the end that may be missing: of a single frame nobody knows how long it lasts."""


def broken_video(path: str | Path, least: int = 1) -> str:
    """Say why a video cannot be used, or return an empty string.

    Args:
        path: of the file.
        least: frames that it must have.
    """
    trouble, found = look(path)
    if not trouble and found < least:
        return f"expected {least} frames or more, got {found}"
    return trouble


def look(path: str | Path) -> tuple[str, int]:
    """Say why a video cannot be used, or an empty string, and how many frames it has."""
    if Path(path).stat().st_size == 0:
        return "expected a video, got an empty file", 0
    try:
        with av.open(str(path)) as video:
            promised, duration = promised_frames(video), promised_seconds(video)
            read = read_packets(video)
            if not read.frames:
                return "expected a video, got one of 0 frames", 0
        with av.open(str(path)) as video:  # anew, since not every format can be sought back in
            next(video.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError, OSError):  # IndexError: sound alone
        return (
            "expected a video, got a file that cannot be opened, as when it is cut off or "
            "something else",
            0,
        )
    # Frames that are uneven in time are fewer than the header's rate promises: then the time
    # decides.
    slack = max(SLACK * duration / promised, SLACK_S, read.longest) if promised else 0
    if read.frames < promised - SLACK and read.seconds < duration - slack:
        return (
            f"expected the {promised} frames that its header counts, got {read.frames}: it is cut "
            "off",
            read.frames,
        )
    return "", read.frames


def promised_frames(video: InputContainer) -> int:
    """How many frames an opened video has by its header; 0 where that does not say."""
    stream = video.streams.video[0]
    if stream.frames or not stream.average_rate:
        return stream.frames
    return round(promised_seconds(video) * stream.average_rate)


def promised_seconds(video: InputContainer) -> float:
    """How long an opened video is by its header; 0 where that does not say."""
    stream = video.streams.video[0]
    counted = float(stream.frames / stream.average_rate) if stream.average_rate else 0.0
    if stream.duration and stream.time_base:
        return max(counted, float(stream.duration * stream.time_base))
    return max(counted, (video.duration or 0) / av.time_base)


class Packets(NamedTuple):
    """What an opened video holds, by its packets."""

    frames: int
    seconds: float
    """From the first packet to the end of the last, of pictures or sound.

    Where one of them ends early, the file goes on to the end of the other.
    """
    longest: float
    """Seconds between two frames that follow each other, at most."""


def count_frames(video: InputContainer) -> int:
    """How many frames an opened video holds, by its packets: none is decoded."""
    return read_packets(video).frames


def read_packets(video: InputContainer) -> Packets:
    """Read an opened video to its end."""
    frames, starts, last = 0, [], 0.0
    pictures = video.streams.video[0]
    for packet in video.demux():
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.is_corrupt or packet.stream.type not in ("video", "audio"):
            continue
        mine = packet.stream is pictures or packet.stream.index == pictures.index
        frames += mine and packet.size > 0
        if time is not None and packet.time_base:
            start = float(time * packet.time_base)
            last = max(last, start + float((packet.duration or 0) * packet.time_base))
            if mine:
                starts.append(start)
    starts.sort()
    longest = max((after - before for before, after in itertools.pairwise(starts)), default=0.0)
    return Packets(frames, last - min(starts, default=0.0), longest)


def unreadable(path: Path, decoder: str) -> str:
    """Say why the pipeline's own decoder cannot open a video that PyAV reads; empty if it can."""
    try:
        if decoder == "decord":
            import decord

            frames = len(decord.VideoReader(io.BytesIO(path.read_bytes()), num_threads=1))
        elif decoder == "opencv":
            import cv2

            frames = int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))
        else:
            return ""
    except ImportError:
        return ""
    except Exception as error:  # decord raises its own
        frames, decoder = (
            0,
            f"{decoder} ({str(error).splitlines()[0][:80] if str(error) else 'an error'})",
        )
    return (
        ""
        if frames > 0
        else f"expected a video that {decoder} can read, got one in which it finds no frame"
    )
