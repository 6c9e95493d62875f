"""Points in tables, as DeepLabCut and lightning-pose write them."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mmext.errors import BadInputError
from mmext.landmarks.stack.datasets import LandmarkFiles, require_file
from mmext.registry import DATASETS

HEADINGS = ("scorer", "bodyparts", "coords")


@DATASETS.register_module()
class CSVLandmarkDataset(LandmarkFiles):
    """Points of a CSV table with the headings scorer, bodyparts and coords, one picture a row.

    Empty cells and NaN are not labelled; a column of likelihoods is not read. The picture is named
    by the first column, or by the first three, which newer versions of DeepLabCut write.
    Arguments as in :class:`LandmarkFiles`.
    """

    def read(self) -> Iterable[dict[str, Any]]:
        """The rows of the table.

        Raises:
            BadInputError: it has other headings or columns, several animals, or a cell that is no
                number.
        """
        require_file(self.ann_file)
        with open(self.ann_file, encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        headings = tuple(row[0] for row in rows[:4])
        if "individuals" in headings:
            raise BadInputError(
                f"{self.ann_file}: expected one animal a picture, got a table with individuals; "
                "write a COCO file of keypoints and take mmext.COCOLandmarkDataset"
            )
        if headings[:3] != HEADINGS:
            raise BadInputError(
                f"{self.ann_file}: expected lines that begin with {', '.join(HEADINGS)}, got "
                f"{', '.join(headings[:3])}; take CollectedData_<scorer>.csv of DeepLabCut or "
                "lightning-pose"
            )
        xs, ys = ([i for i, word in enumerate(rows[2]) if word == axis] for axis in "xy")
        if not xs or len(xs) != len(ys):
            raise BadInputError(
                f"{self.ann_file}: expected columns x and y of each point below coords, got "
                f"{len(xs)} and {len(ys)}; write the table again"
            )
        start = next(i for i, word in enumerate(rows[2]) if word in ("x", "y", "likelihood"))
        self.learn(keypoint_names=[rows[1][i] for i in xs])
        for number, row in enumerate(rows[3:], start=4):
            name = str(Path(*row[:start]))
            yield {
                "img_path": self.picture(name),
                "key": name,
                "keypoints": self._points(row, zip(xs, ys, strict=True), number),
            }

    def _points(self, row: list[str], columns: Iterable[tuple[int, int]], number: int) -> Any:
        try:
            return np.array([[float(row[i] or "nan") for i in pair] for pair in columns])
        except (ValueError, IndexError) as error:
            raise BadInputError(
                f"{self.ann_file}: expected a number or nothing in each cell of line {number}, got "
                f"another ({error}); correct the line"
            ) from None
