"""What the demo reads and writes: pictures, folders of them, video files. Pixels are RGB throughout."""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from mmext.data_checks.videos import broken_video, count_frames
from mmext.errors import BadInputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FRAMES_A_SECOND = 10.0
"""Of a folder of frames, which does not say."""
MOST_BITS = 2**30
"""A second of a video that is written."""

Picture = UInt8[np.ndarray, "H W 3"]


@runtime_checkable
class Clip(Protocol):
    """Frames in order, read one by one when they are asked for."""

    fps: float

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture: ...


class FolderClip:
    """The pictures of a folder, in the order of their names."""

    fps = FRAMES_A_SECOND

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.shape = read_picture(files[0]).shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Picture:
        frame = read_picture(self.files[index])
        if frame.shape != self.shape:
            height, width, _ = self.shape
            raise BadInputError(
                f"{self.files[index]}: expected {width} x {height} pixels as in the first frame of its "
                f"folder, got {frame.shape[1]} x {frame.shape[0]}; give a folder with the frames of one video"
            )
        return frame


class VideoClip:
    """A video file, decoded from its start as far as is asked for; a step back starts anew."""

    def __init__(self, path: Path) -> None:
        if trouble := broken_video(path):
            raise BadInputError(f"{path}: {trouble}; copy it again, or convert it, for instance with ffmpeg")
        self.path = path
        with av.open(str(path)) as video:
            self.fps = float(video.streams.video[0].average_rate or FRAMES_A_SECOND)
            self.length = count_frames(video)
        self.start()

    def start(self) -> None:
        """Go back to before the first frame."""
        self.frames, self.position = self.decode(), -1

    def decode(self) -> Iterator[av.VideoFrame]:
        """Decode all frames in order."""
        with av.open(str(self.path)) as video:
            yield from video.decode(video=0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Picture:
        if index < self.position:
            self.start()
        try:
            while self.position < index:
                self.frame, self.position = next(self.frames), self.position + 1
        except (StopIteration, av.FFmpegError):
            raise BadInputError(
                f"{self.path}: expected {len(self)} frames, got none at {index}; convert it, for instance "
                "with ffmpeg"
            ) from None
        # Telephones write pictures as the sensor lies, and how to turn them beside it.
        return np.rot90(self.frame.to_ndarray(format="rgb24"), self.frame.rotation // 90)


def read_picture(path: Path) -> Picture:
    """Decode with Pillow, since OpenCV returns a grey picture for a truncated file and says nothing.

    Raises:
        BadInputError: it cannot be decoded.
    """
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInputError(
            f"{path}: expected a whole picture, got one that cannot be decoded ({error}); copy it again"
        ) from None


def find_input(path: Path) -> list[Path] | VideoClip:
    """The pictures that ``path`` is or holds, or the video that it is.

    Raises:
        BadInputError: it is missing, an empty folder, or no video.
    """
    if not path.exists():
        raise BadInputError(
            f"{path}: not found, expected a picture, a folder or a video there; check the path"
        )
    if path.is_file():
        return [path] if path.suffix.lower() in PICTURES else VideoClip(path)
    files = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
    if not files:
        raise BadInputError(
            f"{path}: expected a folder with pictures ({', '.join(PICTURES)}), got one without; "
            "check the path"
        )
    return files


def rate(fps: float) -> Fraction:
    """Frames a second as MPEG-4 can say it: it divides a second into at most 65,535 parts.

    Example:
        >>> rate(30000 / 1001), rate(0.25), rate(240000 / 1001).numerator < 65536
        (Fraction(30000, 1001), Fraction(1, 4), True)
    """
    return Fraction(fps).limit_denominator(max(1, min(1001, int(65535 / fps))))


def write_video(path: Path, frames: Iterable[Picture], fps: float) -> None:
    """Write frames of one size as MPEG-4.

    Raises:
        BadInputError: it cannot be written there.
    """
    stream = iter(frames)
    first = next(stream)
    try:
        with av.open(str(path), "w") as video:
            track = video.add_stream("mpeg4", rate=rate(fps))
            track.height, track.width, _ = first.shape
            track.pix_fmt = "yuv420p"
            track.bit_rate = min(round(fps * track.width * track.height), MOST_BITS)
            for picture in itertools.chain([first], stream):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                video.mux(track.encode(frame))
            video.mux(track.encode())
    except av.FFmpegError as error:
        raise BadInputError(
            f"{path}: expected to write a video there, got {error}; choose another --out"
        ) from None
