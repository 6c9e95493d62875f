"""What a list of XML files in the manner of Pascal VOC must be so that mmdet can train on them.

Host     none
Layout   as mmdet's XMLDataset reads it: an id a line; for each an image ``JPEGImages/<id>.jpg`` and
         its objects in ``Annotations/<id>.xml``
Letters  a box is xmin, ymin, xmax, ymax in pixels, counted from 1
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmext.data_checks import conclusions, objects, pictures
from mmext.data_checks.coco import check_images
from mmext.data_checks.lists import read_lines
from mmext.data_checks.masks import setting
from mmext.data_checks.needs import Needs
from mmext.data_checks.objects import Objects, odd_box
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report, shown
from mmext.errors import BadInputError, did_you_mean, some

CORNERS = ("xmin", "ymin", "xmax", "ymax")
ENDINGS = (".jpg", ".jpeg", ".png", ".xml", ".JPG", ".JPEG", ".PNG")


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
    below = setting(dataset, kind, "img_subdir", "JPEGImages")
    if not wanted or isinstance(wanted, str):
        raise BadInputError(
            f"{report.file}: expected a tuple of names as metainfo.classes, got {shown(wanted)}; "
            "write metainfo=dict(classes=('…',)) with the names in the files"
        )
    found, images, odd = Objects(), [], []
    names, least = read_lines(report.file), _least_box(dataset, report)
    _warn_of_twins(names, report)
    for one in names:
        file, picture = folder / f"{one}.xml", Path(root) / below / f"{one}.jpg"
        try:
            size, trouble = _count(file, picture, found, wanted, needs=needs, least=least)
        except FileNotFoundError:
            do = _cure_of(one, cure)
            report.error(
                "xml", f"{file}: not found, expected the annotations of {shown(one)} there; {do}"
            )
        except (ElementTree.ParseError, OSError, ValueError, OverflowError, LookupError) as error:
            report.error("xml", f"{file}: expected objects in XML, got {error}; write it again")
        else:
            odd += [f"{file}: a box of {one}" for one in trouble]
            images.append(
                dict(id=one, file_name=f"{below}/{one}.jpg", width=size[0], height=size[1])
            )
    found.images, report.boxes = len(images), found.used.total()
    for reason, number in found.left_out.items():
        report.dropped[objects.LABELS.get(reason, reason)] += number
    objects.judge_odd(odd, found, report, allow_odd=allow_odd)
    check_images(dict(images=images), root, report, cure=cure, decode=decode, reader=reader)
    report.labels = tuple(wanted)
    report.folders = (*report.folders, str(folder))
    _conclude(found, report, wanted, needs=needs)


def _conclude(found: Objects, report: Report, wanted: Sequence[str], *, needs: Needs) -> None:
    """Say what the counted objects are good for."""
    if near := [
        f"{shown(one)}{hint}" for one in found.unwanted if (hint := did_you_mean(one, wanted))
    ]:
        report.warn(
            f"{report.file}: objects of classes that the config does not want are left out: "
            f"{some(near)}; write names alike in files and config"
        )
    if report.errors or not needs.truth:
        return
    if error := conclusions.nothing_to_detect(found, split=report.split):
        kinds = f"; the files have {some(map(shown, found.unwanted))}" if found.unwanted else ""
        report.error("nothing", f"{report.file}: {error}{kinds}")
    elif missing := conclusions.without_object(
        found.used, wanted, split=report.split, what="object"
    ):
        report.warn(f"{report.file}: {missing}")


def _cure_of(name: str, otherwise: str) -> str:
    """What to do about a name without a file."""
    if not name.strip():
        return "remove the empty line"
    return "write names without their ending" if Path(name).suffix in ENDINGS else otherwise


def _warn_of_twins(names: Sequence[str], report: Report) -> None:
    """Say which names a list holds more than once."""
    if len(set(names)) < len(names):
        twice = [shown(one) for one, count in Counter(names).items() if count > 1]
        report.warn(f"{report.file}: {some(twice)} twice, so that they count double; remove one")


def _least_box(dataset: Mapping[str, Any], report: Report) -> int | float:
    """Pixels of a side below which the config ignores a box; a test fails on such a setting."""
    filters = dataset.get("filter_cfg")
    least = filters.get("bbox_min_size") if isinstance(filters, Mapping) else None
    if least is not None and dataset.get("test_mode"):
        report.error(
            "config",
            f"{report.file}: expected no bbox_min_size in filter_cfg of a data set with "
            f"test_mode=True, on which the host fails, got {shown(least)}; remove it",
        )
    return least if isinstance(least, int | float) else 0


def _count(
    file: Path,
    picture: Path,
    found: Objects,
    wanted: Sequence[str],
    *,
    needs: Needs,
    least: int | float,
) -> tuple[tuple[Any, Any], list[str]]:
    """Count the objects of a file as mmdet reads them; the image says what size lacks.

    Returns:
        the image's width and height, or None twice if nobody says it; and what is odd about boxes.

    Raises:
        ValueError: an object or the size is none.
    """
    tree = ElementTree.parse(file).getroot()
    size = tree.find("size")
    width, height = (
        (int(_text(size, side)) for side in ("width", "height"))
        if size is not None
        else _size_of(picture)
    )
    if size is not None and (width <= 0 or height <= 0):
        raise ValueError(f"a size of {width} x {height} pixels")
    odd = []
    for name, difficult, box in _objects(tree, wanted):
        found.annotations += 1
        if name not in wanted:
            found.left_out[objects.UNWANTED] += 1
            found.unwanted[name] += 1
        elif width and height and (trouble := odd_box(box, width, height)):
            odd.append(f"{name} {trouble} of {width} x {height} pixels")
            found.left_out[objects.ODD] += 1
        elif difficult:
            found.left_out[objects.DIFFICULT] += 1
        elif min(box[2:]) < least:
            found.left_out[objects.SMALL_BOX] += 1
        elif width and height and min(width, height) < needs.least_side:
            found.left_out[objects.FILTERED] += 1
        else:
            found.used[name] += 1
    return (width, height), odd


def _size_of(picture: Path) -> tuple[Any, Any]:
    """Width and height of an image as the host decodes it; None twice if it cannot."""
    seen = pictures.look(picture, Reader())
    return (None, None) if seen.trouble else seen.size


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
