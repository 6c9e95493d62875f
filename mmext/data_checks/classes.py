"""What pictures and labels of a classifier must be: folders, lists, idx files, digits.

Host     none; files are read as the data sets of ``mmext.classification`` read them
         (``class_files``), pictures as the pipeline does (``pictures``)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmext.data_checks import conclusions, layouts, pictures
from mmext.data_checks.class_files import (
    Labelled,
    read_digits,
    read_folders,
    read_idx,
    read_list,
    wrong_labels,
)
from mmext.data_checks.lists import read_lines
from mmext.data_checks.needs import Needs, type_name
from mmext.data_checks.parallel import each
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report

DECODE_UP_TO = 5000
"""Pictures of a split that are decoded without being asked to: about twenty seconds' worth."""

SUFFIXES = {"ImageNetDataset": ".JPEG"}
"""What a class puts behind names in a list that have no ending."""


def check_classes(
    dataset: Mapping[str, Any],
    place: str,
    report: Report,
    *,
    kind: str,
    names: Sequence[str],
    classes: int,
    needs: Needs,
    cure: str,
    decode: bool | None = None,
) -> None:
    """Find pictures that are missing or cannot be decoded, labels that are no class, empty classes.

    Args:
        dataset: its config.
        place: the folder, or for idx files the file, of pictures.
        report: takes the findings.
        kind: the layout.
        names: the classes that the config wants; empty if that is unknown.
        classes: how many the model tells apart; 0 for unknown.
        needs: what the run reads.
        cure: what the errors tell people to do.
        decode: whether to decode; None decodes up to :data:`DECODE_UP_TO`.

    Raises:
        BadInputError: a file cannot be read at all.
    """
    report.what = "pictures"
    listed = bool(report.file)
    found: list[Labelled] = []
    stated = bool(names)  # then they are compared with the model's without looking at files
    if kind == layouts.FOLDERS:
        names, found = _listed(dataset, place, report.file, names)
        report.file = report.file or place
        report.folders = tuple(sorted({str(Path(place, one.path).parent) for one in found}))
        labels = [one.label for one in found]
    else:
        labels = _in_memory(place, report.file, kind, report)
    report.images, report.labels = len(labels), tuple(map(str, names)) or None
    _check_labels(labels, names, report, classes=0 if stated else classes, needs=needs)
    if found:
        _check_pictures(found, place, dataset, report, listed=listed, cure=cure, decode=decode)


def _listed(
    dataset: Mapping[str, Any], folder: str, file: str, names: Sequence[str]
) -> tuple[Sequence[str], list[Labelled]]:
    """The classes and pictures of a list, or of folders."""
    synsets = dataset.get("synsets")
    if synsets and not names:
        lines = read_lines(str(Path(dataset.get("data_root") or "", synsets)))
        names = sorted(line.partition(" ")[0] for line in lines if line.strip())
    if file:
        return names, read_list(file, names, suffix=SUFFIXES.get(type_name(dataset), ""))
    return read_folders(folder, names)


def _in_memory(images: str, file: str, kind: str, report: Report) -> list[int | None]:
    """The labels of files that hold all pictures, which are looked at as a whole."""
    if kind == layouts.DIGITS:
        _, labels = read_digits(file)
    else:
        content, labels = read_idx(images, "pictures"), read_idx(file, "labels")
        if len(content) != len(labels):
            report.error(
                "number",
                f"{file}: expected a label for each of the {len(content)} pictures of {images}, "
                f"got {len(labels)}; take two files of one split",
            )
    report.decoded = len(labels)
    return labels.tolist()


def _check_labels(
    labels: Sequence[int | None],
    names: Sequence[str],
    report: Report,
    *,
    classes: int,
    needs: Needs,
) -> None:
    """Report missing labels, labels that are no class, and classes without a picture."""
    known = [one for one in labels if one is not None]
    if needs.truth and len(known) < len(labels):
        report.error(
            "unlabelled",
            f"{report.file}: expected a label for each picture of the {report.split} split, got "
            f"none for {len(labels) - len(known)} of {len(labels)}; add it behind the name",
        )
    for trouble in wrong_labels(known, len(names)):
        report.error("label", f"{report.file}: {trouble}")
    if classes and len(names) and len(names) != classes:
        report.error(
            "classes",
            f"model.head.num_classes: expected {len(names)}, the number of classes of "
            f"{report.file}, got {classes}; set it to {len(names)}",
        )
    elif classes and known and max(known) >= classes:
        report.error(
            "classes",
            f"{report.file}: expected labels from 0 to {classes - 1}, since the head has {classes} "
            f"classes, got {max(known)}; correct it, or set num_classes of the head",
        )
    counts = Counter(str(names[one]) for one in known if one < len(names))
    if missing := conclusions.without_object(
        counts, map(str, names), split=report.split, what="picture"
    ):
        report.warn(f"{report.file}: {missing}")


def _check_pictures(
    found: Sequence[Labelled],
    folder: str,
    dataset: Mapping[str, Any],
    report: Report,
    *,
    listed: bool,
    cure: str,
    decode: bool | None,
) -> None:
    """Report pictures that a list names and nobody has, and those that cannot be decoded."""
    paths = [Path(folder, one.path) for one in found]
    there = [path.is_file() for path in paths] if listed else [True] * len(paths)
    for path, is_there in zip(paths, there, strict=True):
        if not is_there:
            sentence = f"not found, expected a picture since {report.file} lists it; {cure}"
            report.error("missing", f"{path}: {sentence}")
    chosen = [path for path, is_there in zip(paths, there, strict=True) if is_there]
    reader = pictures.image_reader(dataset.get("pipeline") or ())
    if decode is None and len(chosen) > DECODE_UP_TO:
        report.warn(
            f"{report.file}: with {len(chosen)} pictures, more than {DECODE_UP_TO}, they were not "
            "decoded; mmext verify CONFIG --decode decodes them all"
        )
        return
    if decode is False or reader is None:
        return
    with pictures.of_any_size():
        seen = list(each(partial(_trouble, reader=reader), chosen, "pictures"))
    report.decoded = len(seen)
    for path, trouble in zip(chosen, seen, strict=True):
        if trouble:
            report.error("picture", f"{path}: {trouble}; copy it again, or remove it")


def _trouble(path: Path, *, reader: Reader) -> str:
    return pictures.look(path, reader).trouble
