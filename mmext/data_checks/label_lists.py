"""Several labels a picture, in a JSON file: a list of labels for each, by the pictures' numbers.

Host     none; ``mmext.ReaLAccuracy`` reads by the same function what ``verify`` checks by it
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmext.data_checks.report import shown
from mmext.errors import BadInputError


def read_labels(labels: str | Path | Sequence[Sequence[int]], num_classes: int) -> list[list[int]]:
    """The labels of each picture, in the order of the pictures' numbers.

    Args:
        labels: a JSON file with a list of labels for each picture, or these lists.
        num_classes: of the labels.

    Raises:
        BadInputError: the file is missing or holds something else, or a label is no class.
    """
    where = labels if isinstance(labels, str | Path) else "labels"
    lists: Any = _parsed(where) if isinstance(labels, str | Path) else labels
    if not isinstance(lists, list | tuple) or not lists:
        raise BadInputError(
            f"{where}: expected a list of labels for each picture, got {shown(lists)}; take a file "
            "such as ReaL's real.json"
        )
    for number, one in enumerate(lists):
        whole = isinstance(one, list | tuple) and all(type(label) is int for label in one)
        if not whole or not all(0 <= label < num_classes for label in one):
            raise BadInputError(
                f"{where}: expected labels from 0 to {num_classes - 1} for picture {number}, got "
                f"{shown(one)}; set num_classes to that of the labels, or mend the file"
            )
    return [list(one) for one in lists]


def _parsed(file: str | Path) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInputError(
            f"{file}: not found, expected ReaL's labels there; fetch real.json from "
            "github.com/google-research/reassessed-imagenet, or correct the path"
        ) from None
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected JSON, got something else ({error}); fetch the file again"
        ) from None
