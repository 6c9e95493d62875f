"""Files of videos with keypoints and identities: one, or a folder with one a video.

Host     none; the class of the data set, through the registry, reads the videos
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.data_checks import points
from mmext.data_checks.coco import check_images, read_coco
from mmext.data_checks.entries import check_entries, is_box, is_number
from mmext.data_checks.layouts import dataset_class
from mmext.data_checks.needs import Needs
from mmext.data_checks.pictures import Reader
from mmext.data_checks.points import Wanted
from mmext.data_checks.report import Report, shown
from mmext.errors import BadInputError


def files_of(path: str) -> list[str]:
    """The file itself, or those in the folder; none if there is nothing."""
    file = Path(path)
    return sorted(map(str, file.glob("*.json"))) if file.is_dir() else [path] * file.is_file()


def check_videos(
    dataset: Mapping[str, Any],
    folder: str,
    report: Report,
    *,
    classes: Any,
    needs: Needs,
    wants: Wanted,
    cure: str,
    decode: bool | None,
    reader: Reader | None,
) -> None:
    """Check a data set of videos.

    Args:
        dataset: its config.
        folder: where its frames lie.
        report: takes the findings.
        classes: names of those that the config wants.
        needs: what the run reads.
        wants: what the config wants of points.
        cure: what the errors tell people to do.
        decode: whether to decode frames; None decodes some.
        reader: what decodes them in the pipeline; None if that is unknown.
    """
    files = files_of(report.file)
    if not files:
        report.error("files", f"{report.file}: expected files that end in .json, got none; {cure}")
    images, seen = [], 0
    for file in files:
        coco = read_coco(file, cure, annotations=needs.truth, outlines=False)
        complete(coco["images"])
        own = Report(report.split, file)
        check_entries(coco, own, sizes=False)
        if not own.errors:
            try:
                seen += check_file(dataset, coco, own, classes=classes, needs=needs, wants=wants)
            except BadInputError as error:
                text = str(error)
                own.error("refused", text if text.startswith(file) else f"{file}: {text}")
            except points.DAMAGED as error:
                own.error(
                    "refused",
                    f"{file}: expected a file of videos, got one with entries that cannot be read "
                    f"({error}); {cure}",
                )
        take_over(report, own)
        if not own.kinds["images"] and not own.kinds["values"]:
            images += coco["images"]
    if needs.truth and files and not report.errors and not seen:
        report.error(
            "nothing",
            f"{report.file}: expected objects in the {report.split} split, got none; correct the "
            "classes, or write the annotations again",
        )
    check_images(dict(images=images), folder, report, cure=cure, decode=decode, reader=reader)


def complete(images: Sequence[Any]) -> None:
    """Give frames without a size None, in place, and those with a wrong one, which nobody reads."""
    for image in images:
        if isinstance(image, dict):
            for side in ("width", "height"):
                size: Any = image.get(side)
                image[side] = size if is_number(size) and size > 0 else None


def take_over(report: Report, own: Report) -> None:
    """Add what was found in one file to what was found in all."""
    for kind, number in own.kinds.items():
        report.kinds[kind] += number
    report.errors += own.errors
    for sentence in own.warnings:
        report.warn(sentence)
    report.boxes += own.boxes
    report.dropped += own.dropped


def check_file(
    dataset: Mapping[str, Any],
    coco: dict[str, Any],
    report: Report,
    *,
    classes: Any,
    needs: Needs,
    wants: Wanted,
) -> int:
    """Check one file, whose entries have been checked; return how many objects it has.

    Raises:
        BadInputError: its videos cannot be told apart, or its classes are others.
    """
    kind = dataset_class(dataset)
    reads = points.reader(dataset, classes, coco["categories"], report.file)
    if dataset.get("single_frames"):
        coco = kind.each_a_video(coco)
    videos = kind.videos_of({**coco, "file": report.file})
    for sentence in kind.oddities({**coco, "file": report.file}, videos):
        report.warn(sentence)
    nameless = 0
    for video in videos:
        for frame, annotations in zip(video.frames, video.annotations, strict=True):
            kind.regions(frame)
            for one in annotations:
                count(one, reads, report)
                nameless += kind.identity(one) is None
    if nameless:
        report.warn(
            f"{report.file}: {nameless} objects have no track_id; they teach no identity, and "
            "count as nobody's in the evaluation of tracks"
        )
    # A video without people is no mistake; a split without any is.
    if report.boxes:
        points.check(coco, reads, report, needs=needs, wants=wants)
    return report.boxes


def count(annotation: Mapping[str, Any], reads: Any, report: Report) -> None:
    """Count an object as the data set uses it."""
    box = annotation.get("bbox")
    if box and not is_box(box):
        report.error(
            "annotation",
            f"{report.file}: annotation {shown(annotation['id'])} has the box {shown(box)}, "
            "expected four numbers (left, top, width, height); correct or remove it",
        )
    elif annotation["category_id"] not in reads.maps:
        report.dropped["of other classes or ignored"] += 1
    elif annotation.get("iscrowd"):
        report.dropped["crowd"] += 1
    elif not box and not annotation.get("keypoints"):
        report.dropped["without box and keypoints"] += 1
    else:
        report.boxes += 1
