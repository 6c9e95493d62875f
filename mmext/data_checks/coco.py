"""What a COCO file and its images must be so that mmdet can train on them.

Host     none: json and Pillow
Decodes  with Pillow, since OpenCV returns a grey picture for a truncated file and says nothing
Letters  a box is [left, top, width, height] in pixels
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mmext.errors import BadInputError, some

DECODE_UP_TO = 2000
"""Images of a split that are decoded without being asked to: about ten seconds' worth."""

ROUNDING_PX = 1.0
"""How far a box may reach over the border: tools round to whole pixels."""


KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
}
"""What mmdet reads of each entry."""


@dataclass
class Report:
    """What was found in one annotation file or folder of label maps; ``what`` names its samples."""

    split: str
    file: str
    images: int = 0
    decoded: int = 0
    boxes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    what: str = "images"

    def __str__(self) -> str:
        if self.what != "images":
            counts = f"{self.images} {self.what}, {self.decoded} of them opened"
            return f"{self.split}: {self.file}: {counts}; {len(self.errors)} errors"
        dropped = ", ".join(f"{count} {why}" for why, count in sorted(self.dropped.items())) or "none"
        return (
            f"{self.split}: {self.file}: {self.images} images, {self.decoded} of them decoded; "
            f"{self.boxes} boxes used, left out: {dropped}; {len(self.errors)} errors"
        )


def read_coco(file: str, cure: str) -> dict[str, Any]:
    """Parse a COCO file; ``cure`` is what the error tells people to do.

    Raises:
        BadInputError: it is no JSON, or lacks a list or a key that mmdet reads.
    """
    try:
        coco = json.loads(Path(file).read_bytes())
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected a COCO file, got something that is no JSON ({error}); {cure}"
        ) from None
    lists = ("images", "annotations", "categories")
    missing = [key for key in lists if not isinstance(coco, dict) or not isinstance(coco.get(key), list)]
    if missing:
        raise BadInputError(
            f"{file}: expected a COCO file, got one without a list of {', '.join(missing)}; {cure}"
        )
    for kind, keys in KEYS.items():
        for entry in coco[kind]:
            absent = [key for key in keys if key not in entry]
            if absent:
                what = (
                    f"{kind} with {', '.join(keys)}, got one without {', '.join(absent)}: {str(entry)[:80]}"
                )
                raise BadInputError(f"{file}: expected {what}; write it again with them")
    ids = Counter(annotation["id"] for annotation in coco["annotations"])
    twice = [one for one, count in ids.items() if count > 1]
    if twice:
        raise BadInputError(
            f"{file}: expected each annotation id once, got {some(map(str, twice))} twice; number anew"
        )
    return coco


def check_classes(coco: Mapping[str, Any], wanted: Any, report: Report) -> None:
    """Compare the file's classes with those that the config wants.

    Raises:
        BadInputError: no class in common, or a string where a tuple was meant.
    """
    names = [category["name"] for category in coco["categories"]]
    if isinstance(wanted, str):
        raise BadInputError(
            f"{report.file}: expected a tuple as metainfo.classes, got the string {wanted!r}; "
            f"write metainfo=dict(classes=({wanted!r},)) with the comma"
        )
    found = [name for name in names if name in wanted]
    if wanted and not found:
        classes = f"({', '.join(map(repr, names))}{',' if len(names) == 1 else ''})"
        cure = (
            f"set metainfo=dict(classes={classes}) in the datasets of all splits and num_classes={len(names)}"
        )
        raise BadInputError(
            f"{report.file}: none of its classes ({some(names)}) is among those that the config wants "
            f"({some(wanted)}); {cure if names else 'add its categories'}"
        )
    if wanted and found != list(wanted):
        # mmdet numbers the classes in the file's order and passes over those that the file lacks.
        report.warnings.append(
            f"{report.file}: the config wants the classes {some(wanted)}, the file has {some(found)}; mmdet "
            "numbers them as the file does, so names and labels disagree: use the same list in the same order"
        )


