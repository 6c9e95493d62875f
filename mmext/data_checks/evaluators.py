"""Whether the file that an evaluator reads belongs to the data set that is evaluated.

Pure     two parsed files in, sentences out
"""

from collections.abc import Mapping
from typing import Any

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
        return f"expected the images of {file}, got none of id {some(missing)}; {cure}", ""
    for image in mine["images"]:
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
