"""What a search leaves: leaderboard.csv, importance.csv, best_config.py, and pictures."""

import csv
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mmext.files import replacing, write_whole
from mmext.search.tuner import population
from mmext.search.tuner.changes import Config, config_text, literal
from mmext.search.tuner.claims import LOST, SKIPPED, folder_of, seed_number
from mmext.search.tuner.finalists import Finalist
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.ranking import ranked
from mmext.search.tuner.runs import REPORT, STATE
from mmext.search.tuner.settings import Settings

logger = logging.getLogger("mmext")

STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def names(study: optuna.Study, settings: Settings) -> list[str]:
    """The objectives' names; ``auto`` by what it was found to be."""
    chosen = study.user_attrs.get("metric")
    return [chosen or "auto" if one.name == "auto" else one.name for one in settings.objectives]


def state_of(trial: FrozenTrial) -> str:
    """In a word."""
    if trial.user_attrs.get(LOST):
        return "lost"
    return "too costly" if SKIPPED in trial.user_attrs else STATES[trial.state]


def ordered(trials: Sequence[FrozenTrial], study: optuna.Study) -> list[FrozenTrial]:
    """All trials: the finished ones from the best on, then the others by number."""
    best = ranked(trials, study)
    numbers = {one.number for one in best}
    return [*best, *(one for one in trials if one.number not in numbers)]


def write_leaderboard(file: Path, plan: Plan, study: optuna.Study) -> None:
    """A line a trial."""
    objectives = names(study, plan.settings)
    rows = []
    for rank, one in enumerate(ordered(study.get_trials(deepcopy=False), study), start=1):
        values = one.values or [""] * len(objectives)
        attrs = one.user_attrs
        changes = plan.space.changes(one.params)
        row = {
            "rank": rank if one.state == TrialState.COMPLETE else "",
            "trial": one.number,
            "state": state_of(one),
            **dict(zip(objectives, values, strict=True)),
            **{key: literal(changes[key]) if key in changes else "" for key in plan.space.own},
            **{name: attrs.get("costs", {}).get(name, "") for name in _costs(plan.settings)},
            "own": attrs.get("own", False),
            "seed": plan.settings.seed + seed_number(one),
            "seconds": round(attrs["seconds"], 2) if "seconds" in attrs else "",
            "parameters": attrs.get("params") or "",
            "repeats": attrs.get("repeats", ""),
            "reason": attrs.get(SKIPPED) or attrs.get("reason", ""),
        }
        rows.append(row)
    write_csv(file, rows)


def _costs(settings: Settings) -> list[str]:
    shown = {one.name for one in settings.objectives}
    return [one.name for one in settings.bounds if one.name not in shown]


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]], heads: Sequence[str] = ()) -> None:
    """A table, whole or not at all; ``heads`` are for one without rows."""
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as out:
        lines = csv.DictWriter(out, list(rows[0]) if rows else list(heads))
        lines.writeheader()
        lines.writerows(rows)


def importances(study: optuna.Study, objective: int = 0) -> dict[str, float]:
    """How much each key decides the objective, by Optuna's PED-ANOVA; empty if nothing can tell."""
    everyone = study.get_trials(deepcopy=False)
    trials = ranked(everyone, study)
    # Parts of a population's trainings are no equals: later ones are better whatever their values.
    if len(trials) < 4 or any(population.place_of(one).part for one in everyone):
        return {}
    target = None if len(study.directions) == 1 else lambda trial: trial.values[objective]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(optuna.importance.get_param_importances(study, target=target))
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        logger.debug("no importances: %s", error)
        return {}


def beside(plan: Plan, trial: FrozenTrial | optuna.Trial) -> Config:
    """What a trial's config has beside values and seed: where it is a part of a training."""
    if plan.settings.method != "pbt":
        return {}
    place = population.place_of(trial)
    parent = None if place.parent is None else folder_of(plan.work_dir, place.parent)
    return population.content(population.ends(plan.settings, plan.cfg)[place.part], parent)


def write_population(file: Path, plan: Plan, study: optuna.Study) -> None:
    """A line for each part of a population's trainings, if there is one."""
    if plan.settings.method == "pbt":
        until = population.ends(plan.settings, plan.cfg)
        write_csv(file, population.rows(study.get_trials(deepcopy=False), until))


def write_importances(file: Path, plan: Plan, study: optuna.Study) -> None:
    """A line for each key and objective."""
    rows = [
        {"objective": name, "key": key, "importance": round(value, 4)}
        for number, name in enumerate(names(study, plan.settings))
        for key, value in importances(study, number).items()
    ]
    write_csv(file, rows, ["objective", "key", "importance"])


def winner(
    plan: Plan, study: optuna.Study, finalists: Sequence[Finalist] = ()
) -> FrozenTrial | None:
    """The best trial: among finalists the one with the best mean; None before any is done."""
    trials = study.get_trials(deepcopy=False)
    best = ranked(trials, study)
    if finalists and len(plan.settings.objectives) == 1:
        sign = 1 if plan.settings.objectives[0].largest else -1
        number = max(finalists, key=lambda one: sign * one.mean).number
        return trials[number]
    return best[0] if best else None


def write_best(
    file: Path, plan: Plan, study: optuna.Study, finalists: Sequence[Finalist] = ()
) -> FrozenTrial | None:
    """The config of the best trial, as the smallest change of the one that was searched over."""
    best = winner(plan, study, finalists)
    if best is None:
        return None
    values = dict(zip(names(study, plan.settings), best.values, strict=True))
    found = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
    seed = plan.settings.seed + seed_number(best)
    content = plan.content(plan.space.changes(best.params), seed)
    content = plan.with_beside(content, beside(plan, best))
    doc = f"The best of a search: trial {best.number}, {found}.\n\n{_reading(best, finalists)}\n"
    write_whole(file, config_text(plan.base, content, doc))
    return best


def _reading(best: FrozenTrial, finalists: Sequence[Finalist]) -> str:
    """How the number of the best trial is to be read."""
    parent = population.place_of(best).parent
    if parent is not None:
        return (
            f"This goes on from the weights of trial {parent} and repeats the last part of a "
            f"training alone:\npopulation.csv has the values of each part, {STATE} in "
            "the trial's folder the weights."
        )
    again = next((one for one in finalists if one.number == best.number), None)
    if again is not None:
        return f"Trained again with {len(again.values)} other seeds: {again.mean:.6g} in the mean."
    return "The best of several noisy numbers flatters: train it again (--finalists)."


def evaluations(work_dir: Path, number: int) -> list[dict[str, Any]]:
    """What a trial reported, evaluation by evaluation."""
    try:
        text = (folder_of(work_dir, number) / REPORT).read_text(encoding="utf-8")
    except OSError:
        return []
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    return [line for line in lines if "metrics" in line]
