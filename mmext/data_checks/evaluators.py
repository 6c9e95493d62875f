"""What an evaluator fails on: a file of other images, its own arguments, what samples do not hold.

Pure     parsed files and parts of a config in, sentences out
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.data_checks.entries import is_number
from mmext.data_checks.needs import type_name
from mmext.data_checks.report import shown
from mmext.errors import some


def other_images(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], *, file: str
) -> tuple[str, str]:
    """Compare the images of a data set's file with those of the evaluator's.

    Args:
        mine: the parsed file of the data set.
        theirs: that of the evaluator.
        file: path of the data set's, for the sentences.

    Returns:
        an error and a warning; either may be empty.

    Example:
        >>> one = dict(images=[dict(id=1, file_name="a.jpg")])
        >>> other_images(one, dict(images=[dict(id=2, file_name="b.jpg")]), file="val.json")[0][:55]
        'expected the images of val.json, got none of id 1; set '
    """
    cure = "set ann_file of the evaluator to the data set's file"
    known = {image["id"]: image for image in theirs["images"]}
    missing = [shown(image["id"]) for image in mine["images"] if image["id"] not in known]
    if missing:
        # An XML data set's ids are names, so its list stands against numbers.
        if {str(one) for one in known} >= {str(image["id"]) for image in mine["images"]}:
            cure = "write ids of one kind, numbers or texts, in both"
        return f"expected the images of {file}, got none of id {some(missing)}; {cure}", ""
    for image in mine["images"]:
        if "file_name" not in image and "coco_url" not in image:
            continue  # its id is its name
        names = [_name(one) for one in (image, known[image["id"]])]
        if names[0] != names[1]:
            return (
                f"expected the images of {file}, got for id {shown(image['id'])} {shown(names[1])} "
                f"instead of {shown(names[0])}; {cure}"
            ), ""
    more = len(known) - len({image["id"] for image in mine["images"]})
    if more:
        return "", (
            f"has {more} images more than {file}: their objects count as missed in every "
            f"evaluation; {cure}"
        )
    return "", ""


def _name(image: Mapping[str, Any]) -> str:
    """Name of an image's file without folders, which two files may count from different places."""
    return (
        str(image.get("file_name") or image.get("coco_url")).replace("\\", "/").rpartition("/")[2]
    )


PACKED = (
    "img_id",
    "img_path",
    "ori_shape",
    "img_shape",
    "scale_factor",
    "flip",
    "flip_direction",
)
"""What PackDetInputs hands on unless meta_keys says otherwise."""


def voc_troubles(
    metric: Mapping[str, Any], names: Sequence[str], year: str, printed: Sequence[str] = ()
) -> Iterator[tuple[bool, str]]:
    """Say what VOCMetric fails on, and whether it is an error.

    Args:
        metric: its config.
        names: the classes of the data set.
        year: ``VOC2007`` or ``VOC2012`` if the host takes the data set for it.
        printed: the names in its table of results then, whatever the data set's own are.

    Example:
        >>> [[is_error, told]] = voc_troubles(dict(iou_thrs=(0.5,)), ["cat"], "")
        >>> told
        'expected a float or a list of them as iou_thrs, got (0.5,); write [0.5]'
    """
    named = metric.get("metric", "mAP")
    recall = (named if isinstance(named, str) else next(iter(named or ()), "")) == "recall"
    if trouble := _bad_thresholds(metric.get("iou_thrs", 0.5), several=recall):
        yield True, trouble
    if recall:
        if isinstance(metric.get("proposal_nums"), int):
            got = metric["proposal_nums"]
            yield True, f"expected a list as proposal_nums, got {got}; write [{got}]"
        return
    if metric.get("scale_ranges") is not None:
        yield (
            True,
            f"expected no scale_ranges, since the host cannot round a mean for each of them, got "
            f"{shown(metric['scale_ranges'])}; remove it",
        )
    if year and len(names) > len(printed):
        yield (
            True,
            f"expected at most {len(printed)} classes in a folder {year}, whose names the table of "
            f"results has, got {len(names)}; put the data into a folder of another name, or use "
            "XMLDataset",
        )
    elif year and tuple(names) != tuple(printed[: len(names)]):
        wrong = next(place for place, one in enumerate(names) if one != printed[place])
        yield (
            False,
            f"in a folder {year} its table of results calls {shown(names[wrong])} "
            f"{printed[wrong]}; put the data into a folder of another name, or use XMLDataset",
        )


def _bad_thresholds(given: Any, *, several: bool) -> str:
    """What is wrong with thresholds; ``several``: any sequence will do, not a list alone."""
    listed = isinstance(given, list) or (
        several and hasattr(given, "__len__") and not isinstance(given, str | Mapping)
    )
    values = [given] if isinstance(given, float) else list(given) if listed else None
    if values is None:
        right = list(given) if isinstance(given, tuple) else [0.5]
        return (
            f"expected a float or a list of them as iou_thrs, got {shown(given)}; write "
            f"{shown(right)}"
        )
    if not values or not all(is_number(one) and 0 < one <= 1 for one in values):
        return (
            f"expected iou_thrs above 0 and up to 1, got {shown(given)}; write them as parts of 1"
        )
    return ""


def panoptic_troubles(
    metric: Mapping[str, Any], names: Sequence[str], things: Any
) -> Iterator[tuple[bool, str]]:
    """Say what CocoPanopticMetric fails on, and whether it is an error.

    Args:
        metric: its config.
        names: the classes of the data set; empty for unknown.
        things: ``thing_classes`` of its metainfo; None if it has none.
    """
    folder, blind = metric.get("seg_prefix"), metric.get("format_only")
    if not blind and (metric.get("outfile_prefix") is None or metric.get("ann_file")):
        if not isinstance(folder, str):
            yield (
                True,
                f"expected the folder of the true PNGs as seg_prefix, got {shown(folder)}; write "
                "its path, which does not start at data_root",
            )
        elif "://" not in folder and not Path(folder).is_dir():
            yield (
                True,
                f"{folder}: not found, expected the folder of the true PNGs there; correct "
                "seg_prefix, which does not start at data_root",
            )
    if metric.get("ann_file") or not names:
        return
    if things is None:
        yield (
            True,
            "expected thing_classes in the data set's metainfo or ann_file in the evaluator, got "
            "neither; give ann_file",
        )
    elif not blind and len({name in things for name in names}) < 2:
        yield (
            True,
            "expected thing_classes in the data set's metainfo to be some of its classes, since "
            f"the mean of things and that of stuff are taken, got {shown(things)} for the classes "
            f"{some(names)}; give ann_file, or correct thing_classes",
        )


def unpacked(metric: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a metric reads of a sample that PackDetInputs does not hand on.

    Example:
        >>> unpacked(dict(type="CocoMetric"), [dict(type="PackDetInputs")])
        ['instances']
    """
    packing = [step for step in steps if type_name(step) in ("PackDetInputs", "PackPoseDetInputs")]
    name = type_name(metric)
    read: list[str] = []
    if name == "CocoMetric":
        read = ["img_id", "ori_shape", *([] if metric.get("ann_file") else ["instances"])]
    elif name == "CocoKeypointMetric":
        read = ["img_id"]
    elif name == "CocoPanopticMetric":
        read = ["img_id", "img_path", "ori_shape"]
        if not metric.get("ann_file"):
            own = metric.get("outfile_prefix")
            read += ["segments_info", *([] if own is None else ["seg_map_path"])]
    if not packing:
        return []
    keys = {key for step in packing for key in (step.get("meta_keys") or PACKED)}
    return [key for key in read if key not in keys]
