"""From what was counted in a split to what it means: nothing to learn, a class without an object.

Host     none
Pure     numbers in, sentences out: an error where a run would be worthless, a warning where it is
         doubtful
"""

from collections.abc import Iterable, Mapping, Sequence

from mmext.data_checks import objects as why
from mmext.data_checks.objects import Objects
from mmext.errors import some

CURES = {
    why.TEXT_IMAGE: "write both as numbers",
    why.NO_IMAGE: "write the id of the image as image_id",
    why.TEXT_CLASS: "write both as numbers",
    why.NO_CLASS: "write the id of the category as category_id",
    why.UNWANTED: "set metainfo=dict(classes=…) to the classes of the file",
    why.IGNORED: "remove ignore, or set it to 0",
    why.PARTS: "multiply boxes by the width and height of their image, so that they are in pixels",
    why.NO_AREA: "write the area in pixels, width times height where there is no mask",
    why.SMALL: "write boxes in pixels as left, top, width, height",
    why.CROWD: (
        "set iscrowd to 0 for single objects: what is a crowd is neither learned nor evaluated"
    ),
    why.ODD: "write boxes in pixels as left, top, width, height",
    why.NO_OUTLINE: "write polygons of three points or more",
    why.DIFFICULT: "set difficult to 0 for objects that are to be learned",
    why.SMALL_BOX: "lower bbox_min_size in filter_cfg",
    why.FILTERED: "lower min_size in filter_cfg",
}
"""What to do where a reason leaves a split without objects."""

OBJECT = "write 1 instead of 255 where the object is"
"""What to do with maps that were drawn in black and white."""


def nothing_to_detect(found: Objects, *, split: str) -> str:
    """Say why a split has no object to learn or to find, naming the largest reason; or nothing.

    Example:
        >>> nothing_to_detect(Objects(images=0), split="train")[:39]
        'expected images, got an empty list of i'
    """
    if not found.images:
        return "expected images, got an empty list of images; write the images again"
    used, parts = found.used.total(), found.left_out[why.PARTS]
    if used and parts <= used:
        return ""
    if not found.annotations:
        return (
            f"expected objects in the {split} split, got an empty list of annotations; write them "
            "again"
        )
    if not found.left_out:
        return ""  # the errors of single annotations say it
    reason, number = found.left_out.most_common(1)[0]
    amount = f"none of {found.annotations}" if not used else f"{used} of {found.annotations}"
    return (
        f"expected objects that mmdet uses in the {split} split, got {amount}; most are left out "
        f"({number}: {reason}): {CURES[reason]}"
    )


def without_object(
    counts: Mapping[str, int], classes: Iterable[str], *, split: str, what: str
) -> str:
    """Say which classes have no sample, or nothing; silent where there is no sample at all.

    Example:
        >>> without_object({"a": 3}, ("a", "b"), split="val", what="object")
        'b: no object of this class in the val split, so it is neither learned nor judged there'
    """
    missing = [str(one) for one in classes if not counts.get(one)]
    if not missing or not any(counts.values()):
        return ""
    kind = "this class" if len(missing) == 1 else f"these {len(missing)} classes"
    return (
        f"{some(missing)}: no {what} of {kind} in the {split} split, so "
        f"{'it is' if len(missing) == 1 else 'they are'} neither learned nor judged there"
    )


def nothing_to_segment(
    pixels: Mapping[int, int],
    *,
    classes: int,
    ignored: Iterable[int],
    zero_is_ignored: bool,
    split: str,
) -> str:
    """Say why label maps have nothing to tell apart, or nothing.

    Args:
        pixels: how many have each value, over all maps that were opened.
        classes: how many the data set has; 0 for unknown.
        ignored: values that are no class.
        zero_is_ignored: ``reduce_zero_label``: 0 is no class either, and the others move down by
            one.
        split: train, val or test.

    Example:
        >>> told = nothing_to_segment(
        ...     {0: 9, 255: 3}, classes=2, ignored=[255], zero_is_ignored=False, split="val"
        ... )
        >>> trouble, cure = told.split("; ")
        >>> trouble
        'expected pixels of 2 classes in the val split, got only class 0 and ignored pixels (255)'
        >>> cure
        'write 1 instead of 255 where the object is'
    """
    ignored = {*ignored, 0} if zero_is_ignored else set(ignored)
    present = sorted(value for value, number in pixels.items() if number)
    labelled = [value for value in present if value not in ignored]
    if not present:
        return ""
    if not labelled:
        what = " and ".join(map(str, present))
        cure = OBJECT if 255 in present else "write class numbers"
        if present == [0]:
            cure = "write class numbers from 1 on, or set reduce_zero_label=False"
        return (
            f"expected labelled pixels in the {split} split, got only ignored ones ({what}); {cure}"
        )
    others = [value for value in present if value in ignored]
    if len(labelled) > 1 or classes == 1 or (split != "train" and not others):
        return ""
    what, cure = "", "write a number for each class"
    if others and labelled == [0]:
        what, cure = f" and ignored pixels ({some(map(str, others))})", OBJECT
    return (
        f"expected pixels of {classes or 'several'} classes in the {split} split, got only class "
        f"{labelled[0]}{what}; {cure}"
    )


def unlabelled_clips(labels: Sequence[tuple[int, ...]], *, split: str) -> str:
    """Say how many clips have no label, or nothing.

    Example:
        >>> trouble, cure = unlabelled_clips([(1,), (), (0,)], split="train").split("; ")
        >>> trouble
        'expected a label for each clip of the train split, got none for 1 of 3'
        >>> cure
        'add it behind the path'
    """
    without = sum(not one for one in labels)
    if not without:
        return ""
    return (
        f"expected a label for each clip of the {split} split, got none for {without} of "
        f"{len(labels)}; add it behind the path"
    )


def disagreeing_labels(labels: Mapping[str, Sequence[str]]) -> str:
    """Say where a label means one class in one file and another in the next, or nothing.

    Args:
        labels: for each file, the class of each label as the host numbers them there; the others
            must agree with the first.

    Example:
        >>> told = disagreeing_labels({"a.json": ["cat", "dog"], "b.json": ["dog", "cat"]})
        >>> trouble, cure = told.split("; ")
        >>> trouble
        'label 0 is cat by a.json and dog by b.json'
        >>> cure
        'list the same categories in the same order in both files'
    """
    (first, expected), *others = labels.items() or [("", [])]
    for file, got in others:
        for index, one in enumerate(expected):
            other = got[index] if index < len(got) else "no class"
            if one != other:
                return (
                    f"label {index} is {one} by {first} and {other} by {file}; list the same "
                    "categories in the same order in both files"
                )
    return ""
