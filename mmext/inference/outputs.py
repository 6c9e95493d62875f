"""What the demo writes: drawn pictures, videos for browsers, beside each JSON of what it shows."""

import itertools
import json
import logging
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from PIL import Image

from mmext.errors import BadInputError
from mmext.inference.inputs import Picture

logger = logging.getLogger("mmext")

ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")
"""Of H.264, in the order of wish; a wheel of PyAV has the first."""
QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}}
MOST_BITS = 2**30
"""A second of a video that is written by other encoders."""


def save_picture(picture: Picture, path: Path) -> Path:
    """Write a picture in the format of its name, or as PNG where Pillow writes none of that name.

    Returns:
        Where it is.
    """
    if path.suffix.lower() not in _written_by_pillow():
        path = path.with_name(f"{path.name}.png")
    jpeg = {"quality": 95, "subsampling": 0}  # colour at half the size would blur thin boxes
    options: dict[str, Any] = dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), jpeg)
    options |= {".png": {"compress_level": 1}, ".webp": {"lossless": True, "method": 0}}
    Image.fromarray(picture).save(path, **options.get(path.suffix.lower(), {}))
    return path


def _written_by_pillow() -> set[str]:
    return {
        ending for ending, kind in Image.registered_extensions().items() if kind in Image.SAVE
    } - {".pdf"}


def save_facts(facts: Mapping[str, Any], drawing: Path) -> Path:
    """Write what was found into a JSON file of the drawing's whole name: ``a.png.json``."""
    path = drawing.with_name(f"{drawing.name}.json")
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def rate(fps: float) -> Fraction:
    """Frames a second as every encoder can say it: it divides a second into at most 65,535 parts.

    Example:
        >>> rate(30000 / 1001), rate(0.25), rate(240000 / 1001).numerator < 65536
        (Fraction(30000, 1001), Fraction(1, 4), True)
    """
    return Fraction(fps).limit_denominator(max(1, min(1001, int(65535 / fps))))


def encoder() -> str:
    """The first encoder that this PyAV has; MPEG-4, which no browser plays, if none of H.264."""
    for name in ENCODERS:
        try:
            av.Codec(name, "w")
        except ValueError:
            continue
        return name
    logger.warning(
        "this PyAV has no encoder of H.264 (%s): the video is MPEG-4", ", ".join(ENCODERS)
    )
    return "mpeg4"


def write_video(path: Path, frames: Iterable[Picture], fps: float) -> None:
    """Write frames of one size as H.264 that a browser plays while it loads.

    Raises:
        BadInputError: it cannot be written there.
    """
    stream = iter(frames)
    first = next(stream)
    # Colours have half as many places.
    height, width = (side + side % 2 for side in first.shape[:2])
    try:
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as video:
            name = encoder()
            added = video.add_stream(name, rate=rate(fps), options=QUALITY.get(name, {}))
            track = cast(av.VideoStream, added)
            track.height, track.width, track.pix_fmt = height, width, "yuv420p"
            if name not in QUALITY:
                track.bit_rate = min(round(fps * width * height), MOST_BITS)
            for picture in itertools.chain([first], stream):
                frame = av.VideoFrame.from_ndarray(even(picture), format="rgb24")
                video.mux(track.encode(frame))
            video.mux(track.encode())
    except av.FFmpegError as error:
        raise BadInputError(
            f"{path}: expected to write a video there, got {error}; choose another --out"
        ) from None


def even(picture: Picture) -> np.ndarray:
    """Repeat the last row and column where their number is odd."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)
