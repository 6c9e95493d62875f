"""Which objects of a COCO file mmdet uses and which it leaves out, decided as it decides.

Host     none; the order of the questions is that of mmdet's CocoDataset.parse_data_info
Letters  a box is [left, top, width, height] in pixels
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmext.data_checks.entries import is_box, is_number
from mmext.data_checks.needs import Needs
from mmext.data_checks.outlines import bad_outline, bad_truth, lengths
from mmext.data_checks.report import Report, shown

ROUNDING_PX = 1.0
"""How far a box may reach over the border: tools round to whole pixels."""

ODD_SHARE = 1e-3
"""Of a large file's objects: so few odd boxes are slips, as COCO has, and no fault of the file."""

USED, CROWD, SMALL = "used", "crowd", "smaller than a pixel"
NO_IMAGE, TEXT_IMAGE = "image_id matches no image", "image_id matches only as text"
NO_CLASS, TEXT_CLASS = "category_id matches no category", "category_id matches only as text"
UNWANTED, IGNORED = "of a class that the config does not want", "marked ignore"
PARTS, NO_AREA, ODD, NO_OUTLINE = (
    "box between 0 and 1",
    "area not above 0",
    "odd",
    "no outline of three points",
)
FILTERED = "on an image below filter_cfg's min_size"
DIFFICULT = "marked difficult"
SMALL_BOX = "smaller than filter_cfg's bbox_min_size"

LABELS = {
    NO_IMAGE: "without image",
    TEXT_IMAGE: "without image",
    NO_CLASS: "of other classes or ignored",
    TEXT_CLASS: "of other classes or ignored",
    UNWANTED: "of other classes or ignored",
    IGNORED: "of other classes or ignored",
    PARTS: SMALL,
    NO_AREA: SMALL,
    NO_OUTLINE: "without outline",
    FILTERED: "on images that are too small",
}
"""Under which words a reason is reported; the others under their own."""


@dataclass
class Objects:
    """What a file holds, counted as mmdet reads it."""

    images: int = 0
    annotations: int = 0
    used: Counter[str] = field(default_factory=Counter)
    """Objects of each class by its name."""
    left_out: Counter[str] = field(default_factory=Counter)
    """The others by the reason."""
    unwanted: Counter[str] = field(default_factory=Counter)
    """Of these, the classes that the config does not want, where only the objects name them."""


def odd_box(bbox: Any, width: int | float, height: int | float) -> str:
    """Say what is wrong with a box in an image of that size, or return an empty string.

    Example:
        >>> odd_box([0, 0, 10, 10.5], 10, 10), odd_box([3, 3, 0, 2], 10, 10)
        ('', 'is empty in an image')
    """
    if not is_box(bbox):
        return "is not four numbers (left, top, width, height) in an image"
    x, y, w, h = bbox
    return _odd(x, y, w, h, width, height)


def _odd(x: Any, y: Any, w: Any, h: Any, width: Any, height: Any) -> str:
    """The same of a box that is four numbers."""
    if w <= 0 or h <= 0:
        return "is empty in an image"
    outside = x < -ROUNDING_PX or y < -ROUNDING_PX or x + w > width + ROUNDING_PX
    return "reaches outside the image" if outside or y + h > height + ROUNDING_PX else ""


