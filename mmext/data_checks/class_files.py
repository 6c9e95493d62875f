"""Files that say which class a picture is of: folders, lists and idx files, read the one way.

Host     none; the data sets of ``mmext.classification`` read by these functions what ``verify``
         checks by them, so that both say the same of a damaged file
Folders  one a class, named by it; classes are numbered in the order of their sorted names
Lists    a picture a line: ``path label``, or ``path,label`` as in a CSV file; a label is a number
         or the name of a class. Kaggle's list of ImageNet's validation is of this form, too
idx      the format of MNIST and Fashion-MNIST, plain or gzipped
"""

import gzip
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmext.data_checks.lists import read_lines
from mmext.data_checks.report import shown
from mmext.errors import BadInputError, did_you_mean, some

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
HEADERS = ("imageid,", "filename,", "file,", "path,", "image,", "img_path,", "name,")
"""How the first line of a CSV file begins if it names the columns."""

BYTES = 0x08
"""The code of unsigned bytes in an idx file; MNIST's kind has no others."""


class Labelled(NamedTuple):
    """A picture below the data set's folder, and its class; None where a list does not say it."""

    path: str
    label: int | None


def class_folders(folder: str) -> list[str]:
    """Names of the folders below ``folder``, sorted: the classes.

    Raises:
        BadInputError: there is no such folder, or there is none in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInputError(
            f"{folder}: not found, expected a folder with one folder a class; correct data_prefix"
        )
    found = sorted(one.name for one in root.iterdir() if one.is_dir() and one.name[0] != ".")
    if not found:
        raise BadInputError(
            f"{folder}: expected one folder a class, got none; correct data_prefix, or name a list "
            "of pictures and labels as ann_file"
        )
    return found


def read_folders(folder: str, classes: Sequence[str] = ()) -> tuple[list[str], list[Labelled]]:
    """The classes and pictures of a folder that has one folder a class.

    Args:
        folder: the one above.
        classes: those that are wanted, in the order of their labels; empty for all.

    Raises:
        BadInputError: a class has no folder, or its folder no picture.
    """
    there = class_folders(folder)
    if missing := sorted(set(classes) - set(there)):
        raise BadInputError(
            f"{folder}: expected a folder for each class, got none for {some(missing)}"
            f"{did_you_mean(missing[0], there)}; correct the classes in metainfo"
        )
    found: list[Labelled] = []
    for label, name in enumerate(classes or there):
        pictures = [Labelled(path, label) for path in _pictures(Path(folder), name)]
        if not pictures:
            raise BadInputError(
                f"{Path(folder) / name}: expected pictures of this class ({', '.join(PICTURES)}), "
                "got none; put some there, or remove the folder"
            )
        found += pictures
    return list(classes or there), found


def _pictures(root: Path, name: str) -> list[str]:
    """Paths below ``root`` of all pictures below its folder ``name``, sorted."""
    found = [
        os.path.relpath(os.path.join(folder, file), root)
        for folder, _, files in os.walk(root / name, followlinks=True)
        for file in files
        if file.lower().endswith(PICTURES) and not file.startswith(".")
    ]
    return sorted(found)


def read_list(file: str, classes: Sequence[str] = (), *, suffix: str = "") -> list[Labelled]:
    """The pictures that a list names.

    Args:
        file: the list.
        classes: names of the classes; empty if labels are numbers and nobody knows how many.
        suffix: what is put behind names without an ending, such as ``.JPEG``.

    Raises:
        BadInputError: the list is empty, a line is none, or a label is no class.
    """
    lines = read_lines(file)
    while lines and not lines[-1].strip():
        lines.pop()
    first = int(bool(lines) and lines[0].lower().replace(" ", "").startswith(HEADERS))
    if not lines[first:]:
        raise BadInputError(
            f"{file}: expected 'path label' a line, got an empty list; write it again"
        )
    _refuse_devkit(file, lines[first:])
    numbers = {str(name): number for number, name in enumerate(classes)}
    return [
        _read_line(line, f"{file}:{number}", numbers, suffix)
        for number, line in enumerate(lines[first:], first + 1)
    ]


def _refuse_devkit(file: str, lines: Sequence[str]) -> None:
    """Refuse bare numbers: ImageNet's devkit has such a list, by another order of classes."""
    if all(line.strip().isdigit() for line in lines[:100]):
        raise BadInputError(
            f"{file}: expected 'path label' a line, got numbers alone, as in ImageNet's devkit, "
            "which counts classes from 1 in an order of its own; take a list with names and labels "
            "by sorted class, such as Kaggle's LOC_val_solution.csv with "
            "synsets='LOC_synset_mapping.txt'"
        )


