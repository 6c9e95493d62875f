"""Which samples of a data set count as labelled: lists in files, and shares drawn by a seed."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmext.data_checks.lists import read_lines
from mmext.errors import BadInputError, did_you_mean


def share_of(total: int, share: int | float, seed: int = 0) -> list[int]:
    """Numbers of a share of the samples, drawn once and for ever: the same on every machine.

    A smaller share of one seed is a part of a larger one.

    Raises:
        ValueError: a share that is not above 0 and up to 1.

    Example:
        >>> share_of(10, 0.2), share_of(10, 0.4)
        ([2, 8], [2, 4, 8, 9])
    """
    if not 0 < share <= 1:
        raise ValueError(
            f"labeled_share: expected a share above 0 and up to 1, got {share}; 5 % is 0.05"
        )
    # RandomState, not Generator: NumPy promises that its numbers never change.
    order = np.random.RandomState(seed).permutation(total)
    return sorted(order[: max(round(share * total), 1)].tolist())


def read_indices(file: str, keys: Sequence[str]) -> set[int]:
    """Numbers of the samples that a file lists, one a line or as JSON, by number or by name.

    Args:
        file: a list of numbers, of keys of samples, or of names of picture files.
        keys: those of all samples.

    Raises:
        BadInputError: it is no list, or names what is no sample.
    """
    numbers = {key: number for number, key in enumerate(keys)}
    names = Counter(Path(key).name for key in keys)
    for number, key in enumerate(keys):
        if names[Path(key).name] == 1:  # a name in two folders says nothing
            numbers.setdefault(Path(key).name, number)
    found = set()
    for entry in _entries(file):
        number = numbers.get(entry, int(entry) if entry.isdecimal() else -1)
        if not 0 <= number < len(keys):
            raise BadInputError(
                f"{file}: expected names of the data set's {len(keys)} samples, or numbers below, "
                f"got {entry!r}{did_you_mean(entry, numbers)}; write a list for this data set"
            )
        found.add(number)
    return found


def _entries(file: str) -> list[str]:
    if not Path(file).is_file():
        raise BadInputError(
            f"{file}: expected a list of labelled samples, got no file; write one, or take "
            "labeled_share=0.2 instead"
        )
    if not file.endswith(".json"):
        return [line.strip() for line in read_lines(file) if line.strip()]
    try:
        listed = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected a JSON list of labelled samples, got something else ({error}); "
            "write [0, 5, 7], or names of pictures"
        ) from None
    listed = listed.get("labeled", listed) if isinstance(listed, dict) else listed
    if not isinstance(listed, list):
        raise BadInputError(
            f"{file}: expected a JSON list of labelled samples, got {type(listed).__name__}; write "
            "[0, 5, 7], or names of pictures"
        )
    return [str(entry) for entry in listed]