class Counting:
    """Goes through the annotations of a file once, and sorts each by what mmdet does with it.

    Args:
        coco: the parsed file, whose entries have been checked.
        wanted: names of the classes that the config wants; empty for all.
        needs: what the run reads.
        report: takes errors of annotations that mmdet or the evaluation fails on.
    """

    def __init__(
        self, coco: Mapping[str, Any], wanted: Iterable[str], needs: Needs, report: Report
    ) -> None:
        self.images = {image["id"]: image for image in coco["images"]}
        self.names = {one["id"]: one["name"] for one in coco["categories"]}
        wanted = set(wanted) if wanted else set(map(str, self.names.values()))
        self.wanted = {one for one, name in self.names.items() if str(name) in wanted}
        self.texts = {str(one) for one in self.images}, {str(one) for one in self.names}
        self.needs, self.report = needs, report
        self.odd: list[str] = []
        self.corners = True
        """Whether all odd boxes would lie inside as left, top, right, bottom."""
        self.found = Objects(images=len(self.images), annotations=len(coco["annotations"]))
        if needs.by_coco and any(annotation["id"] == 0 for annotation in coco["annotations"]):
            report.warn(
                f"{report.file}: annotation 0 can be found by no prediction, since COCO's "
                "evaluation writes 0 for what is not found; number annotations from 1"
            )
        for annotation in coco["annotations"]:
            reason = self.reason(annotation)
            if reason == USED:
                self.found.used[str(self.names[annotation["category_id"]])] += 1
            elif reason:
                self.found.left_out[reason] += 1

    def reason(self, ann: Mapping[str, Any]) -> str:
        """Why mmdet leaves an annotation out, or that it uses it; empty if it fails on it."""
        image = self.images.get(ann["image_id"])
        if image is None:
            return TEXT_IMAGE if str(ann["image_id"]) in self.texts[0] else NO_IMAGE
        if ann["category_id"] in self.wanted and (trouble := bad_truth(ann, image, self.needs)):
            return self.fails(ann, trouble)
        if ann.get("ignore"):
            return IGNORED
        if not is_box(ann.get("bbox")):
            return self.fails(
                ann,
                f"has the box {shown(ann.get('bbox'))}, expected four numbers (left, top, width, "
                "height)",
            )
        x, y, w, h = ann["bbox"]
        inside = (
            w > 0
            and h > 0
            and x < image["width"]
            and y < image["height"]
            and x + w > 0
            and y + h > 0
        )
        if inside and not is_number(ann.get("area")):
            return self.fails(ann, f"has the area {shown(ann.get('area'))}, expected a number")
        if ann["category_id"] not in self.wanted:
            return self.other_class(ann["category_id"])
        return self.by_size(ann, image)

    def other_class(self, one: Any) -> str:
        """Why the class of an annotation is none that is wanted."""
        if one in self.names:
            return UNWANTED
        return TEXT_CLASS if str(one) in self.texts[1] else NO_CLASS

    def by_size(self, ann: Mapping[str, Any], image: Mapping[str, Any]) -> str:
        """The same of an annotation whose box is four numbers and whose class is wanted."""
        x, y, w, h = ann["bbox"]
        if (
            (0 < w < 1 or 0 < h < 1)
            and x + w <= 1
            and y + h <= 1
            and x >= 0
            and y >= 0
            and w > 0
            and h > 0
        ):
            return PARTS
        if trouble := _odd(x, y, w, h, image["width"], image["height"]):
            self.corners &= (
                x < w <= image["width"] + ROUNDING_PX and y < h <= image["height"] + ROUNDING_PX
            )
            self.odd.append(
                f"{self.report.file}: annotation {shown(ann['id'])} has the box "
                f"{shown(ann['bbox'])}, which {trouble} of {image['width']} x {image['height']} "
                f"pixels ({image.get('file_name')})"
            )
            return ODD
        if ann["area"] <= 0:
            return NO_AREA
        if w < 1 or h < 1:
            return SMALL
        return self.by_outline(ann, image)

    def by_outline(self, ann: Mapping[str, Any], image: Mapping[str, Any]) -> str:
        """The same of an annotation whose box is used."""
        crowd = ann.get("iscrowd", 0)
        if crowd not in (0, 1, None):
            return self.fails(ann, f"has iscrowd {shown(crowd)}, expected 0 or 1")
        if self.needs.masks:
            if trouble := bad_outline(ann.get("segmentation"), image, bitmaps=self.needs.bitmaps):
                return self.fails(ann, trouble)
            numbers = lengths(ann["segmentation"])
            if numbers and not any(one % 2 == 0 and one >= 6 for one in numbers):
                return NO_OUTLINE
        if min(image["width"], image["height"]) < self.needs.least_side:
            return FILTERED
        return CROWD if crowd else USED

    def fails(self, ann: Mapping[str, Any], trouble: str) -> str:
        """Report an annotation that mmdet cannot read."""
        self.report.error(
            "annotation",
            f"{self.report.file}: annotation {shown(ann['id'])} {trouble}; correct or remove it",
        )
        return ""


def count_objects(
    coco: Mapping[str, Any],
    wanted: Iterable[str],
    needs: Needs,
    report: Report,
    *,
    allow_odd: bool = False,
) -> Objects:
    """Count the objects that mmdet uses and those it leaves out; find those nobody can have meant.

    Args:
        coco: the parsed file, whose entries have been checked.
        wanted: names of the classes that the config wants; empty for all.
        needs: what the run reads.
        report: takes the findings.
        allow_odd: whether the config accepts boxes outside their image or without size.
    """
    counting = Counting(coco, wanted, needs, report)
    found = counting.found
    report.boxes = found.used.total()
    for reason, number in found.left_out.items():
        report.dropped[LABELS.get(reason, reason)] += number
    judge_odd(counting.odd, found, report, allow_odd=allow_odd, corners=counting.corners)
    return found


def judge_odd(
    odd: list[str], found: Objects, report: Report, *, allow_odd: bool, corners: bool = False
) -> None:
    """Odd boxes are an error each, or a warning if they are accepted or are very few.

    Args:
        odd: a sentence for each.
        found: what is counted besides.
        report: takes the findings.
        allow_odd: whether the config accepts them.
        corners: whether all of them would lie inside as left, top, right, bottom.
    """
    cure = (
        "correct or remove it, or accept such boxes with verify=dict(allow_odd_boxes=True) in the "
        "config"
    )
    if corners and len(odd) > 1:
        cure = "it looks like left, top, right, bottom: write left, top, width, height"
    if allow_odd or len(odd) <= ODD_SHARE * found.annotations:
        if odd:
            report.warn(
                f"{len(odd)} odd boxes are accepted; mmdet leaves out those thinner than a pixel "
                "or wholly outside, and keeps the others as they are until a transform clips "
                f"them; the first: {odd[0]}"
            )
        return
    del report.dropped[ODD]  # they are told one by one
    for one in odd:
        report.error("odd box", f"{one}; {cure}")
