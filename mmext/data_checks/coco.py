"""What a COCO file and its images must be so that mmdet can train on them.

Host     none: json, and Pillow for the images
Reads    the file as pycocotools does, in the encoding of the system and without a byte order mark;
         outlines, four fifths of COCO's file, are looked at and let go as it is read
Also     the layouts of LVIS, Objects365 and panoptic COCO: other names, classes numbered in other
         ways
"""

import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mmext.data_checks import conclusions, layouts, panoptic, pictures
from mmext.data_checks.entries import check_entries, require_lists
from mmext.data_checks.needs import Needs
from mmext.data_checks.objects import count_objects
from mmext.data_checks.outlines import in_short
from mmext.data_checks.parallel import each
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report
from mmext.errors import BadInputError, some

DECODE_UP_TO = 2000
"""Images of a split that are decoded without being asked to: about ten seconds' worth."""


def read_coco(
    file: str, cure: str, *, annotations: bool = True, outlines: bool = True
) -> dict[str, Any]:
    """Parse a COCO file.

    Args:
        file: its path.
        cure: what the error tells people to do.
        annotations: whether it must have them; the file of a test without truth has none.
        outlines: whether those of objects are looked at; they are left out otherwise.

    Raises:
        BadInputError: it is no JSON in the encoding that pycocotools reads, or lacks a list.
    """
    try:
        with open(file) as stream, _without_gc():
            coco = json.load(stream, object_hook=_in_short if outlines else _without_outline)
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{file}: expected JSON in UTF-8, got other bytes ({error.reason} at byte "
            f"{error.start}); write it again as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        mark = "write it again without a byte order mark, which pycocotools cannot read"
        do = mark if "BOM" in str(error) else cure
        raise BadInputError(
            f"{file}: expected a COCO file, got something that is no JSON ({error}); {do}"
        ) from None
    if isinstance(coco, dict) and not annotations:
        coco.setdefault("annotations", [])
    require_lists(coco, file, ("images", "annotations", "categories"), cure)
    return coco


def _in_short(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose outline takes no more place than needed."""
    if "segmentation" in entry:
        entry["segmentation"] = in_short(entry["segmentation"])
    return entry


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose outline nobody reads."""
    entry.pop("segmentation", None)
    return entry


@contextmanager
def _without_gc() -> Iterator[None]:
    """Of millions of small objects none is garbage: looking for some would take half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def check_file(
    coco: dict[str, Any],
    wanted: Any,
    report: Report,
    *,
    kind: str = layouts.COCO,
    needs: Needs | None = None,
    allow_odd: bool = False,
) -> None:
    """Check a file's entries, its classes and its objects, and conclude what they are good for.

    Args:
        coco: the parsed file.
        wanted: names of the classes that the config wants; empty for all.
        report: takes the findings.
        kind: the layout, of :mod:`~mmext.data_checks.layouts`.
        needs: what the run reads.
        allow_odd: whether the config accepts boxes outside their image or without size.

    Raises:
        BadInputError: no class in common, or a string where a tuple was meant.
    """
    needs = needs or Needs()
    if kind == layouts.PANOPTIC:
        coco["annotations"] = list(panoptic.segments(coco["annotations"], report))
        needs = panoptic.own(needs)
    file_key = "coco_url" if kind == layouts.LVIS_1 else "file_name"
    sizes = needs.truth or bool(coco["annotations"])
    check_entries(coco, report, sizes=sizes, unique=kind != layouts.PANOPTIC, file_key=file_key)
    report.images = len(coco["images"])
    if report.errors:
        return
    everything = needs.by_coco or needs.panoptic
    check_classes(coco, wanted, report, kind=kind, all_of_them=everything)
    report.labels = layouts.numbered(coco["categories"], wanted, kind)
    if kind == layouts.PANOPTIC:
        panoptic.check_segments(coco, wanted, report, needs)
        if report.errors:
            return
    found = count_objects(
        coco, () if kind in UNSELECTED else wanted, needs, report, allow_odd=allow_odd
    )
    if not needs.truth:
        return
    if error := conclusions.nothing_to_detect(found, split=report.split):
        report.error("nothing", f"{report.file}: {error}")
    elif missing := conclusions.without_object(
        found.used, wanted or report.labels or (), split=report.split, what="object"
    ):
        report.warn(f"{report.file}: {missing}")


UNSELECTED = (layouts.PANOPTIC, layouts.LVIS_05, layouts.LVIS_1)
"""Layouts that take all classes of a file."""


def check_classes(
    coco: Mapping[str, Any],
    wanted: Any,
    report: Report,
    *,
    kind: str = layouts.COCO,
    all_of_them: bool = False,
) -> None:
    """Compare the file's classes with those that the config wants.

    Args:
        coco: the parsed file, whose entries have been checked.
        wanted: names of the classes that the config wants; empty for all.
        report: takes the findings.
        kind: the layout.
        all_of_them: whether the file must have every class, since the evaluation looks up what is
            predicted.

    Raises:
        BadInputError: no class in common, or a string where a tuple was meant.
    """
    if isinstance(wanted, str):
        raise BadInputError(
            f"{report.file}: expected a tuple as metainfo.classes, got the string {wanted!r}; "
            f"write metainfo=dict(classes=({wanted!r},)) with the comma"
        )
    names = [str(category["name"]) for category in coco["categories"]]
    found = list(layouts.numbered(coco["categories"], wanted, kind))
    common = [name for name in found if name in set(map(str, wanted))]
    if wanted and not common:
        classes = f"({', '.join(map(repr, names[:20]))}{',' if len(names) == 1 else ''})"
        cure = (
            f"set metainfo=dict(classes={classes}) in the datasets of all splits and "
            f"num_classes={len(names)}"
        )
        raise BadInputError(
            f"{report.file}: none of its classes ({some(names)}) is among those that the config "
            f"wants ({some(map(str, wanted))}); {cure if names else 'add its categories'}"
        )
    missing = [str(one) for one in wanted if str(one) not in common]
    if missing and all_of_them:
        report.error(
            "classes",
            f"{report.file}: expected the categories {some(map(str, wanted))}, got none named "
            f"{some(missing)}, so the evaluation fails on predictions of them; add them to its "
            "categories, or correct the names",
        )
    elif wanted and found != [str(one) for one in wanted]:
        # mmdet numbers the classes in the file's order and passes over those that the file lacks.
        report.warn(
            f"{report.file}: the config wants the classes {some(map(str, wanted))}, the file has "
            f"{some(found)}; mmdet numbers them as the file does, so names and labels disagree: "
            "use the same list in the same order"
        )


def check_images(
    coco: Mapping[str, Any],
    folder: str,
    report: Report,
    *,
    cure: str,
    decode: bool | None = None,
    reader: Reader | None = Reader(),  # noqa: B008  it cannot be changed
    kind: str = layouts.COCO,
) -> None:
    """Find images that are missing, cannot be decoded, or have another size than the file says.

    Args:
        coco: the parsed file, whose entries have been checked.
        folder: where its images lie.
        report: takes the findings.
        cure: what the errors tell people to do.
        decode: whether to decode them; None decodes up to :data:`DECODE_UP_TO` images.
        reader: what decodes them in the pipeline; None if that is unknown, then none is decoded.
        kind: the layout.
    """
    report.images = len(coco["images"])
    if decode is None and report.images > DECODE_UP_TO:
        report.warn(
            f"{report.file}: with {report.images} images, more than {DECODE_UP_TO}, they were "
            "looked for and not decoded; mmext verify CONFIG --decode decodes them all"
        )
    paths = [os.path.join(folder, layouts.file_name(image, kind)) for image in coco["images"]]
    report.folders = tuple(sorted({os.path.dirname(path) for path in paths}))
    there = list(each(_is_file, paths, "paths"))
    for path, is_there in zip(paths, there, strict=True):
        if not is_there:
            report.error(
                "missing",
                f"{path}: not found, expected an image since {report.file} lists it; {cure}",
            )
    decode = report.images <= DECODE_UP_TO if decode is None else decode
    if not decode or reader is None:
        return
    found = [Path(path) for path, is_there in zip(paths, there, strict=True) if is_there]
    entries = [image for image, is_there in zip(coco["images"], there, strict=True) if is_there]
    with pictures.of_any_size():
        seen = list(each(partial(pictures.look, reader=reader), found, "images"))
    report.decoded = len(seen)
    turned = [
        path for path, one in zip(found, seen, strict=True) if pictures.turned_unseen(one, reader)
    ]
    for file, image, one in zip(found, entries, seen, strict=True):
        size = (image["width"], image["height"])
        trouble = pictures.disagreement(one, size) if None not in size else one.trouble
        if trouble:
            report.error("image", f"{file}: {trouble}; {cure}")
    if turned:
        report.warn(
            f"{report.file}: {len(turned)} images have an EXIF tag by which the host turns or "
            f"mirrors them as it loads them, the first {turned[0]}; boxes that were drawn without "
            "lie beside: store the images turned and without the tag"
        )


def _is_file(path: str) -> bool:
    """Whether there is a file; names in damaged files may be none that a system can have."""
    try:
        return os.path.isfile(path)
    except ValueError:
        return False
