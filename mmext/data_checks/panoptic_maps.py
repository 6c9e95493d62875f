"""Whether the PNGs of a panoptic data set are there and hold the segments that its file lists.

Host     none, but mmcv.imfrombytes decodes what is no plain picture of three channels
Layout   ``a/1.jpg`` has its segments in ``a/1.png``, whatever its annotation names
Letters  a pixel (r, g, b) belongs to segment r + 256 g + 65536 b, 0 to none
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmext.data_checks import pictures
from mmext.data_checks.masks import DECODE_UP_TO, SAMPLE
from mmext.data_checks.needs import parts, type_name
from mmext.data_checks.panoptic import is_used
from mmext.data_checks.parallel import each
from mmext.data_checks.report import Report, shown

CLOSE = 0.1
"""Part of an area by which a count of pixels may differ from it."""


class Place(NamedTuple):
    """A folder of PNGs, and whether the host looks for all of them in it or in folders below."""

    folder: str
    flat: bool = False

    def path(self, name: str) -> str:
        """The PNG of an image's file, as the host finds it.

        Example:
            >>> Place("seg").path("a/1.jpg"), Place("seg", flat=True).path("a/1.jpg")
            ('seg/a/1.png', 'seg/1.png')
        """
        name = os.path.basename(name) if self.flat else name
        return os.path.join(self.folder, name.replace(".jpg", ".png"))


class Seen(NamedTuple):
    """What a PNG has in common with the segments of its image."""

    trouble: str = ""
    segments: int = 0
    absent: Sequence[Any] = ()
    """Ids of segments that no pixel has."""
    reversed: bool = False
    """Whether all of them are there if red and blue change places."""
    pixels: int = 0
    unlisted: int = 0
    """Of the labelled pixels, those whose segment is not listed."""
    areas: int = 0
    """Segments whose area is not their number of pixels."""


def loads_maps(pipeline: Sequence[Any]) -> bool:
    """Whether a pipeline reads the PNGs."""
    return any(
        type_name(step) == "LoadPanopticAnnotations"
        and (step.get("with_mask", True) or step.get("with_seg", True))
        for _, step in parts(list(pipeline or ()), "")
    )


def judged_in(metrics: Sequence[Mapping[str, Any]]) -> list[Place]:
    """Where the evaluation of panoptic segmentation looks for PNGs."""
    return [
        Place(one["seg_prefix"], flat=one.get("outfile_prefix") is None)
        for one in metrics
        if type_name(one) == "CocoPanopticMetric"
        and not one.get("format_only")
        and isinstance(one.get("seg_prefix"), str)
        and "://" not in one["seg_prefix"]
        and (one.get("outfile_prefix") is None or one.get("ann_file"))
    ]


def check_maps(
    coco: Mapping[str, Any],
    places: Sequence[Place],
    report: Report,
    *,
    cure: str,
    decode: bool | None,
    areas: bool,
) -> None:
    """Find PNGs that are missing, of another size, or without the segments of their image.

    Args:
        coco: the parsed file, whose entries have been checked and whose annotations are segments.
        places: where they lie; several places may name the same files.
        report: takes the findings.
        cure: what the errors tell people to do.
        decode: whether to decode them; None decodes as many as of label maps.
        areas: whether the evaluation reads the segments' areas.
    """
    segments: dict[Any, list[Mapping[str, Any]]] = {}
    for one in coco["annotations"]:
        segments.setdefault(one["image_id"], []).append(one)
    wanted = {
        os.path.normpath(place.path(image["file_name"])): image
        for place in places
        for image in coco["images"]
    }
    report.folders = tuple(sorted({*report.folders, *map(os.path.dirname, wanted)} - {""}))
    found = []
    for path, image in wanted.items():
        if os.path.isfile(path):
            found.append((path, image, segments.get(image["id"], [])))
        else:
            report.error(
                "missing map",
                f"{path}: not found, expected the segments of {shown(image['file_name'])} there, "
                f"since the host puts .png for .jpg in the image's name; {cure}",
            )
    if decode is None and len(found) > DECODE_UP_TO:
        found = found[:: max(1, len(found) // SAMPLE)]
        report.warn(
            f"{report.file}: of {len(wanted)} PNGs, more than {DECODE_UP_TO}, {len(found)} were "
            "decoded; mmext verify CONFIG --decode decodes them all"
        )
    if decode is False or not found:
        return
    with pictures.of_any_size():
        seen = list(each(partial(_look, areas=areas), found, "PNGs of segments"))
    _conclude([one[0] for one in found], seen, report)


def ids_of(path: str) -> Any:
    """The segment of each pixel (height, width) of a PNG, as the host decodes it.

    Raises:
        ValueError: nothing that the host could read.
    """
    with Image.open(path) as opened:
        opened.load()
        colors = np.asarray(opened) if opened.mode == "RGB" else None
    if colors is None:
        import mmcv

        colors = mmcv.imfrombytes(Path(path).read_bytes(), flag="color", channel_order="rgb")
        if colors is None:
            raise ValueError("by cv2")
    red, green, blue = (colors[..., channel].astype(np.int64) for channel in range(3))
    return red + 256 * green + 65536 * blue


def _look(one: tuple[str, Mapping[str, Any], Sequence[Mapping[str, Any]]], *, areas: bool) -> Seen:
    """Decode a PNG and compare it with its image and its segments."""
    path, image, segments = one
    try:
        ids = ids_of(path)
    except Exception as error:
        # Pillow's plug-ins raise whatever a damaged file makes them stumble over.
        why = error or type(error).__name__
        return Seen(f"{path}: expected a whole PNG, got one that cannot be decoded ({why})")
    height, width = ids.shape
    if (width, height) != (image["width"], image["height"]):
        return Seen(
            f"{path}: expected {image['width']} x {image['height']} pixels as its image has, got "
            f"{width} x {height}"
        )
    values, counts = np.unique(ids, return_counts=True)
    pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
    listed = {segment["id"] for segment in segments}
    used = [segment for segment in segments if is_used(segment)]
    absent = [segment["id"] for segment in used if not pixels.get(segment["id"])]
    labelled = {value: count for value, count in pixels.items() if value}
    wrong = [
        segment
        for segment in used
        if segment["id"] in pixels
        and abs(pixels[segment["id"]] - segment["area"]) > max(1, CLOSE * segment["area"])
    ]
    return Seen(
        segments=len(used),
        absent=absent,
        reversed=bool(absent) and all(_reversed(number) in pixels for number in absent),
        pixels=sum(labelled.values()),
        unlisted=sum(count for value, count in labelled.items() if value not in listed),
        areas=len(wrong) if areas else 0,
    )


def _reversed(number: int | float) -> int:
    """The id of a pixel whose red and blue have changed places.

    Example:
        >>> _reversed(1 + 256 * 2 + 65536 * 3) == 3 + 256 * 2 + 65536 * 1
        True
    """
    number = int(number)
    return (number % 256) * 65536 + number // 256 % 256 * 256 + number // 65536


def _conclude(paths: Sequence[str], seen: Sequence[Seen], report: Report) -> None:
    """Report each PNG's trouble, then what all of them together mean: most of it wrong, or some."""
    for one in seen:
        if one.trouble:
            report.error("map", f"{one.trouble}; write it again")
    number, absent = sum(one.segments for one in seen), sum(len(one.absent) for one in seen)
    pixels, unlisted = sum(one.pixels for one in seen), sum(one.unlisted for one in seen)
    areas = sum(one.areas for one in seen)
    first = next((path for path, one in zip(paths, seen, strict=True) if one.absent), "")
    cure = "write an id as r + 256 g + 65536 b"
    if any(one.reversed for one in seen):
        cure = "change red and blue, which OpenCV writes the other way round"
    if absent:
        example = next(one.absent[0] for one in seen if one.absent)
        _tell(
            report,
            f"expected pixels of each segment in its PNG, got none for {absent} of {number}, the "
            f"first {shown(example)} in {first}; {cure}",
            most=2 * absent > number,
        )
    if unlisted and not 2 * absent > number:
        first = next(path for path, one in zip(paths, seen, strict=True) if one.unlisted)
        _tell(
            report,
            f"expected each labelled pixel's segment in segments_info, got none for "
            f"{100 * unlisted / pixels:.1f} % of them, first in {first}: they are ignored in "
            "training, and what is found there counts as wrong; list these segments, or write 0",
            most=2 * unlisted > pixels,
        )
    if areas:
        first = next(path for path, one in zip(paths, seen, strict=True) if one.areas)
        _tell(
            report,
            f"expected the number of its pixels as a segment's area, which the evaluation reads, "
            f"got another for {areas} of {number}, first in {first}; count them anew",
            most=2 * areas > number,
        )


def _tell(report: Report, sentence: str, *, most: bool) -> None:
    """An error where most is wrong, else a warning."""
    sentence = f"{report.file}: {sentence}"
    report.error("maps", sentence) if most else report.warn(sentence)
