"""The pictures of a search: its course, the curves of its trials, what decides, and each key."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from mmext.search.tuner import outputs
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.ranking import finished, front
from mmext.search.tuner.settings import COSTS

GREY, BLUE, RED, GREEN = "#9a9a9a", "#1f5fa8", "#c23b22", "#2b8a3e"


def draw(plan: Plan, study: optuna.Study) -> list[Path]:
    """Write all pictures; none without matplotlib or before a trial is done."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    trials = study.get_trials(deepcopy=False)
    if not finished(trials):
        return []
    made = []
    makers: dict[str, Callable[..., bool]] = {
        "history": history,
        "curves": curves,
        "importance": importance,
        "keys": keys,
        "front": trade_off,
    }
    for name, maker in makers.items():
        figure = Figure(figsize=(7, 4), layout="constrained")
        if maker(figure, plan, study, trials):
            made.append(plan.work_dir / f"{name}.png")
            figure.savefig(made[-1], dpi=120)
    return made


def _axes(figure: Any, title: str, x: str, y: str) -> Any:
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return axes


def history(figure: Any, plan: Plan, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """The first objective of each trial, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    name, objective = outputs.names(study, plan.settings)[0], plan.settings.objectives[0]
    axes = _axes(figure, "Course of the search", "trial", name)
    done = finished(trials)
    axes.scatter([t.number for t in done], [t.values[0] for t in done], s=22, color=BLUE, zorder=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    better = max if objective.largest else min
    best: list[float] = []
    for one in done:
        best.append(better([*best[-1:], one.values[0]]))
    axes.step([t.number for t in done], best, where="post", color=GREEN, label="best so far")
    own = next((one for one in done if one.user_attrs.get("own")), None)
    if own is not None and plan.settings.method != "pbt":  # whose first trial is but a part
        axes.axhline(own.values[0], color=RED, ls="--", lw=1, label="the config's own values")
    for state, colour, label in (
        (TrialState.PRUNED, GREY, "stopped"),
        (TrialState.FAIL, RED, "failed"),
    ):
        numbers = [one.number for one in trials if one.state == state]
        if numbers:
            axes.plot(
                numbers,
                [0.02] * len(numbers),
                "|",
                color=colour,
                ms=9,
                label=label,
                transform=axes.get_xaxis_transform(),
            )
    axes.legend(frameon=False, fontsize=8)
    return True


def curves(figure: Any, plan: Plan, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """The first objective of each trial, evaluation by evaluation."""
    name = outputs.names(study, plan.settings)[0]
    axes = _axes(figure, "Trials while they trained", "step", name)
    best = outputs.winner(plan, study)
    drawn = 0
    for one in trials:
        rows = outputs.evaluations(plan.work_dir, one.number)
        points = [(row["step"], row["metrics"][name]) for row in rows if name in row["metrics"]]
        if not points:
            continue
        drawn += 1
        own, is_best = one.user_attrs.get("own"), best is not None and one.number == best.number
        colour = (
            GREEN if is_best else RED if own else BLUE if one.state == TrialState.COMPLETE else GREY
        )
        label = "best" if is_best else "the config's own values" if own else None
        strong = bool(label)
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            lw=2 if strong else 0.9,
            alpha=1 if strong else 0.55,
            marker="." if len(points) == 1 else None,
            label=label,
            zorder=3 if strong else 2,
        )
    if drawn:
        axes.legend(frameon=False, fontsize=8)
    return bool(drawn)


def importance(figure: Any, plan: Plan, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """How much each key decides."""
    found = outputs.importances(study)
    if not found:
        return False
    axes = _axes(figure, "What decides (PED-ANOVA)", "share", "")
    names = list(found)[::-1]
    axes.barh([_short(one) for one in names], [found[one] for one in names], color=BLUE)
    return True


def keys(figure: Any, plan: Plan, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """The first objective over each key."""
    name = outputs.names(study, plan.settings)[0]
    done = finished(trials)
    parameters = list(plan.space.parameters.values())[:12]
    columns = min(3, len(parameters))
    rows = math.ceil(len(parameters) / columns)
    figure.set_size_inches(3.4 * columns + 0.6, 2.8 * rows + 0.4)
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_visible(place < len(parameters))
        if place >= len(parameters):
            continue
        one = parameters[place]
        categorical = isinstance(one.distribution, CategoricalDistribution)
        values = [t.params[one.key] for t in done]
        axes.scatter(
            [str(v)[:18] for v in values] if categorical else values,
            [t.values[0] for t in done],
            c=[t.number for t in done],
            cmap="viridis",
            s=18,
        )
        if getattr(one.distribution, "log", False):
            axes.set_xscale("log")
        axes.set_xlabel(_short(one.key), fontsize=8)
        axes.set_ylabel(name if place % columns == 0 else "", fontsize=8)
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=7)
    return True


def trade_off(figure: Any, plan: Plan, study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """Two objectives against each other; the trials that none beats are joined."""
    objectives = outputs.names(study, plan.settings)
    if len(objectives) < 2:
        return False
    done = finished(trials)
    axes = _axes(figure, "Trade-off", objectives[1], objectives[0])
    best = sorted(
        (one for one in done if one.number in front(trials, study)), key=lambda one: one.values[1]
    )
    axes.scatter([t.values[1] for t in done], [t.values[0] for t in done], s=20, color=GREY)
    costs = [t.values[1] for t in done] if objectives[1] in COSTS else []
    if costs and max(costs) > 10 * min(costs) > 0:
        axes.set_xscale("log")
    axes.plot([t.values[1] for t in best], [t.values[0] for t in best], "o-", color=GREEN, ms=5)
    return True


def _short(key: str) -> str:
    words = key.split(".")
    return key if len(key) <= 28 else ".".join(words[-2:])
