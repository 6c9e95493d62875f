"""What a list of XML files in the manner of Pascal VOC must be so that mmdet can train on them.

Host     none
Layout   as mmdet's XMLDataset reads it: an id a line; for each an image ``JPEGImages/<id>.jpg`` and
         its objects in ``Annotations/<id>.xml``
Letters  a box is xmin, ymin, xmax, ymax in pixels, counted from 1
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmext.data_checks import conclusions, objects
from mmext.data_checks.coco import check_images
from mmext.data_checks.lists import read_lines
from mmext.data_checks.masks import setting
from mmext.data_checks.needs import Needs
from mmext.data_checks.objects import Objects, odd_box
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report, shown

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def check_xml(
    dataset: Mapping[str, Any],
    kind: Any,
    root: str,
    report: Report,
    *,
    wanted: Sequence[str],
    needs: Needs,
    cure: str,
    decode: bool | None,
    allow_odd: bool,
    reader: Reader | None,
) -> None:
    """Find XML files that are missing or damaged, and count their objects; then look at the images.

    Args:
        dataset: its config.
        kind: its class, or None if nobody knows it.
        root: the folder in which those of images and annotations lie.
        report: takes the findings; its ``file`` is the list of ids.
        wanted: names of the classes.
        needs: what the run reads.
        cure: what the errors tell people to do.
        decode: whether to decode images.
        allow_odd: whether the config accepts boxes outside their image or without size.
        reader: what decodes them in the pipeline.
    """
    folder = Path(root) / setting(dataset, kind, "ann_subdir", "Annotations")
    pictures = setting(dataset, kind, "img_subdir", "JPEGImages")
    found, images, odd = Objects(), [], []
    for one in read_lines(report.file):
        file = folder / f"{one}.xml"
        try:
            size, trouble = _count(file, found, wanted)
        except FileNotFoundError:
            report.error(
                "xml", f"{file}: not found, expected the annotations of {shown(one)} there; {cure}"
            )
        except (ElementTree.ParseError, OSError, ValueError, OverflowError, LookupError) as error:
            report.error("xml", f"{file}: expected objects in XML, got {error}; write it again")
        else:
            odd += [f"{file}: a box of {one}" for one in trouble]
            images.append(
                dict(id=one, file_name=f"{pictures}/{one}.jpg", width=size[0], height=size[1])
            )
    found.images, report.boxes = len(images), found.used.total()
    for reason, number in found.left_out.items():
        report.dropped[objects.LABELS.get(reason, reason)] += number
    objects.judge_odd(odd, found, report, allow_odd=allow_odd)
    check_images(dict(images=images), root, report, cure=cure, decode=decode, reader=reader)
    report.labels = tuple(wanted)
    report.folders = (*report.folders, str(folder))
    if report.errors or not needs.truth:
        return
    if error := conclusions.nothing_to_detect(found, split=report.split):
        report.error("nothing", f"{report.file}: {error}")
    elif missing := conclusions.without_object(
        found.used, wanted, split=report.split, what="object"
    ):
        report.warn(f"{report.file}: {missing}")


def _count(file: Path, found: Objects, wanted: Sequence[str]) -> tuple[tuple[Any, Any], list[str]]:
    """Count the objects of a file as mmdet reads them.

    Returns:
        the image's width and height, or None twice; and what is odd about boxes.

    Raises:
        ValueError: an object or the size is none.
    """
    tree = ElementTree.parse(file).getroot()
    size = tree.find("size")
    width, height = (
        (int(_text(size, side)) for side in ("width", "height"))
        if size is not None
        else (None, None)
    )
    odd = []
    for name, difficult, box in _objects(tree, wanted):
        found.annotations += 1
        if name not in wanted:
            found.left_out[objects.UNWANTED] += 1
        elif width and height and (trouble := odd_box(box, width, height)):
            odd.append(f"{name} {trouble} of {width} x {height} pixels")
            found.left_out[objects.ODD] += 1
        elif difficult:
            found.left_out[objects.DIFFICULT] += 1
        else:
            found.used[name] += 1
    return (width, height), odd


def _objects(
    tree: ElementTree.Element, wanted: Sequence[str]
) -> Iterator[tuple[str, bool, list[int]]]:
    """Class, difficult or not, and box as left, top, width, height, which only wanted ones have."""
    for one in tree.findall("object"):
        name = _text(one, "name")
        if name not in wanted:
            yield name, False, []
            continue
        difficult = one.find("difficult")
        corners = one.find("bndbox")
        if corners is None:
            raise ValueError(f"an object {shown(name)} without bndbox")
        left, top, right, bottom = (int(float(_text(corners, key))) for key in CORNERS)
        hard = difficult is not None and bool(int(difficult.text or ""))
        yield name, hard, [left - 1, top - 1, right - left, bottom - top]


def _text(node: ElementTree.Element, key: str) -> str:
    """The text of an element's child.

    Raises:
        ValueError: there is none.
    """
    text = node.findtext(key)
    if text is None:
        raise ValueError(f"{node.tag} without {key}")
    return text
