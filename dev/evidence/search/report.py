"""The replays as Markdown tables and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from dev.evidence.tables import markdown, mean_of

SHOWN = (
    "random",
    "TPE",
    "REINFORCE",
    "NARS",
    "random, successive halving",
    "NARS, early-stop epoch",
)
"""Methods in the picture; more lines than these cannot be told apart."""


def cell(mean: float, error: float) -> str:
    """A mean and its standard error.

    Example:
        >>> cell(1.614, 0.049)
        '1.61 ± 0.05'
    """
    return f"{mean:.2f} ± {error:.2f}"


def row_of(name: str, one: Mapping[str, Any], budgets: Sequence[int]) -> list[str]:
    """A search's line; budgets to which it was not replayed have a dash."""
    if "error" in one:
        cells = [cell(*both) for both in zip(one["mean"], one["error"], strict=True)]
    else:
        cells = [f"{mean:.2f}" for mean in one["mean"]]
    whole = len(cells) == len(budgets)
    cells += ["-"] * (len(budgets) - len(cells))
    return [name, str(one["runs"]), *cells, f"{one['near']:.0%}" if whole else "-"]


def regret_table(found: Mapping[str, Any], which: str) -> str:
    """Mean regrets after each budget."""
    heads = [
        "search" if which == "methods" else "searched",
        "runs",
        *(f"after {n}" for n in found["budgets"]),
        f"within half a point after {found['budgets'][-1]}",
    ]
    rows = [row_of(name, one, found["budgets"]) for name, one in found[which].items()]
    return markdown(heads, rows)


def spearman_table(found: Mapping[str, Any]) -> str:
    """How well predictors rank the nets that they have not seen."""
    rows = [[name, mean_of(values), str(len(values))] for name, values in found["spearman"].items()]
    return markdown(["predictor", "rank correlation", "draws"], rows)


def words(found: Mapping[str, Any]) -> str:
    """What the table itself is like."""
    epochs = found["epochs"]
    early = ", ".join(f"{one:.2f}" for one in epochs["correlations"][:-1])
    return (
        f"The best net has {found['best']:.2f} % on the test digits, the median net "
        f"{found['median']:.2f} %. The ranking after 1, 2, 4 and 8 epochs agrees with the last one "
        f"to {early}, that of one seed with the other's to {epochs['between_seeds']:.2f}; the "
        f"early-stop epoch at 0.9 is {epochs['early_stop']}."
    )


def both(found: Mapping[str, Any]) -> str:
    """All that a page shows."""
    return "\n\n".join(
        [
            words(found),
            "Regret in points, mean ± standard error, after so many full trainings:",
            regret_table(found, "methods"),
            *(
                [f"Stated and not replayed yet: {'; '.join(found['missing'])}."]
                if found["missing"]
                else []
            ),
            "Joint search against its halves, the other half fixed at its median or at its best in "
            "the mean (which only hindsight knows), by random search, worked out exactly:",
            regret_table(found, "arms"),
            "The same by NARS:",
            regret_table(found, "arms_of_nars"),
            "Predictors that have learnt from 60 of the 384 nets, mean ± sample deviation:",
            spearman_table(found),
        ]
    )


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Regret over budget of some methods, and of the arms; PNG."""
    arms = found["arms"]
    shown = {name: found["methods"][name] for name in SHOWN if name in found["methods"]}
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), dpi=110, sharey=True)
    figure.set_layout_engine("constrained")
    for one, lines, title in (
        (axes[0], shown, "searches"),
        (axes[1], arms, "what a random search may choose"),
    ):
        for name, line in lines.items():
            budgets = found["budgets"][: len(line["mean"])]
            errors = line.get("error")
            one.errorbar(budgets, line["mean"], errors, marker="o", markersize=3, label=name)
        one.set_xscale("log")
        one.set_yscale("log")
        one.set_xticks(found["budgets"], [str(n) for n in found["budgets"]])
        one.minorticks_off()
        one.set_xlabel("full trainings")
        one.set_title(title, fontsize=9)
        one.legend(fontsize=7, frameon=False)
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("regret, points of test accuracy")
    figure.savefig(path)
    plt.close(figure)
