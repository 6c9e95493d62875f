"""COCO with a share of its labels: the pictures that keep them, and those that lose them.

Needs    COCO's annotations (``data/coco/annotations/instances_train2017.json``); with --link its
         pictures too (``data/coco/train2017``)
Recipe   the pictures in the order of their ids, shuffled by ``default_rng(fold)``; the first
         share of them, rounded down, keeps its labels. So 1 % lies inside 5 %, and that inside 10 %
Files    semi_anns/instances_train2017.FOLD@PERCENT.json            the labelled share
         semi_anns/instances_train2017.FOLD@PERCENT-unlabeled.json  the others, with their true
                                                                    labels: for an oracle alone
         unlabeled/FOLD@PERCENT/*.jpg, with --link                  links to the others' pictures,
                                                                    for ``mmext pseudo-label``
Seeds    the folds; folds 1 to 5 are those of the tables of semi-supervised detection

Names and layout are those of mmdet's ``tools/misc/split_coco.py``, and so its configs read these
files. Its shares differ: it draws with replacement, so 10 % are 9.5 %, and 50 % are 39.3 %.

Run ``mmext data coco_splits``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from mmext.files import write_whole
from mmext.prepare.packages import DataError

ROOT = Path("data/coco")
STEM = "instances_train2017"
PERCENTS = (1.0, 5.0, 10.0, 20.0, 50.0)

Coco = dict[str, Any]


def labelled_rows(number: int, percent: float, fold: int) -> Bool[np.ndarray, " N"]:
    """Which of ``number`` pictures, in the order of their ids, keep their labels.

    Raises:
        DataError: the share is no share, or it holds no picture.

    Example:
        >>> labelled_rows(5, 40.0, fold=1)
        array([ True, False, False, False,  True])
    """
    if not 0 < percent < 100:
        raise DataError(
            f"expected a percentage between 0 and 100, got {percent:g}; the whole of COCO needs no "
            "split"
        )
    if not (kept := int(number * percent / 100)):
        raise DataError(f"{percent:g} % of {number} pictures is none; take a larger share")
    rows = np.zeros(number, bool)
    rows[np.random.default_rng(fold).permutation(number)[:kept]] = True
    return rows


def split(coco: Coco, percent: float, fold: int) -> tuple[Coco, Coco]:
    """The labelled and the other pictures of a COCO file, each with its annotations."""
    images = sorted(coco["images"], key=lambda image: image["id"])
    rows = labelled_rows(len(images), percent, fold)
    kept = {image["id"] for image, row in zip(images, rows, strict=True) if row}

    def part(inside: bool) -> Coco:
        return coco | {
            "images": [one for one in images if (one["id"] in kept) == inside],
            "annotations": [
                one for one in coco["annotations"] if (one["image_id"] in kept) == inside
            ],
        }

    return part(True), part(False)


def read(path: Path) -> Coco:
    """COCO's annotations.

    Raises:
        DataError: there are none.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DataError(
            f"expected COCO's annotations at {path}, got none ({error.strerror}); download "
            "annotations_trainval2017.zip from cocodataset.org and unpack it under data/coco, or "
            "say --root"
        ) from error


def link(root: Path, name: str, files: Sequence[str]) -> None:
    """Fill ``unlabeled/NAME`` with relative links to the pictures, beside those already there.

    Raises:
        DataError: there are no pictures to link to.
    """
    pictures = root / "train2017"
    if not (pictures / files[0]).is_file():
        raise DataError(
            f"expected COCO's pictures in {pictures}, got no {files[0]}; unpack train2017.zip "
            "there, or leave --link out"
        )
    folder = root / "unlabeled" / name
    folder.mkdir(parents=True, exist_ok=True)
    present = {file.name for file in folder.iterdir()}
    for file in set(files) - present:
        (folder / file).symlink_to(Path("../../train2017") / file)


def prepare(
    root: Path, percents: Sequence[float], folds: Sequence[int], linked: bool = False
) -> list[str]:
    """Write the files of every share and fold; returns a line about each."""
    coco = read(root / "annotations" / f"{STEM}.json")
    said = []
    for fold in folds:
        for percent in percents:
            labelled, others = split(coco, percent, fold)
            stem = root / "semi_anns" / f"{STEM}.{fold}@{percent:g}"
            write_whole(Path(f"{stem}.json"), json.dumps(labelled))
            write_whole(Path(f"{stem}-unlabeled.json"), json.dumps(others))
            if linked:
                link(root, f"{fold}@{percent:g}", [one["file_name"] for one in others["images"]])
            said.append(
                f"{stem}.json: {len(labelled['images'])} pictures with "
                f"{len(labelled['annotations'])} boxes; {len(others['images'])} without labels"
            )
    return said


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="COCO's folder (default: %(default)s)"
    )
    parser.add_argument(
        "--percent", type=float, nargs="+", default=PERCENTS, help="shares (default: 1 5 10 20 50)"
    )
    parser.add_argument("--fold", type=int, nargs="+", default=[1], help="seeds (default: 1)")
    parser.add_argument("--link", action="store_true", help="links to the pictures without labels")
    args = parser.parse_args(argv)
    try:
        print("\n".join(prepare(args.root, args.percent, args.fold, args.link)))
    except DataError as error:
        sys.exit(f"error: {error}.")
