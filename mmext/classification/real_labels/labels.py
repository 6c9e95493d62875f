"""Several labels a picture: read from a file, and compared with what a model says."""

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmext.errors import BadInputError

NUMBER = re.compile(r"(\d{8})$")
"""How the name of a validation picture ends, before its suffix."""


def number_of(path: str) -> int | None:
    """The place of a picture in the lists, by the eight digits of its name; None if it has none.

    Example:
        >>> number_of("val/n01440764/ILSVRC2012_val_00000293.JPEG"), number_of("cat.jpg")
        (292, None)
    """
    found = NUMBER.search(Path(path).stem)
    return int(found[1]) - 1 if found else None


def labels_by_score(
    lists: Sequence[Sequence[int]],
    tensor: np.ndarray,
    info: Iterable[Sequence[Any]],
    least: float,
) -> list[list[int]]:
    """The labels to which raters gave ``least`` or more; pictures that nobody rated keep theirs.

    Args:
        lists: labels of each picture, by its number.
        tensor: scores from 0 to 1.
        info: of each score the name of the picture's file and the label.
        least: the least score; the authors' is 0.8.
    """
    rated: dict[int, list[int]] = {}
    for score, (name, label) in zip(np.ravel(tensor), info, strict=True):
        number = number_of(str(name))
        if number is not None:
            chosen = rated.setdefault(number, [])
            if score >= least:
                chosen.append(int(label))
    return [rated.get(number, list(one)) for number, one in enumerate(lists)]


def read_scores(lists: Sequence[Sequence[int]], file: str | Path, least: float) -> list[list[int]]:
    """:func:`labels_by_score` of the authors' ``scores.npz``.

    Raises:
        BadInputError: the file is missing or another one.
    """
    try:
        with np.load(file) as saved:
            return labels_by_score(lists, saved["tensor"], saved["info"].tolist(), least)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BadInputError(
            f"{file}: expected the raters' scores with the arrays tensor and info, got something "
            f"else ({error}); fetch scores.npz again, or leave scores out"
        ) from None


def accepted(predictions: Int[Tensor, "N k"], labels: Int[Tensor, "N L"]) -> Bool[Tensor, "N k"]:
    """Which of a picture's first answers are among its labels, which -1 fills up.

    Example:
        >>> accepted(torch.tensor([[1, 4], [5, 2]]), torch.tensor([[1, -1], [2, 3]])).tolist()
        [[True, False], [False, True]]
    """
    return (predictions[:, :, None] == labels[:, None, :]).any(2)


def first_classes(scores: Float[Tensor, "B K"], k: int) -> Int[Tensor, "B k"]:
    """The k classes of the highest scores, the best first; of equal scores the first class first.

    Example:
        >>> first_classes(torch.tensor([[0.1, 0.4, 0.4, 0.1]]), 3).tolist()
        [[1, 2, 0]]
    """
    k = min(k, scores.shape[1])
    values, order = scores.topk(
        k
    )  # several times faster than a sort, but it breaks ties as it likes
    tied = (scores >= values[:, -1:]).sum(1) > k
    tied |= (values[:, 1:] == values[:, :-1]).any(1)
    if tied.any():
        order[tied] = scores[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    return order


def padded(lists: Sequence[Sequence[int]]) -> Int[Tensor, "N L"]:
    """The lists as one tensor, filled up with -1."""
    longest = max((len(one) for one in lists), default=0)
    table = torch.full((len(lists), max(longest, 1)), -1)
    lengths = torch.tensor([len(one) for one in lists], dtype=torch.long)
    places = torch.arange(table.shape[1]) < lengths[:, None]
    table[places] = torch.tensor([label for one in lists for label in one], dtype=torch.long)
    return table
