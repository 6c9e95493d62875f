"""The replays as Markdown tables and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from dev.evidence.tables import interval, markdown, mean_of

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


def probe(found: Mapping[str, Any], budgets: Sequence[int]) -> str:
    """What a linear classifier reads off the frozen features of the nets, and what it foretells."""
    after, foretold = found["after"], found["foretold"]
    differences = [interval(one, 3) for one in foretold["difference"]]
    ranked = [
        ["the net's own", "-", *(f"{one:.3f}" for one in foretold["own"])],
        ["probe", *(f"{one:.3f}" for one in foretold["probe"])],
        ["probe minus own (95 % interval over nets)", "-", *differences],
    ]
    searches = [
        [name, str(one["epochs"]), *(f"{mean:.2f}" for mean in one["mean"]), f"{one['near']:.0%}"]
        for name, key in (("the net's own", "own"), ("probe", "probe"))
        for one in found["random"][key]
    ]
    low, middle, high = found["gain"]
    heads = ["score", "epochs", *(f"after {n}" for n in budgets)]
    return "\n\n".join(
        [
            "A linear probe is a linear classifier that learns the training digits from a net's "
            "frozen last hidden layer, in closed form. Rank correlation of a validation score "
            "after so many epochs with the test score of full trainings, mean over seeds:",
            markdown(["score", *(f"{epochs} epochs" for epochs in after)], ranked),
            "Random search that trains for so many epochs, trains the net of the best score to the "
            "end and names it, regret in points after so many full trainings, worked out exactly:",
            markdown([*heads, f"within half a point after {budgets[-1]}"], searches),
            f"On the test digits a linear classifier has {found['pixels']:.2f} % from the pixels, "
            f"{found['median']:.2f} % from the features of the median fully trained net and "
            f"{found['best']:.2f} % from those of the best, which only hindsight knows; from those "
            f"of the net that is best itself, {found['best_net']:.2f} %. In place of a net's own "
            f"last layer it gains {low:+.2f}, {middle:+.2f} and {high:+.2f} points (quartiles). "
            f"The nets were trained again for it: {found['same']:.1%} of their own counts are "
            "those of the table within three digits.",
        ]
    )


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
            *([probe(found["probe"], found["budgets"])] if found.get("probe") else []),
        ]
    )


AUTOHAS_DATA = ("digits", "Fashion-MNIST")
AUTOHAS_ARMS = ("AutoHAS, U 1", "AutoHAS, one candidate, U 1", "AutoHAS, U 5")
"""What is stated of AutoHAS on each data set."""


def autohas(found: Mapping[str, Any] | None) -> str:
    """AutoHAS against random search on each data set, and what is stated and has not run."""
    found = found or {}
    missing = [
        f"{', '.join(open_arms)} on {data}"
        for data in AUTOHAS_DATA
        if (open_arms := [arm for arm in AUTOHAS_ARMS if arm not in arms_of(found, data)])
    ]
    stated = (
        f"Stated and not run yet: {'; '.join(missing)}, against random search at equal gradient "
        "steps and the whole grid of 24, 16 seeds (`make evidence-autohas`)."
    )
    parts = [autohas_on(data, one) for data, one in found.items()]
    return "\n\n".join([*parts, *([stated] if missing else [])])


def arms_of(found: Mapping[str, Any], data: str) -> Mapping[str, Any]:
    """What has run on a data set."""
    return found[data]["arms"] if data in found else {}


def autohas_on(data: str, found: Mapping[str, Any]) -> str:
    """AutoHAS against random search on a data set."""
    best = found["best"]
    rows = [
        [name, f"{one['updates']:,}", str(one["runs"]), cell(one["mean"], one["error"]),
         f"{one['worst']:.2f}"]
        for name, one in found["arms"].items()
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"On {data} the best pair of rate and decay, {best['pair'][0]:g} and "
            f"{best['pair'][1]:g}, has {best['accuracy']:.2f} % on test, the mean of "
            f"{found['seeds'][0]} to {found['seeds'][1]} as seeds; the whole grid takes "
            f"{best['updates']:,} updates. Regret in points, mean ± standard error:",
            markdown(["search", "updates", "runs", "regret", "worst"], rows),
        ]
    )


RECORDS = 6 + 2 + 12
"""That a trial of two keys and twelve evaluations writes where there is a pruner."""


def journal(found: Mapping[str, Any] | None) -> str:
    """What a journal bears, and how long trials have to be for many workers; or that it is open."""
    if found is None:
        return (
            "Not measured yet: `python -m dev.benchmarks.journal --json "
            "docs/evidence/search_journal.json`."
        )
    machine, rows = found["machine"], found["rows"]
    heads = ["workers", "records a second", "trials a second", "s until a trial is given"]
    measured = [
        [str(one["workers"]), f"{one['records']:.0f}", f"{one['trials']:.1f}", f"{one['wait']:.3f}"]
        for one in rows
    ]
    records, trials = rows[-1]["records"], rows[-1]["trials"]
    needed = [
        [f"{workers:,}", f"{3 * workers * RECORDS / records:,.0f} s", f"{workers / trials:,.0f} s"]
        for workers in (8, 50, 200, 1000)
    ]
    return "\n\n".join(
        [
            f"Trials of zero length, random search over two keys, {found['seconds']:g} s each, on "
            f"{machine['cores']} shared cores ({machine['processor']}) that were busy with other "
            f"work (load {machine['load']:g}), so a lower end:",
            markdown(heads, measured),
            f"Taken further from the last line, trials of two keys and twelve evaluations "
            f"({RECORDS} records) have to last at least so long:",
            markdown(["workers", "a third of the records", "all are given a trial"], needed),
        ]
    )


def on_trees(found: Mapping[str, Any] | None) -> str:
    """The tool's search over the trees detector, or that it is stated."""
    if found is None:
        return (
            "Stated and not run yet: rate and weight decay of the trees detector, found in 40 "
            "minutes on training tiles alone, against the config's own after the whole schedule, "
            "AP50 on validation, 8 pairs of fresh seeds (`python -m dev.evidence.search.trees`)."
        )
    search, pair = found["search"], found["found_minus_own"]
    rows = [
        [arm, *(f"{value:.3g}" for value in search[key].values()), f"{search[score]:.3f}",
         mean_of(list(found["scores"][arm].values()))]
        for arm, key, score in (("found", "values", "score"), ("own", "own", "own_score"))
    ]  # fmt: skip
    trials = ", ".join(f"{count} {state}" for state, count in search["trials"].items())
    heads = ["values", "rate", "weight decay", "AP50 in the search", "AP50 on validation"]
    return "\n\n".join(
        [
            f"{search['seconds'] / 60:.0f} minutes, trials: {trials}.",
            markdown(heads, rows),
            f"Found minus own: {interval(pair)}, {pair['wins']} of {pair['n']} pairs.",
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
