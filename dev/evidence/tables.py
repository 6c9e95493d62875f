"""A study's file as Markdown: arms' means, pairs' differences, one sentence of what is known."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dev.evidence.results import deciding


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table without padding, so that one changed number changes one line.

    Example:
        >>> print(markdown(["arm", "AP"], [["ATSS", "0.1"]]))
        | arm | AP |
        |---|---|
        | ATSS | 0.1 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def means(found: Mapping[str, Any]) -> str:
    """Mean and sample deviation of each arm; an arm's spread is no error of a difference."""
    first = next(iter(next(iter(found["runs"].values())).values()))
    rows = [
        [arm, *(mean_of([run[heading] for run in seeds.values()]) for heading in first)]
        for arm, seeds in found["runs"].items()
    ]
    return markdown(["arm", *first], rows)


def mean_of(values: list[float]) -> str:
    """Mean and sample standard deviation.

    Example:
        >>> mean_of([0.1, 0.2, 0.3])
        '0.200 ± 0.100'
    """
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def paired(found: Mapping[str, Any]) -> str:
    """The paired differences; the one that decides is in bold."""
    decides = deciding(found)
    rows = []
    for row in found["pairs"]:
        bold = "**" if row == decides else ""
        rows.append(
            [
                f"{bold}{row['treated']} against {row['control']}{bold}",
                row["measure"],
                f"{bold}{interval(row)}{bold}",
                f"{row['deviation']:.4f}",
                f"{row['p']:.3g}",
                f"{row['wins']} of {row['n']}",
            ]
        )
    return markdown(
        ["pair", "measure", "difference (95 % interval)", "deviation", "p", "wins"], rows
    )


def interval(row: Mapping[str, Any], digits: int = 4) -> str:
    """A difference and its interval, with so many digits behind the point.

    Example:
        >>> interval(dict(mean=0.0148, low=0.0062, high=0.0234))
        '+0.0148 (+0.0062 to +0.0234)'
    """
    mean, low, high = (f"{row[key]:+.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def both(found: Mapping[str, Any]) -> str:
    """Both tables of a study, or the one of a superseded study."""
    return old(found) if "superseded" in found else f"{means(found)}\n\n{paired(found)}"


def old(found: Mapping[str, Any]) -> str:
    """The table of a superseded study: means and spreads of unpaired seeds."""
    runs, splits = found["runs"], found["splits"]
    first = next(iter(next(iter(runs.values())).values()))
    cells = [(split, metric) for split in splits for metric in first[split]]
    rows = [
        [arm, *(mean_of([run[split][metric] for run in seeds.values()]) for split, metric in cells)]
        for arm, seeds in runs.items()
    ]
    return markdown(["arm", *(f"{splits[split]} {metric}" for split, metric in cells)], rows)


def known(
    name: str, stated: Mapping[str, Any], found: Mapping[str, Any] | None, arm: str = ""
) -> str:
    """One sentence: what the study says, on which data, and what it does not show.

    Args:
        name: of the study.
        stated: its statement.
        found: its file, if it has run.
        arm: one that is compared with the baseline, instead of the claimed one.
    """
    asked = (
        f"{arm or stated['claim']} against {stated['baseline']} in {stated['primary']} on "
        f"{stated['data_name']}"
    )
    if found is None:
        return (
            f"Stated and not run yet: {asked}, {len(stated['seeds'])} pairs (`make evidence "
            f"STUDY={name}`). It will not show {stated['limits']}."
        )
    row = deciding(found, arm)
    verdict = "differs" if row["low"] > 0 or row["high"] < 0 else "does not differ visibly"
    return (
        f"{asked[0].upper()}{asked[1:]} {verdict}: {interval(row)}, p = {row['p']:.3g}, "
        f"{row['wins']} of {row['n']} pairs. It does not show {stated['limits']}."
    )
