"""What the demo is given: pictures, folders of them, video files. Pixels are RGB throughout."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmext.data_checks.videos import broken_video, count_frames
from mmext.errors import BadInputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FRAMES_A_SECOND = 10.0
"""Of a folder of frames, which does not say."""
VIDEOS = ("MPEG", "GIF")
"""Formats that Pillow opens although they move."""

Picture = UInt8[np.ndarray, "H W 3"]


@runtime_checkable
class Clip(Protocol):
    """Frames in order, read one by one when they are asked for."""

    fps: float

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture: ...


class FolderClip:
    """The pictures of a folder, in the order of their names, read by ``read``."""

    fps = FRAMES_A_SECOND

    def __init__(self, files: list[Path], read: Callable[[Path], Picture]) -> None:
        self.files, self.read = files, read
        self.shape = read(files[0]).shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Picture:
        frame = self.read(self.files[index])
        if frame.shape != self.shape:
            height, width, _ = self.shape
            raise BadInputError(
                f"{self.files[index]}: expected {width} x {height} pixels as in the first frame of "
                f"its folder, got {frame.shape[1]} x {frame.shape[0]}; give a folder with the "
                "frames of one video"
            )
        return frame


class VideoClip:
    """A video file, decoded from its start as far as is asked for; a step back starts anew."""

    def __init__(self, path: Path) -> None:
        if trouble := broken_video(path):
            raise BadInputError(
                f"{path}: {trouble}; copy it again, or convert it, for instance with ffmpeg"
            )
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
                f"{self.path}: expected {len(self)} frames, got none at {index}; convert it, for "
                "instance with ffmpeg"
            ) from None
        # Telephones write pictures as the sensor lies, and how to turn them beside it.
        return np.rot90(self.frame.to_ndarray(format="rgb24"), self.frame.rotation // 90)


def is_picture(path: Path) -> bool:
    """Whether a file holds a picture: by its ending, or its first bytes if that is unusual."""
    if path.suffix.lower() in PICTURES:
        return True
    try:
        with Image.open(path) as picture:
            return picture.format not in VIDEOS and getattr(picture, "n_frames", 1) == 1
    except (OSError, SyntaxError, ValueError):
        return False


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
        return [path] if is_picture(path) else VideoClip(path)
    files = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
    if not files:
        raise BadInputError(
            f"{path}: expected a folder with pictures ({', '.join(PICTURES)}), got one without; "
            "check the path"
        )
    return files
