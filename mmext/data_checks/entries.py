"""Whether mmdet can read the entries of a COCO file at all: keys, kinds of values, ids.

Host     none
Pure     takes what JSON holds, returns findings; nothing that JSON can hold makes it fail
Letters  a box is [left, top, width, height] in pixels
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmext.data_checks.report import Report, shown
from mmext.errors import BadInputError, some

LARGEST = 1e30
"""Numbers of a larger magnitude cannot be meant, and float32 ends not far above."""

NUMBERS = (int, float)
"""A tuple: isinstance tests it several times faster than a union, for millions of numbers."""

KEYS = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id"),
}
"""What mmdet reads of every entry; of annotations it reads more if their image is listed."""

IDS = {"images": ("id",), "categories": ("id",), "annotations": ("id", "image_id", "category_id")}


def is_number(value: Any) -> bool:
    """Whether it is a number that a box can hold.

    Example:
        >>> [is_number(one) for one in (1, -2.5, "3", None, float("nan"), 10**400)]
        [True, True, False, False, False, False]
    """
    return isinstance(value, NUMBERS) and -LARGEST <= value <= LARGEST


def is_box(bbox: Any) -> bool:
    """Whether it is four numbers.

    Example:
        >>> is_box([0, 0, 2.5, 3]), is_box([0, 0, 2, None]), is_box("0 0 2 3")
        (True, False, False)
    """
    return isinstance(bbox, list) and len(bbox) == 4 and all(map(is_number, bbox))


def are_numbers(values: list[Any]) -> bool:
    """Whether all are numbers that a polygon can hold.

    Example:
        >>> lists = [1, 2.5], [1, "2"], [float("nan"), 1.0], [10**400, 1.0], []
        >>> [are_numbers(one) for one in lists]
        [True, False, False, False, True]
    """
    if {*map(type, values)} <= {int, float} and values:  # decided without a step of Python for each
        try:
            finite = math.isfinite(math.fsum(values))
        except (OverflowError, ValueError):
            return False
        return finite and min(values) >= -LARGEST and max(values) <= LARGEST
    return all(map(is_number, values))


def is_id(value: Any) -> bool:
    """Whether other entries can refer to it: a number or text."""
    return is_number(value) or isinstance(value, str)


def check_entries(
    coco: Mapping[str, Any],
    report: Report,
    *,
    sizes: bool = True,
    unique: bool = True,
    file_key: str = "file_name",
) -> None:
    """Find entries without a key that mmdet reads, or with a value that it fails on.

    Args:
        coco: the parsed file, its lists being lists.
        report: takes the findings.
        sizes: whether the images' sizes are read; a test without annotations does not.
        unique: whether ids of annotations must differ.
        file_key: which key of an image names its file.
    """
    before = report.kinds.total()
    for kind, keys in KEYS.items():
        wanted = tuple(file_key if key == "file_name" else key for key in keys)
        for entry in coco[kind]:
            for sentence in _entry_troubles(kind, entry, wanted):
                report.error(kind, f"{report.file}: {sentence}")
    if report.kinds.total() == before:
        images = _image_troubles(coco["images"], file_key, sizes=sizes)
        for sentence in [*images, *_repeated(coco, file_key, unique=unique)]:
            report.error("values", f"{report.file}: {sentence}")


def _entry_troubles(kind: str, entry: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Say what an entry lacks, or which of its ids is none."""
    if not isinstance(entry, dict):
        yield (
            f"expected {kind} with {', '.join(keys)}, got {shown(entry)}; write it again with them"
        )
        return
    if absent := [key for key in keys if key not in entry]:
        yield (
            f"expected {kind} with {', '.join(keys)}, got one without {', '.join(absent)}: "
            f"{shown(entry)}; write it again with them"
        )
        return
    for key in IDS[kind]:
        if not is_id(entry[key]):
            yield (
                f"expected a number or a text as {key} in {kind}, got {shown(entry[key])}; "
                "correct it"
            )


def _image_troubles(
    images: Iterable[Mapping[str, Any]], file_key: str, *, sizes: bool
) -> Iterator[str]:
    """Say which images have a file name or a size that is none."""
    for image in images:
        name = image[file_key]
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            yield (
                f"expected the path of a file as {file_key} of an image, got {shown(name)}; "
                "correct it"
            )
        sides = [image["width"], image["height"]]
        if sizes and not all(is_number(side) and side > 0 for side in sides):
            yield (
                f"image {shown(image['id'])}: expected its width and height in pixels, got "
                f"{shown(sides[0])} and {shown(sides[1])}; write the size of {shown(name)}"
            )


def _repeated(coco: Mapping[str, Any], file_key: str, *, unique: bool) -> Iterator[str]:
    """Say which ids and names are given to more than one entry, or are of two kinds."""
    for kind in ("images", "categories"):
        texts = [isinstance(one["id"], str) for one in coco[kind]]
        if len(set(texts)) > 1:
            one = coco[kind][texts.index(True)]["id"]
            yield (
                f"expected ids of {kind} of one kind, got numbers and texts ({shown(one)}); "
                "write numbers"
            )
    names = {
        "annotation id": [one["id"] for one in coco["annotations"]] if unique else [],
        "category id": [one["id"] for one in coco["categories"]],
        "category name": [
            one["name"] for one in coco["categories"] if isinstance(one["name"], str)
        ],
    }
    files: dict[Any, set[str]] = {}
    for image in coco["images"]:
        files.setdefault(image["id"], set()).add(str(image[file_key]))
    # The same image listed twice is harmless; two images of one id take each other's boxes.
    names["image id"] = [one for one, paths in files.items() for _ in paths]
    for what, values in names.items():
        if len(set(values)) < len(values):
            twice = [shown(one) for one, count in Counter(values).items() if count > 1]
            yield f"expected each {what} once, got {some(twice)} twice; number anew"


def require_lists(coco: Any, file: str, names: Iterable[str], cure: str) -> None:
    """Refuse what has not the lists of a COCO file.

    Raises:
        BadInputError: a list is missing or is none.
    """
    missing = [
        key for key in names if not isinstance(coco, dict) or not isinstance(coco.get(key), list)
    ]
    if missing:
        raise BadInputError(
            f"{file}: expected a COCO file, got one without a list of {', '.join(missing)}; {cure}"
        )
