"""What a check found in one file or folder, ready to be printed, counted and kept."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LISTED = 20
"""Errors of one kind that are listed; more of them are counted."""

LONGEST = 1200
"""Characters of a sentence; a damaged file may hold names of any length."""


def printable(text: str) -> str:
    r"""Escape what would break a line or a terminal, and shorten what is very long.

    Example:
        >>> printable("a\nb"), printable("Größe")
        ('a\\nb', 'Größe')
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def shown(value: object, most: int = 80) -> str:
    """A value of a damaged file as text: short, and whatever it is.

    Example:
        >>> shown([1, None]), shown("x" * 99, most=9)
        ('[1, None]', "'xxxxx...")
    """
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a number of thousands of digits
        text = f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= most else f"{text[: most - 3]}..."


@dataclass
class Report:
    """What was found in one annotation file or folder of label maps; ``what`` names its samples."""

    split: str
    file: str
    images: int = 0
    decoded: int = 0
    boxes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    what: str = "images"
    kinds: Counter[str] = field(default_factory=Counter)
    """Errors of each kind, those that are not listed too."""
    labels: tuple[str, ...] | None = None
    """The class of each label as the host numbers them in this file; None where that is unknown."""
    folders: tuple[str, ...] = ()
    """Where the samples lie."""

    def error(self, kind: str, sentence: str) -> None:
        """Add an error, or only count it if many of its kind are listed already."""
        self.kinds[kind] += 1
        if self.kinds[kind] <= LISTED:
            self.errors.append(printable(sentence))

    def warn(self, sentence: str) -> None:
        """Add a warning, once."""
        sentence = printable(sentence)
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    @property
    def unlisted(self) -> int:
        """How many errors are counted and not listed."""
        return sum(max(0, count - LISTED) for count in self.kinds.values())

    def __str__(self) -> str:
        errors = f"{len(self.errors) + self.unlisted} errors"
        if self.what != "images":
            counts = f"{self.images} {self.what}, {self.decoded} of them opened"
            return printable(f"{self.split}: {self.file}: {counts}; {errors}")
        dropped = (
            ", ".join(f"{count} {why}" for why, count in sorted(self.dropped.items())) or "none"
        )
        return printable(
            f"{self.split}: {self.file}: {self.images} images, {self.decoded} of them decoded; "
            f"{self.boxes} boxes used, left out: {dropped}; {errors}"
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Report":
        """The report that :meth:`to_json` wrote."""
        counters = {key: Counter(saved[key]) for key in ("dropped", "kinds")}
        labels = None if saved["labels"] is None else tuple(saved["labels"])
        return cls(**{**saved, **counters, "labels": labels, "folders": tuple(saved["folders"])})
