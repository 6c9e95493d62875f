"""Whether the host can read a picture, and how large it is then: by the pipeline's own decoder.

Host     none, but mmcv.imfrombytes decodes what Pillow alone cannot judge
Pillow   decodes each picture, since OpenCV returns a grey one for a truncated file and says nothing
EXIF     a tag other than 1 says that a picture is to be turned or mirrored; mmcv's loader does it
         unless it loads pictures unchanged, so boxes and maps drawn on the stored picture lie
         beside
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmext.data_checks.needs import loads_annotations, parts, type_name

EXIF_TURN = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""Values of the tag that swap width and height."""

READERS = ("LoadImageFromFile", "LoadRGBFromFile", "LoadImageUnlessGiven", "LoadFace")
"""Steps of a pipeline that take the arguments of ``mmcv.imfrombytes``."""

READ_ALIKE = ("JPEG", "PNG")
"""Formats that OpenCV reads as Pillow does."""


@dataclass(frozen=True)
class Reader:
    """A decoder of mmcv, what it makes of channels and EXIF: arguments of ``mmcv.imfrombytes``."""

    backend: str = "cv2"
    flag: str = "color"

    @property
    def turns(self) -> bool:
        """Whether it turns pictures as their EXIF tag says."""
        return self.backend in ("cv2", "pillow") and self.flag in ("color", "grayscale")


@dataclass(frozen=True)
class Picture:
    """What became of a file: why it cannot be used, or its size as it is read."""

    trouble: str = ""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels, turned as the reader turns it."""
    stored: tuple[int, int] = (0, 0)
    tag: int = 1
    """The EXIF tag that turns; 1 for none."""


def image_reader(pipeline: Sequence[Any]) -> Reader | None:
    """The reader of a pipeline's pictures; None if a part that we do not know loads them."""
    steps = [step for _, step in parts(list(pipeline or ()), "")]
    for step in steps:
        if type_name(step) in READERS:
            return Reader(step.get("imdecode_backend", "cv2"), step.get("color_type", "color"))
    loads = [type_name(step) for step in steps if type_name(step).startswith("Load")]
    only_annotations = loads and all("Annotation" in one for one in loads)
    return Reader() if not steps or only_annotations else None


def map_reader(pipeline: Sequence[Any], default: str) -> Reader | None:
    """The reader of a pipeline's label maps; None if it loads none."""
    for _, step in parts(list(pipeline or ()), ""):
        if loads_annotations(step):
            return Reader(step.get("imdecode_backend", default), "unchanged")
    return None


@contextmanager
def of_any_size() -> Iterator[None]:
    """Let Pillow open pictures of any size: aerial ones may be very large. Not for threads."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def look(path: Path, reader: Reader) -> Picture:
    """Decode a picture as a host does.

    Args:
        path: of the file.
        reader: what decodes it there.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        return Picture(
            f"expected a picture, got a file that cannot be read ({error.strerror or error})"
        )
    if not content:
        return Picture("expected a picture, got an empty file")
    trouble, stored, tag, alike = "", (0, 0), 1, False
    try:
        with Image.open(io.BytesIO(content)) as image:
            stored, tag = stored_size(image), image.getexif().get(EXIF_TURN, 1)
            image.load()  # this turns a TIFF file, and takes the tag away
            alike = image.format in READ_ALIKE and image.mode in (
                "L",
                "RGB",
                "RGBA",
                "P",
                "1",
                "LA",
                "CMYK",
            )
            if reader.backend == "pillow" and reader.flag != "unchanged" and clipped(image):
                trouble = (
                    "expected 8 bits a pixel, since pillow turns more of them white; load it with "
                    "cv2"
                )
            alike |= reader.backend == "pillow"
    except Exception as error:
        # Pillow's plug-ins raise whatever a damaged file makes them stumble over.
        trouble = (
            "expected a whole image, got one that cannot be decoded "
            f"({error or type(error).__name__})"
        )
        # What Pillow does not know, the host's decoder may: a picture with floating-point pixels,
        # say.
        if reader.backend == "pillow" or cut_off(error):
            return Picture(trouble)
    tag = tag if tag in range(2, 9) else 1
    if not trouble and alike and tag == 1:
        return Picture("", stored, stored)
    size = host_size(content, reader)
    if size is None:
        word = (
            trouble
            or f"expected a picture that {reader.backend} can decode, got one that it cannot"
        )
        return Picture(word)
    clipping = trouble if stored != (0, 0) else ""
    return Picture(clipping, size, stored if stored != (0, 0) else size, tag)


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they lie in the file; of a TIFF file Pillow names them as turned."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(256, image.width), tags.get(257, image.height)


def clipped(image: Image.Image) -> bool:
    """Whether Pillow loses the upper bits of an opened picture when it makes colours of it."""
    if not image.mode.startswith(("I", "F")):
        return False
    extremes: Any = image.getextrema()
    return extremes[1] > 255


def cut_off(error: Exception) -> bool:
    """Whether Pillow knew the format and missed a part of the file."""
    words = ("truncated", "broken", "cut off", "premature", "not enough")
    return any(word in str(error).lower() for word in words)


def host_size(content: bytes, reader: Reader) -> tuple[int, int] | None:
    """Width and height of a picture as mmcv decodes it; None if it cannot."""
    import mmcv

    try:
        pixels = mmcv.imfrombytes(content, flag=reader.flag, backend=reader.backend)
    except Exception:  # whatever a decoder raises, the host would have stopped with it
        return None
    return None if pixels is None else (pixels.shape[1], pixels.shape[0])


def disagreement(picture: Picture, size: tuple[Any, Any], what: str = "annotations say") -> str:
    """Say why a picture is not of the size that is written beside it, or return an empty string."""
    if picture.trouble:
        return picture.trouble
    if tuple(size) == picture.size:
        return ""
    got = f"{picture.size[0]} x {picture.size[1]}"
    word = f"expected {size[0]} x {size[1]} pixels as its {what}, got {got}"
    if picture.tag != 1 and tuple(size) == picture.stored:
        word += (
            f" since the host turns it by its EXIF tag ({picture.tag}); store it turned and "
            "without the tag, or load it with color_type='color_ignore_orientation'"
        )
    return word


def turned_unseen(picture: Picture, reader: Reader) -> bool:
    """Whether a host turns or mirrors a picture while its size does not tell if its boxes were."""
    same = picture.size == picture.stored and (
        picture.tag not in SIDEWAYS or len(set(picture.size)) == 1
    )
    return reader.turns and picture.tag != 1 and same


def broken_image(path: Path, size: tuple[int, int], reader: Reader | None = None) -> str:
    """Say why an image cannot be used, or return an empty string.

    ``size`` is (width, height) in pixels.
    """
    with of_any_size():
        return disagreement(look(path, reader or Reader()), size)
