"""Whether keypoints are what their data set can read, lie where they can, and suit the config.

Host     none; the class of the data set, through the registry, says how its points are read
Letters  x, y, v; v 0 unlabelled, 1 hidden, 2 visible
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmext.data_checks.entries import are_numbers, is_box
from mmext.data_checks.layouts import dataset_class
from mmext.data_checks.needs import Needs, metrics, parts, type_name
from mmext.data_checks.report import Report, shown
from mmext.errors import BadInputError

ROUNDING_PX = 1.0
"""How far a point may lie outside: tools round to whole pixels, and count them from 0 or 1."""


DAMAGED = (TypeError, ValueError, KeyError, AttributeError, IndexError)
"""What reading raises where values of a file are of other kinds than they can be."""


@dataclass(frozen=True)
class Wanted:
    """What a config wants of points besides its data set."""

    heads: tuple[tuple[str, int], ...] = ()
    """Where the model says a number of keypoints, and which."""
    sigmas: bool = True
    """Whether no metric lacks sigmas of its own."""
    flips: bool = False
    """Whether the pipeline mirrors pictures."""


def wanted(cfg: Mapping[str, Any], split: str, dataset: Mapping[str, Any]) -> Wanted:
    """What the config wants of the points of a split.

    Example:
        >>> wanted(dict(model=dict(head=dict(num_keypoints=5))), "train", dict(pipeline=[]))
        Wanted(heads=(('model.head.num_keypoints', 5),), sigmas=True, flips=False)
    """
    heads = tuple(
        (f"{path}.num_keypoints", part["num_keypoints"])
        for path, part in parts(cfg.get("model") or {}, "model")
        if isinstance(part.get("num_keypoints"), int)
    )
    judges = [one for one in metrics(cfg, split) if type_name(one) == "CocoKeypointMetric"]
    own = split == "train" or all(one.get("sigmas") or one.get("format_only") for one in judges)
    steps = parts(dataset.get("pipeline") or (), "")
    return Wanted(heads, own, any(type_name(step) == "PoseFlip" for _, step in steps))


def reader(dataset: Mapping[str, Any], classes: Any, categories: Any, file: str) -> Any:
    """How a data set reads points; None if it reads none.

    Raises:
        BadInputError: the file's categories do not fit the config.
    """
    kind = dataset_class(dataset)
    if not hasattr(kind, "reader_for"):
        return None
    metainfo = {**(dataset.get("metainfo") or {}), "classes": classes}
    try:
        return kind.reader_for({**dataset, "metainfo": metainfo}, categories, file)
    except BadInputError:
        raise
    except DAMAGED as error:
        raise BadInputError(
            f"{file}: expected names of keypoints in categories and metainfo, and pairs of them as "
            f"skeleton and flip_pairs, got what cannot be read ({error}); write them again"
        ) from None


def check(
    coco: Mapping[str, Any], reads: Any, report: Report, *, needs: Needs, wants: Wanted
) -> None:
    """Check the points of a parsed file, whose entries have been checked, and what wants them.

    Args:
        coco: the file.
        reads: of :func:`reader`.
        report: takes the findings.
        needs: what the run reads.
        wants: what the config wants of points.
    """
    for sentence in unsuitable(reads.layout, wants):
        report.error("points", f"{report.file}: {sentence}")
    if needs.truth:
        check_annotations(coco, reads, report)


def unsuitable(layout: Any, wants: Wanted) -> Iterator[str]:
    """Say what of a config does not suit the points of its data set."""
    number = len(layout.names)
    for place, got in wants.heads:
        if got != number:
            yield f"expected {place}={number}, the keypoints of the data set, got {got}; set it"
    if wants.flips and layout.flip_pairs is None:
        yield (
            "expected flip_pairs in metainfo, since PoseFlip swaps left and right, got none; write "
            "the pairs, () if no point has a side, or leave PoseFlip out"
        )
    if not wants.sigmas and layout.sigmas is None:
        yield (
            f"expected a sigma for each of {number} keypoints in metainfo, since "
            "CocoKeypointMetric divides by them, got none; write them (0.05 each where nobody "
            "measured them)"
        )


def check_annotations(coco: Mapping[str, Any], reads: Any, report: Report) -> None:
    """Find points that cannot be read, and conclude from where the others lie."""
    images = {image["id"]: image for image in coco["images"]}
    found = Places()
    for annotation in coco["annotations"]:
        if annotation["category_id"] not in reads.maps or annotation["image_id"] not in images:
            continue
        try:
            points = stated(annotation, reads)
        except BadInputError as error:
            report.error("points", str(error))
            continue
        labelled = points[reads.visibility(points) > 0, :2]
        found.add(labelled, annotation, images[annotation["image_id"]])
    for is_error, sentence in found.conclusions(report.split):
        text = f"{report.file}: {sentence}"
        report.error("points", text) if is_error else report.warn(text)


def stated(annotation: Mapping[str, Any], reads: Any) -> np.ndarray:
    """The points of an annotation as its file has them, (S, 3).

    Raises:
        BadInputError: they are no such numbers.
    """
    values = annotation.get("keypoints")
    if values is None:
        return np.zeros((0, 3))
    if not isinstance(values, list) or not are_numbers(values):
        raise BadInputError(
            f"{reads.file}: annotation {shown(annotation['id'])}: expected numbers as keypoints, "
            f"got {shown(values)}; write x, y, v of each"
        )
    reads.points(annotation)
    points = np.array(values, float).reshape(-1, 3)
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        wrong = points[~np.isin(points[:, 2], (0, 1, 2)), 2][0]
        raise BadInputError(
            f"{reads.file}: annotation {shown(annotation['id'])}: expected v to be 0 (unlabelled), "
            f"1 (hidden) or 2 (visible), got {wrong:g}; write x, y, v in this order"
        )
    return points


class Places:
    """Where the labelled points of a file lie."""

    def __init__(self) -> None:
        self.objects = self.labelled = self.outside = self.apart = self.shares = 0
        self.miscounted = 0
        self.first = ""

    def add(
        self, labelled: np.ndarray, annotation: Mapping[str, Any], image: Mapping[str, Any]
    ) -> None:
        """Count the labelled ones of an object, (L, 2)."""
        self.objects += 1
        self.labelled += len(labelled)
        counted = annotation.get("num_keypoints", len(labelled))
        self.miscounted += bool(counted != len(labelled))
        self.shares += int(((labelled >= 0) & (labelled <= 1)).all(1).sum())
        size = np.array([image.get("width") or np.inf, image.get("height") or np.inf])
        outside = (labelled < -ROUNDING_PX) | (labelled > size + ROUNDING_PX)
        self.outside += int(outside.any(1).sum())
        if outside.any() and not self.first:
            x, y = labelled[outside.any(1)][0]
            self.first = f"({x:g}, {y:g}) of annotation {shown(annotation['id'])}"
        if is_box(annotation.get("bbox")):
            left, top, width, height = annotation["bbox"]
            low, high = np.array([left, top]), np.array([left + width, top + height])
            apart = (labelled < low - ROUNDING_PX) | (labelled > high + ROUNDING_PX)
            self.apart += int(apart.any(1).sum())

    def conclusions(self, split: str) -> Iterator[tuple[bool, str]]:
        """Sentences, and whether each is an error."""
        if not self.labelled:
            yield (
                True,
                f"expected labelled keypoints in the {split} split, got none of {self.objects} "
                "objects; write v of those that are labelled as 1 or 2",
            )
            return
        if self.shares == self.labelled:
            yield (
                True,
                f"expected keypoints in pixels, got all {self.labelled} between 0 and 1; multiply "
                "them by width and height of their picture",
            )
            return
        if self.outside:
            yield (
                False,
                f"{self.outside} of {self.labelled} labelled keypoints lie outside their picture, "
                f"the first {self.first}; they are used as they are where nothing cuts the "
                "picture: correct them, or write 0 as their v",
            )
        if 2 * self.apart > self.labelled:
            yield (
                False,
                f"{self.apart} of {self.labelled} labelled keypoints lie outside the box of their "
                "object; look whether x comes before y",
            )
        if self.miscounted:
            yield (
                False,
                f"num_keypoints of {self.miscounted} objects is another number than that of their "
                "labelled keypoints; COCO's own evaluation goes by it, CocoKeypointMetric counts "
                "anew",
            )