def _read_line(line: str, place: str, numbers: dict[str, int], suffix: str) -> Labelled:
    comma = "," in line
    path, _, rest = line.strip().partition(",") if comma else _split_last(line.strip())
    rest = rest.strip()
    if not path or (comma and not rest):
        raise BadInputError(f"{place}: expected 'path label', got {shown(line)}; mend it")
    if suffix and not Path(path).suffix:
        path += suffix
    # A name of several words, or a label with something behind it: Kaggle's has boxes there.
    word = rest if rest in numbers or not rest else rest.split()[0]
    return Labelled(path, _label(word, place, numbers) if word else None)


def _split_last(line: str) -> tuple[str, str, str]:
    """A path and its label, which stands behind the last blank; a path may hold blanks itself."""
    path, blank, label = line.rpartition(" ")
    return (path.strip(), blank, label) if blank else (line, "", "")


def _label(word: str, place: str, numbers: dict[str, int]) -> int:
    if word in numbers:
        return numbers[word]
    if not word.lstrip("-").isdigit():
        known = f"one of {len(numbers)} classes" if numbers else "a number"
        raise BadInputError(
            f"{place}: expected {known} as label, got {shown(word)}"
            f"{did_you_mean(word, numbers)}; correct it, or the classes in metainfo"
        )
    for trouble in wrong_labels([int(word)], len(numbers)):
        raise BadInputError(f"{place}: {trouble}")
    return int(word)


def wrong_labels(labels: Sequence[int] | np.ndarray, classes: int) -> Iterator[str]:
    """Say that a label is no class, once; ``classes`` is 0 if their number is unknown.

    Example:
        >>> list(wrong_labels([0, 3], 3))
        ['expected labels from 0 to 2, got 3; correct it, or the classes in metainfo']
    """
    values = np.asarray(labels)
    wrong = values[(values < 0) | ((values >= classes) if classes else False)]
    if len(wrong):
        counts = f"from 0 to {classes - 1}" if classes else "from 0 on"
        cure = "correct it, or the classes in metainfo"
        if classes and values.min() == 1 and values.max() == classes:
            cure = "subtract 1 from each, and see that the order of the classes is that of metainfo"
        yield f"expected labels {counts}, got {wrong[0]}; {cure}"


def read_idx(file: str, what: str) -> np.ndarray:
    """The array of an idx file: pictures (N, H, W) or labels (N,), unsigned bytes.

    Args:
        file: plain or gzipped.
        what: ``pictures`` or ``labels``.

    Raises:
        BadInputError: it is missing, cut off, no idx file, or holds the other of the two.
    """
    axes = {"pictures": 3, "labels": 1}[what]
    content = _unpacked(file)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise BadInputError(
            f"{file}: expected an idx file of {what}, got another kind of file, which begins with "
            f"{content[:4]!r}; see that the path is right"
        )
    if content[2] != BYTES or content[3] != axes:
        kind = {3: "pictures", 1: "labels"}.get(content[3], f"{content[3]} axes")
        got = kind if content[2] == BYTES else f"numbers of kind {content[2]:#04x}"
        raise BadInputError(
            f"{file}: expected an idx file of {what} in bytes, got one of {got}; see that "
            "ann_file names the labels and data_prefix.img_path the pictures"
        )
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    start, size = 4 + 4 * axes, math.prod(shape)
    if len(content) - start != size:
        raise BadInputError(
            f"{file}: expected {size} bytes of {what}, {' x '.join(map(str, shape))}, got "
            f"{len(content) - start}; fetch the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unpacked(file: str) -> bytes:
    """What a file holds, unpacked if it is gzipped."""
    try:
        content = Path(file).read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise BadInputError(
            f"{file}: not found, expected an idx file there; correct the path, or fetch the data"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise BadInputError(
            f"{file}: expected a whole file, got one that cannot be unpacked ({error}); fetch the "
            "file again"
        ) from None


def read_digits(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 8, 8) from 0 to 255 and labels (N,) of scikit-learn's ``digits.csv.gz``.

    Raises:
        BadInputError: it is missing or no such file.
    """
    text = _unpacked(file).decode("ascii", errors="replace")
    try:
        table = np.array([line.split(",") for line in text.split()], np.float64).astype(int)
    except ValueError:
        table = np.zeros((0, 0), int)
    if table.shape[-1] != 65 or not len(table) or table.min() < 0 or table[:, :64].max() > 16:
        raise BadInputError(
            f"{file}: expected scikit-learn's digits.csv.gz, 64 numbers from 0 to 16 and a label a "
            f"line, got a table of {table.shape}; run mmext data digits"
        )
    pictures = (table[:, :64] * (255 / 16)).round().astype(np.uint8)
    return pictures.reshape(-1, 8, 8), table[:, 64]