def check_boxes(coco: Mapping[str, Any], wanted: Iterable[str], report: Report, *, allow_odd: bool) -> None:
    """Count the boxes that mmdet uses and those that it leaves out; find those that nobody can have meant."""
    images = {image["id"]: image for image in coco["images"]}
    classes = {one["id"] for one in coco["categories"] if not wanted or one["name"] in wanted}
    odd = []
    for ann in coco["annotations"]:
        image = images.get(ann.get("image_id"))
        if image is None or ann.get("category_id") not in classes or ann.get("ignore"):
            report.dropped["without image" if image is None else "of other classes or ignored"] += 1
        elif trouble := odd_box(ann.get("bbox"), image["width"], image["height"]):
            odd.append(
                f"{report.file}: annotation {ann.get('id')} has the box {ann.get('bbox')}, which {trouble} "
                f"of {image['width']} x {image['height']} pixels ({image['file_name']}); correct or remove "
                "it, or accept such boxes with verify=dict(allow_odd_boxes=True) in the config"
            )
        elif min(ann["bbox"][2:]) < 1 or ann.get("area", 1) <= 0:
            report.dropped["smaller than a pixel"] += 1
        elif ann.get("iscrowd"):
            report.dropped["crowd"] += 1
        else:
            report.boxes += 1
    if not allow_odd:
        report.errors += odd
    elif odd:
        report.dropped["odd"] = len(odd)
        report.warnings.append(
            f"{len(odd)} odd boxes are accepted; mmdet leaves out those thinner than a pixel or wholly "
            f"outside, and keeps the others as they are until a transform clips them; the first: {odd[0]}"
        )


def odd_box(bbox: Any, width: int | float, height: int | float) -> str:
    """Say what is wrong with a box in an image of that size, or return an empty string.

    Example:
        >>> odd_box([0, 0, 10, 10.5], 10, 10), odd_box([3, 3, 0, 2], 10, 10)
        ('', 'is empty in an image')
    """
    numbers = isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(one, int | float) for one in bbox)
    if not numbers or not all(math.isfinite(one) for one in bbox):
        return "is not four numbers (left, top, width, height) in an image"
    x, y, w, h = bbox
    if w <= 0 or h <= 0:
        return "is empty in an image"
    if min(x, y) < -ROUNDING_PX or x + w > width + ROUNDING_PX or y + h > height + ROUNDING_PX:
        return "reaches outside the image"
    return ""


def check_images(
    coco: Mapping[str, Any], folder: str, report: Report, *, cure: str, decode: bool | None = None
) -> None:
    """Find images that are missing, cannot be decoded, or have another size than the file says.

    Args:
        coco: the parsed file.
        folder: where its images lie.
        report: takes the findings.
        cure: what the errors tell people to do.
        decode: whether to decode them; None decodes up to :data:`DECODE_UP_TO` images.
    """
    report.images = len(coco["images"])
    if decode is None and report.images > DECODE_UP_TO:
        report.warnings.append(
            f"{report.file}: with {report.images} images, more than {DECODE_UP_TO}, they were looked for and "
            "not decoded; mmext verify CONFIG --decode decodes them all"
        )
    decode = report.images <= DECODE_UP_TO if decode is None else decode
    for image in coco["images"]:
        path = Path(folder) / image["file_name"]
        if not path.is_file():
            report.errors.append(f"{path}: not found, expected an image since {report.file} lists it; {cure}")
        elif decode:
            report.decoded += 1
            trouble = broken_image(path, (image["width"], image["height"]))
            if trouble:
                report.errors.append(f"{path}: {trouble}; {cure}")


def broken_image(path: Path, size: tuple[int, int]) -> str:
    """Say why an image cannot be used, or return an empty string; ``size`` is (width, height) in pixels."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # aerial photographs may be very large
    try:
        with Image.open(path) as image:
            image.load()
            got = image.size
    except (OSError, SyntaxError, ValueError) as error:
        return f"expected a whole image, got one that cannot be decoded ({error})"
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    # OpenCV turns pictures as their EXIF tag says, so either order may be right.
    fits = size in (got, got[::-1])
    return (
        ""
        if fits
        else f"expected {size[0]} x {size[1]} pixels as its annotations say, got {got[0]} x {got[1]}"
    )
