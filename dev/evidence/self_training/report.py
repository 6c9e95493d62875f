"""What came out of the digits: a sentence, and a table of every cell."""

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from dev.evidence.tables import interval, markdown

LIMITS = "anything about detectors, segmentors, large nets or other pictures than digits of 8 x 8"
HEADS = (
    "labels, augmentation, start",
    "teacher",
    "labelled only",
    "+ total steps",
    "self-trained",
    "oracle",
    "believed",
    "of these right",
    "self-trained against labelled only",
    "wins",
    "against + total steps",
    "oracle against labelled only",
    "can show a gain",
)


in_points = partial(interval, digits=2)
"""A difference in points of accuracy and its interval."""


def table(found: Mapping[str, Any]) -> str:
    """Every cell: means of the arms in percent, and the pairs; what decides is in bold."""
    rows = []
    for name, one in found["cells"].items():
        bold = "**" if name == found["statement"]["decides"] else ""
        means = [f"{statistics.fmean(runs.values()):.1f}" for runs in one["runs"].values()]
        gain, total, room = one["pairs"]
        rows.append(
            [
                f"{bold}{name}{bold}",
                f"{one['teacher']:.1f}",
                *means,
                f"{one['believed']:.0%}",
                f"{one['right']:.0%}",
                f"{bold}{in_points(gain)}{bold}",
                f"{gain['wins']} of {gain['n']}",
                in_points(total),
                in_points(room),
                "yes" if one["shows"] else "no",
            ]
        )
    return markdown(HEADS, rows)


def known(found: Mapping[str, Any] | None) -> str:
    """What decides, in a sentence, and the table; what is stated where nothing has run."""
    if found is None:
        return (
            "Stated and not run yet: self-trained against labelled only on scikit-learn's digits, "
            "twelve cells of labels, augmentation and start, 40 pairs each (`make "
            "evidence-self-training`). "
            f"It will not show {LIMITS}."
        )
    row = found["decides"]
    where = f"With {row['cell']}"
    return outcome(
        found, row, where=where, unit="points of accuracy", limits=LIMITS, cells=table(found)
    )


def outcome(
    found: Mapping[str, Any],
    row: Mapping[str, Any],
    *,
    where: str,
    unit: str,
    limits: str,
    cells: str,
) -> str:
    """What decides, in a sentence, the cells that could show nothing, a table, what S4 adds.

    Args:
        found: cells and interactions.
        row: the pairs that decide.
        where: begins the sentence.
        unit: of the difference.
        limits: what is not shown.
        cells: the table.
    """
    verdict = "is ahead of" if row["low"] > 0 else "is not visibly ahead of"
    if row["high"] < 0:
        verdict = "is behind"
    blind = [name for name, one in found["cells"].items() if not one["shows"]]
    note = f" Nothing could be shown in {', '.join(blind)}." if blind else ""
    more = "\n".join(f"- {name}: {in_points(one)}" for name, one in found["interaction"].items())
    return (
        f"{where}, the student {verdict} a net of the labels alone by {in_points(row)} {unit}, "
        f"{row['wins']} of {row['n']} pairs.{note} It does not show {limits}.\n\n{cells}\n\nHow "
        f"much more an effect is at S4, in points of the pairs:\n\n{more}"
    )
