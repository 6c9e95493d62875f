"""Pictures as the host reads them, so that a demo sees what a test sees: bits, colours, EXIF turns.

Reader   the test pipeline's own first step; the rest of the pipeline goes on from what it has read
Looks    the same pixels in 8 bits, RGB, to draw on
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from mmext.errors import BadInputError
from mmext.inference.inputs import Picture


class Preparation:
    """A test pipeline, cut behind the step that reads.

    Args:
        pipeline: the config's; steps that load annotations are left out.
        file: the config, for messages.
        more: what the pipeline finds beside each picture, such as a box.

    Raises:
        BadInputError: no step of it reads a picture.
    """

    def __init__(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        file: str | Path | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.more = dict(more or {})
        steps = [step for step in pipeline if "Annotations" not in name_of(step)]
        place = next((i for i, step in enumerate(steps) if reads(name_of(step))), None)
        if place is None:
            kinds = ", ".join(name_of(step) for step in pipeline)
            raise BadInputError(
                f"{file}: expected a test pipeline that reads a picture (LoadImageFromFile), got "
                f"{kinds}; the demo is for models that look at one picture"
            )
        self.reader = TRANSFORMS.build(steps[place])
        self.takes_frames = name_of(steps[place]) == TAKES_FRAMES
        self.to_float32 = bool(steps[place].get("to_float32"))
        self.rest = Compose(steps[:place] + steps[place + 1 :])

    def of_file(self, path: Path) -> tuple[Picture, dict[str, Any]]:
        """How a picture looks, and what the model takes.

        Raises:
            BadInputError: it cannot be decoded.
        """
        refuse_broken(path)
        try:
            results = self.reader({"img_path": str(path), "img_id": 0, **self.more})
        except Exception as error:  # of whichever decoder the config names
            raise BadInputError(_not_for(type(self.reader).__name__, path, error)) from error
        return looks(results["img"]), self.rest(results)

    def of_frame(self, frame: Picture) -> tuple[Picture, dict[str, Any]]:
        """The same for a frame of a video, RGB."""
        picture = np.ascontiguousarray(frame[..., ::-1])
        size = picture.shape[:2]
        picture = picture.astype(np.float32) if self.to_float32 else picture
        results = {
            "img": picture,
            "img_path": None,
            "img_id": 0,
            "img_shape": size,
            "ori_shape": size,
            **self.more,
        }
        return frame, self.rest(self.reader(results) if self.takes_frames else results)


TAKES_FRAMES = "LoadFace"
"""A step that reads files and completes what is read already."""


def reads(name: str) -> bool:
    """Whether a step of this name reads a picture."""
    return "LoadImage" in name or name == TAKES_FRAMES


def name_of(step: Mapping[str, Any]) -> str:
    """Name of a step's class, without its scope."""
    kind = step["type"]
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__


def refuse_broken(path: Path) -> None:
    """Find what OpenCV does not tell: of a truncated file it returns a picture grey from there on.

    Raises:
        BadInputError: Pillow knows the format, and the file is not whole.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, NotImplementedError):
        return  # a format that only others know, or a very large picture: the host's reader decides
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInputError(
            f"{path}: expected a whole picture, got one that cannot be decoded ({error}); copy it "
            "again"
        ) from None


def read_picture(path: Path) -> Picture:
    """A picture as mmcv reads it by default, RGB.

    Raises:
        BadInputError: it cannot be decoded.
    """
    refuse_broken(path)
    try:
        return looks(mmcv.imread(str(path)))
    except Exception as error:
        raise BadInputError(_not_for("mmcv", path, error)) from error


def looks(pixels: np.ndarray) -> Picture:
    """8 bits and RGB of whatever a host reads: 8 or 16 bits or float, one channel or many, BGR.

    Example:
        >>> looks(np.full((1, 1), 65535, np.uint16)).tolist()
        [[[255, 255, 255]]]
    """
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    pixels = (
        pixels[..., :3][..., ::-1] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
    )
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind in "ui":
        most = float(np.iinfo(pixels.dtype).max)
    else:
        largest = float(np.nanmax(pixels, initial=0))
        most = 1.0 if largest <= 1 else 255.0 if largest <= 255 else largest
    scaled = np.nan_to_num(pixels.astype(np.float32)) * np.float32(255 / most)
    return np.ascontiguousarray(scaled.round().clip(0, 255).astype(np.uint8))


def _not_for(reader: str, path: Path, error: Exception) -> str:
    got = " ".join(str(error).split())[:150] or type(error).__name__
    return (
        f"{path}: expected a picture that {reader} reads, got one that it cannot decode ({got}); "
        "copy it again, or convert it, for instance to PNG"
    )
