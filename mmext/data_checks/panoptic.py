"""What the segments of a panoptic COCO file must be so that mmdet can train and evaluate on them.

Host     none; fields are read in the order of mmdet's CocoPanopticDataset and CocoPanopticMetric
Layout   an annotation is an image's list ``segments_info``; the classes' order is the file's own,
         in which models of panoptic segmentation expect all things before all stuff
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmext.data_checks.entries import is_box, is_id, is_number
from mmext.data_checks.needs import Needs, parts
from mmext.data_checks.report import Report, shown
from mmext.errors import some

HIGHEST = 256**3 - 1
"""The largest id that three channels of eight bits hold."""


def segments(annotations: Sequence[Any], report: Report) -> Iterator[Any]:
    """Yield the segments of panoptic annotations, each with the id of its image.

    ``ignore`` is left away: nobody reads it of a segment.
    """
    for one in annotations:
        listed = one.get("segments_info") if isinstance(one, dict) else None
        if not isinstance(listed, list) or not is_id(one.get("image_id")):
            report.error(
                "panoptic",
                f"{report.file}: expected annotations with image_id and a list segments_info, got "
                f"{shown(one)}; write the panoptic file again",
            )
            continue
        for segment in listed:
            if isinstance(segment, dict):
                kept = {key: value for key, value in segment.items() if key != "ignore"}
                yield {**kept, "image_id": one["image_id"]}
            else:
                yield segment


def own(needs: Needs) -> Needs:
    """What of the needs concerns a panoptic file: outlines are in PNGs, COCO reads another file."""
    return replace(needs, masks=False, outlines=False, by_coco=False, crowds=False)


def check_segments(coco: Mapping[str, Any], wanted: Any, report: Report, needs: Needs) -> None:
    """Find segments and categories that the host fails on as it loads or evaluates them.

    Args:
        coco: the parsed file, whose entries have been checked and whose annotations are segments.
        wanted: names of the classes that the config wants; empty for all.
        report: takes the findings.
        needs: what the run reads.
    """
    names = {one["id"]: str(one["name"]) for one in coco["categories"]}
    wanted = set(map(str, wanted)) or set(names.values())
    images = {image["id"] for image in coco["images"]}
    read = [one for one in coco["annotations"] if one["image_id"] in images]
    foreign: Counter[str] = Counter()
    for one in read:
        trouble = _trouble(one, needs)
        if not trouble and is_used(one):
            name = names.get(one["category_id"])
            if name is None:
                trouble = _no_category(one["category_id"], names)
            elif name not in wanted:
                foreign[name] += 1
            elif type(one["category_id"]) is not int:
                trouble = (
                    f"has the category_id {shown(one['category_id'])}, expected a whole number"
                )
        if trouble:
            report.error(
                "segment",
                f"{report.file}: segment {shown(one['id'])} of image {shown(one['image_id'])} "
                f"{trouble}; correct or remove it",
            )
    if foreign:
        report.error(
            "foreign",
            f"{report.file}: expected segments of the wanted classes alone, since the host fails "
            f"on others as it loads them, got {foreign.total()} of {some(foreign)}; add these to "
            "metainfo.classes, or remove the segments",
        )
    _check_kinds(coco["categories"], read, wanted, report, needs)
    _check_twins(read, report)
    if needs.things and not report.errors:
        _check_things(coco["categories"], read, report)


def is_used(segment: Mapping[str, Any]) -> bool:
    """Whether the host looks at a segment whose box and area are numbers."""
    return bool(segment["area"] > 0 and min(segment["bbox"][2:]) >= 1)


def _trouble(segment: Mapping[str, Any], needs: Needs) -> str:
    """Why the host or the evaluation fails on a segment, whatever its class is; or nothing."""
    number, crowd = segment["id"], segment.get("iscrowd", 0)
    if not is_number(number) or number != int(number) or not 0 <= number <= HIGHEST:
        return f"has an id that no pixel can have, expected a whole number from 1 to {HIGHEST}"
    if not is_box(segment.get("bbox")):
        got = shown(segment.get("bbox"))
        return f"has the box {got}, expected four numbers (left, top, width, height)"
    if not is_number(segment.get("area")):
        return f"has the area {shown(segment.get('area'))}, expected its number of pixels"
    if needs.panoptic and "iscrowd" not in segment:
        return "has no iscrowd, expected 0 or 1 since the evaluation reads it"
    if crowd not in (0, 1, None):
        return f"has iscrowd {shown(crowd)}, expected 0 or 1"
    return ""


def _no_category(one: Any, names: Mapping[Any, str]) -> str:
    """What is wrong with an id that is none of a category."""
    texts = " as numbers" if str(one) in set(map(str, names)) else ""
    return (
        f"has the category_id {shown(one)}, expected one of the file's categories{texts} "
        f"({some(map(shown, names))}), on others the host fails"
    )


def _check_kinds(
    categories: Sequence[Mapping[str, Any]],
    read: Sequence[Mapping[str, Any]],
    wanted: set[str],
    report: Report,
    needs: Needs,
) -> None:
    """Each category says whether it is a thing; the evaluation needs one of each kind."""
    seen = {one["category_id"] for one in read}
    for one in categories:
        if not (needs.panoptic or one["id"] in seen or str(one["name"]) in wanted):
            continue
        if "isthing" not in one or one["isthing"] not in (0, 1, None):
            got = shown(one["isthing"]) if "isthing" in one else "none"
            report.error(
                "isthing",
                f"{report.file}: expected isthing of category {shown(one['name'])} to be 1 for "
                f"things or 0 for stuff, got {got}; write it",
            )
    if not needs.panoptic or report.errors:
        return
    present = {bool(one["isthing"]) for one in categories if one["id"] in seen}
    for kind, what in ((True, "things"), (False, "stuff")):
        if not any(bool(one["isthing"]) is kind for one in categories):
            report.error(
                "kinds",
                f"{report.file}: expected categories of things and of stuff, since the evaluation "
                f"averages over each, got none of {what}; judge by CocoMetric or IoUMetric, or "
                "correct isthing",
            )
        elif read and kind not in present:
            report.warn(
                f"{report.file}: no segment of {what}, so the evaluation fails unless the model "
                "predicts some; write them too, or judge by another metric"
            )


def _check_twins(read: Sequence[Mapping[str, Any]], report: Report) -> None:
    """A pixel has one id, so two segments of an image cannot share it."""
    classes: dict[tuple[Any, Any], Any] = {}
    zeros = 0
    for one in read:
        place, zeros = (one["image_id"], one["id"]), zeros + (one["id"] == 0)
        first = classes.setdefault(place, one)
        if first is one:
            continue
        where = f"{report.file}: segment {shown(one['id'])} of image {shown(one['image_id'])}"
        if first["category_id"] != one["category_id"]:
            report.error(
                "twins",
                f"{where} is listed with the classes {shown(first['category_id'])} and "
                f"{shown(one['category_id'])}, expected each id once an image; number its "
                "segments and their pixels anew",
            )
        else:
            report.warn(f"{where} is listed twice and counts double; remove one")
    if zeros:
        report.warn(
            f"{report.file}: {zeros} segments have the id 0, which the evaluation takes for "
            "unlabelled pixels; number segments from 1"
        )


def _check_things(
    categories: Sequence[Mapping[str, Any]], read: Sequence[Mapping[str, Any]], report: Report
) -> None:
    """Of images without a thing a training leaves out all that ``filter_empty_gt`` says."""
    things = {one["id"] for one in categories if one.get("isthing")}
    if read and not any(
        one["category_id"] in things and is_used(one) and not one.get("iscrowd") for one in read
    ):
        report.error(
            "nothing",
            f"{report.file}: expected a thing, since filter_empty_gt leaves out images without, "
            "got none; set filter_empty_gt=False, or correct isthing",
        )


def heads(model: Any) -> list[tuple[str, int, int | None]]:
    """Parts of a model that number things before stuff: path, number of things and of stuff.

    Example:
        >>> heads(dict(panoptic_head=dict(num_things_classes=80, num_stuff_classes=53)))
        [('model.panoptic_head', 80, 53)]
    """
    return [
        (path, part["num_things_classes"], part.get("num_stuff_classes"))
        for path, part in parts(model or {}, "model")
        if isinstance(part.get("num_things_classes"), int)
    ]


def disagreements(
    coco: Mapping[str, Any],
    labels: Sequence[str],
    found: Sequence[tuple[str, int, int | None]],
    file: str,
) -> Iterator[str]:
    """Say where a model divides classes into things and stuff in another way than the file.

    Args:
        coco: the parsed file, whose categories have been checked.
        labels: the class of each label.
        found: parts of the model, as :func:`heads` returns them.
        file: path of the file, for the sentences.
    """
    things = {str(one["name"]) for one in coco["categories"] if one.get("isthing")}
    kinds = [name in things for name in labels]
    if not found or not labels:
        return
    if kinds != sorted(kinds, reverse=True):
        first = kinds.index(False)
        late = next(name for name, kind in zip(labels[first:], kinds[first:], strict=True) if kind)
        yield (
            f"{file}: expected all things before all stuff in its categories, since "
            f"{found[0][0]} numbers them so, got the thing {shown(late)} behind the stuff "
            f"{shown(labels[first])}; sort its categories, in the files of all splits alike"
        )
        return
    for path, number, stuff in found:
        for what, got, right in (
            ("things", number, sum(kinds)),
            ("stuff", stuff, len(kinds) - sum(kinds)),
        ):
            if got not in (None, right) and (what == "things" or got):
                yield (
                    f"{path}.num_{what}_classes: expected {right}, the {what} among the wanted "
                    f"classes of {file}, got {shown(got)}; set it to {right}"
                )
