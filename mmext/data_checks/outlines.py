"""What an object's outline must be: polygons, or the run lengths of a bitmap, as COCO writes them.

Host     none; pycocotools decodes run lengths
Polygon  [x1, y1, x2, y2, …], at least three points; an object has a list of them
Runs     {"size": [height, width], "counts": …}: lengths of background and object in turn, column by
         column; a list of numbers, or the same compressed into text
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmext.data_checks.entries import are_numbers, is_box, is_number
from mmext.data_checks.needs import Needs
from mmext.data_checks.report import shown


class Seen(tuple[int, ...]):
    """Polygons that are lists of numbers, in short: how many numbers each has."""


def in_short(outline: Any) -> Any:
    """Polygons in short if they are some; everything else as it is.

    Numbers of polygons are most of COCO's file: two gigabytes of Python's objects.

    Example:
        >>> in_short([[0, 0, 4, 0, 4, 4], [1, 2]]), in_short([[0, None]]), in_short(None)
        ((6, 2), [[0, None]], None)
    """
    if isinstance(outline, list) and outline and not bad_polygons(outline):
        return Seen(map(len, outline))
    return outline


def lengths(outline: Any) -> Sequence[int]:
    """How many numbers each polygon of a sound outline has; none of run lengths."""
    return (
        outline
        if isinstance(outline, Seen)
        else [*map(len, outline)]
        if isinstance(outline, list)
        else ()
    )


def bad_outline(outline: Any, image: Mapping[str, Any], *, bitmaps: bool = True) -> str:
    """Say why mmdet fails on the outline of an object, or return an empty string.

    Args:
        outline: the value of ``segmentation``.
        image: the entry of its image.
        bitmaps: whether outlines become bitmaps; otherwise run lengths are passed over.
    """
    if not outline:
        return f"has the segmentation {shown(outline)}, expected one since the pipeline loads masks"
    if isinstance(outline, Seen):
        return ""
    if isinstance(outline, list):
        return bad_polygons(outline)
    if isinstance(outline, dict):
        return bad_runs(outline, image) if bitmaps else ""
    return f"has the segmentation {shown(outline)}, expected polygons or run lengths"


def bad_polygons(polygons: list[Any]) -> str:
    """Say why a list of polygons is none, or return an empty string.

    Example:
        >>> bad_polygons([[0, 0, 4, 0, 4, 4]]), bad_polygons([0, 0, 4, 0, 4, 4])[:33]
        ('', 'has the segmentation [0, 0, 4, 0,')
    """
    for polygon in polygons:
        if not isinstance(polygon, list):
            return (
                f"has the segmentation {shown(polygons)}, expected a list of polygons, each a list "
                "of numbers; a single polygon takes brackets of its own"
            )
        if not are_numbers(polygon):
            odd = next(one for one in polygon if not is_number(one))
            return (
                f"has a polygon with {shown(odd)} in it, expected numbers x1, y1, x2, y2 and so on"
            )
    return ""


def bad_runs(runs: Mapping[str, Any], image: Mapping[str, Any]) -> str:
    """Say why run lengths are no bitmap of their image, or return an empty string."""
    size, counts = runs.get("size"), runs.get("counts")
    expected = [image["height"], image["width"]]
    if size != expected:
        return (
            f"has run lengths of the size {shown(size)}, expected {expected}, height and width of "
            "its image"
        )
    if not isinstance(counts, list | str):
        return f"has the run lengths {shown(counts)}, expected a list of numbers or a text"
    if isinstance(counts, list):
        whole = all(isinstance(one, int) and one >= 0 for one in counts)
        if not whole or sum(counts) != expected[0] * expected[1]:
            return (
                f"has run lengths that do not add up to {expected[0]} x {expected[1]} pixels: "
                f"{shown(counts)}"
            )
        return ""
    return bad_text(counts, size)


def bad_text(counts: str, size: list[int]) -> str:
    """Say why a compressed text of run lengths is none, or return an empty string."""
    from pycocotools import mask

    try:
        mask.decode({"size": size, "counts": counts.encode()})
    except (ValueError, TypeError, MemoryError, OverflowError) as error:
        return f"has compressed run lengths that cannot be read ({error}): {shown(counts)}"
    return ""


def bad_truth(ann: Mapping[str, Any], image: Mapping[str, Any], needs: Needs) -> str:
    """Say why COCO's evaluation fails on an annotation, or return an empty string.

    It reads every annotation of a wanted class, also those that mmdet leaves out.
    """
    if needs.by_coco and not is_number(ann["id"]):
        return "has a text as id, expected a number since the evaluation keeps it as one"
    if needs.crowds and ann.get("iscrowd") not in (0, 1):
        got = shown(ann["iscrowd"]) if "iscrowd" in ann else "none"
        return f"has iscrowd {got}, expected 0 or 1 since the evaluation reads it"
    if needs.crowds and not (is_number(ann.get("area")) and is_box(ann.get("bbox"))):
        return (
            f"has the box {shown(ann.get('bbox'))} and the area {shown(ann.get('area'))}, expected "
            "numbers, which the evaluation reads"
        )
    if needs.outlines:
        if not ann.get("segmentation"):
            return "has no segmentation, expected one since the evaluation compares masks"
        return bad_outline(ann["segmentation"], image) or _too_short(ann["segmentation"])
    return ""


def _too_short(outline: Any) -> str:
    """Say which polygon pycocotools takes for something else, since it goes by length."""
    short = [number for number in lengths(outline) if number < 6]
    return (
        f"has a polygon of {short[0]} numbers, expected six or more, x and y of each point"
        if short
        else ""
    )
