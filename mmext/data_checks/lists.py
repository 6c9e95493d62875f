"""Lists in text files, a sample a line: read as the hosts read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmext.data_checks.report import shown
from mmext.errors import BadInputError

MARK = "\ufeff"
"""Some editors write it in front of a text in UTF-8; hosts take it as part of the first name."""


def read_lines(file: str) -> list[str]:
    """The lines of a text file, as mmengine's ``list_from_file`` returns them.

    Raises:
        BadInputError: it is no text in UTF-8, or starts with a byte order mark.
    """
    from mmengine.fileio import list_from_file

    try:
        lines: list[str] = list_from_file(file)
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{file}: expected a text in UTF-8, got other bytes ({error.reason} at byte "
            f"{error.start}); write it again as UTF-8"
        ) from None
    if lines and lines[0].startswith(MARK):
        raise BadInputError(
            f"{file}: expected a text in UTF-8 without a byte order mark, got one, which the hosts "
            "take for a part of the first name; write it again without"
        )
    return lines


@dataclass(frozen=True)
class Clip:
    """A line of a list: a file or folder, which frames of it, and its labels."""

    name: str
    labels: tuple[int, ...]
    first: int = 0
    frames: int | None = None
    """None where the file itself says it."""


def read_clips(dataset: Mapping[str, Any], file: str, *, raw: bool) -> list[Clip]:
    """Read the list of mmaction2's VideoDataset or RawframeDataset.

    Args:
        dataset: its config.
        file: the list.
        raw: whether its samples are folders of frames.

    Raises:
        BadInputError: a line is none of these, or the list has no line.
    """
    lines = read_lines(file)
    if not lines:
        raise BadInputError(f"{file}: expected a clip a line, got an empty list; write it again")
    return [
        _read_clip(dataset, line, f"{file}:{number}", raw=raw)
        for number, line in enumerate(lines, 1)
    ]


def _read_clip(dataset: Mapping[str, Any], line: str, place: str, *, raw: bool) -> Clip:
    """Read a line as the host does, which splits at each delimiter and wants whole numbers."""
    offset = bool(raw and dataset.get("with_offset"))
    columns = (
        "folder first frames label" if offset else "folder frames label" if raw else "file label"
    )
    if not line.strip():
        raise BadInputError(f"{place}: expected '{columns}', got an empty line; remove it")
    name, *rest = line.split() if raw else line.strip().split(dataset.get("delimiter", " "))
    try:
        values = [int(value) for value in rest]
        first, frames = (values.pop(0) if offset else 0), (values.pop(0) if raw else None)
    except (ValueError, IndexError):
        hint = "" if raw else "; a path with spaces needs delimiter=',' or the like in the data set"
        raise BadInputError(
            f"{place}: expected '{columns}' with whole numbers, got {shown(line.strip())}; mend "
            f"it{hint}"
        ) from None
    if len(values) > 1 and not dataset.get("multi_class"):
        raise BadInputError(
            f"{place}: expected '{columns}' with one label, got {len(values)}: "
            f"{shown(line.strip())}; set multi_class=True and num_classes in the data set if clips "
            "have several"
        )
    return Clip(name, tuple(values), first, frames)


def wrong_labels(clips: list[Clip], classes: int) -> Iterator[tuple[Clip, int]]:
    """Each clip with a label that is no class, and the label; ``classes`` is 0 if unknown."""
    for clip in clips:
        wrong = [label for label in clip.labels if label < 0 or (classes and label >= classes)]
        if wrong:
            yield clip, wrong[0]
