"""What the demo reads and writes: pictures, folders of them, video files. Pixels are RGB throughout."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import cv2
import mmcv
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from mmext.engine.errors import BadInputError
from mmext.engine.videos import broken_video

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FRAMES_A_SECOND = 10.0
"""Of a folder of frames, which does not say."""

Picture = UInt8[np.ndarray, "H W 3"]


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
    """A video file."""

    def __init__(self, path: Path) -> None:
        if trouble := broken_video(path):
            raise BadInputError(f"{path}: {trouble}; copy it again, or convert it, for instance with ffmpeg")
        self.path = path
        self.reader = mmcv.VideoReader(str(path))
        self.fps = self.reader.fps if self.reader.fps > 0 else FRAMES_A_SECOND

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Picture:
        frame = self.reader[int(index)]
        if frame is None:
            raise BadInputError(
                f"{self.path}: expected {len(self)} frames, got none at {index}; convert it, for instance "
                "with ffmpeg"
            )
        return frame[..., ::-1]


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


def write_video(path: Path, frames: Iterable[Picture], fps: float) -> None:
    """Write frames of one size as MPEG-4.

    Raises:
        BadInputError: OpenCV cannot write it.
    """
    stream = iter(frames)
    first = next(stream)
    height, width, _ = first.shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise BadInputError(f"{path}: expected to write a video, but OpenCV cannot; choose another --out")
    try:
        for frame in itertools.chain([first], stream):
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()
