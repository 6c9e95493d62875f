"""Blocks of an FBNetV3 by numbers instead of text, so that a search can change each of them.

``dict(blocks=4, kernel=5, first=4, rest=2, channels=24, stride=2, se=False)`` stands for the rows
``1x k5 e4 24 /2`` and ``3x k5 e2 24``: the first block has an expansion of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

NEEDED = {"blocks", "kernel", "first", "rest", "channels"}
OPTIONAL = {"stride", "se"}


def rows_of(row: str | Mapping[str, Any]) -> tuple[str, ...]:
    """The rows that a dict stands for; text is a row already.

    Raises:
        ValueError: a number is missing, or there is one too many.

    Example:
        >>> rows_of(dict(blocks=4, kernel=5, first=4, rest=2, channels=24, stride=2))
        ('1x k5 e4 24 /2', '3x k5 e2 24')
    """
    if isinstance(row, str):
        return (row,)
    if not NEEDED <= set(row) <= NEEDED | OPTIONAL or row.get("stride", 1) not in (1, 2):
        raise ValueError(
            "blocks by numbers must be like dict(blocks=4, kernel=5, first=4, rest=2, channels=24, "
            f"stride=2, se=False), with stride 1 or 2, got {dict(row)}"
        )
    end = " se" if row.get("se", False) else ""
    first = f"1x k{row['kernel']} e{row['first']} {row['channels']}"
    first += " /2" if row.get("stride", 1) == 2 else ""
    if row["blocks"] == 1:
        return (first + end,)
    return (
        first + end,
        f"{row['blocks'] - 1}x k{row['kernel']} e{row['rest']} {row['channels']}{end}",
    )


def rows_of_stage(rows: Sequence[str | Mapping[str, Any]]) -> tuple[str, ...]:
    """The rows of a stage."""
    return tuple(text for row in rows for text in rows_of(row))
