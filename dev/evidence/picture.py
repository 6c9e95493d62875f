"""A picture of a study's pairs: a line a seed, the mean difference and its interval."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from dev.evidence.tables import interval

BETTER, WORSE = "#1b7837", "#b2182b"
COLUMNS = 4


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw every comparison in the measure that decides; PNG."""
    primary = found["statement"]["primary"]
    rows = [row for row in found["pairs"] if row["measure"] == primary]
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(3.2 * columns, 3.4 * lines), dpi=110, squeeze=False, sharey=True
    )
    figure.set_layout_engine("constrained")
    for one, row in zip(axes.flat, rows, strict=False):
        draw_pair(one, row, found["runs"])
    for spare in axes.flat[len(rows) :]:
        spare.set_visible(False)
    for first in axes[:, 0]:
        first.set_ylabel(primary)
    figure.savefig(path)
    plt.close(figure)


def draw_pair(
    axes: Axes, row: Mapping[str, Any], runs: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    """Draw one comparison."""
    treated, control, measure = row["treated"], row["control"], row["measure"]
    for seed, run in runs[control].items():
        ends = run[measure], runs[treated][seed][measure]
        colour = BETTER if ends[1] > ends[0] else WORSE
        axes.plot([0, 1], ends, color=colour, marker="o", markersize=3.5, linewidth=1.2)
    axes.set_xticks([0, 1], [wrapped(control), wrapped(treated)], fontsize=9)
    axes.set_xlim(-0.35, 1.35)
    axes.set_title(f"{interval(row)}\n{row['wins']} of {row['n']} pairs", fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def wrapped(name: str, most: int = 18) -> str:
    r"""A name in lines that fit below a panel of the picture.

    Example:
        >>> wrapped("+ IoU-balanced classification and localisation")
        '+ IoU-balanced\nclassification and\nlocalisation'
    """
    return textwrap.fill(name, most)
