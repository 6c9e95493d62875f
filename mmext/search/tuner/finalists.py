"""The best trials once more, with other seeds: the best of many noisy numbers flatters.

The config's own values are always among them, with the same seeds.
"""

import json
import math
import os
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from mmext.files import write_whole
from mmext.search.tuner import devices, runs
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.ranking import ranked

FIRST_SEED = 10_000
"""Beyond the study's seed; trials have its next ones."""


@dataclass(frozen=True)
class Finalist:
    """A trial that was trained again.

    Args:
        number: of the trial.
        own: whether it has the config's own values.
        score: that it had in the search.
        values: one for each other seed that trained; seeds in order.
    """

    number: int
    own: bool
    score: float
    values: list[float]

    @property
    def mean(self) -> float:
        """Of the other seeds."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Among the other seeds; nan where there is one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


def choose(plan: Plan, study: optuna.Study) -> list[FrozenTrial]:
    """The best trials, and the config's own values."""
    best = ranked(study.get_trials(deepcopy=False), study)
    chosen = best[: plan.settings.finalists]
    own = [one for one in best if one.user_attrs.get("own") and one not in chosen]
    return chosen + own[:1]


def train_again(
    plan: Plan,
    study: optuna.Study,
    metric: str,
    say: Callable[[str], None] = print,
    *,
    beat: Callable[[], None] = lambda: None,
    environment: Mapping[str, str] | None = None,
) -> list[Finalist]:
    """Train the best trials with other seeds; what has been trained is kept.

    Args:
        plan: what the search is.
        study: with its trials done.
        metric: the first objective's name.
        say: told after each training.
        beat: called all the time.
        environment: this process's variables.
    """
    chosen = choose(plan, study)
    seeds = [FIRST_SEED + plan.settings.seed + n for n in range(plan.settings.finalist_seeds)]
    jobs = [(trial, seed) for seed in seeds for trial in chosen]
    workers = plan.settings.workers

    def one(index: int) -> float | None:
        trial, seed = jobs[index]
        seen = devices.environment(index % workers, plan.settings, environment or os.environ)
        value = _train(plan, trial, seed, metric, environment=seen, beat=beat)
        said = "failed" if value is None else f"{metric} {value:.6g}"
        say(f"finalist: trial {trial.number} with seed {seed}: {said}")
        return value

    with ThreadPoolExecutor(workers) as pool:
        values = list(pool.map(one, range(len(jobs))))
    found: dict[int, list[float]] = {trial.number: [] for trial in chosen}
    for (trial, _), value in zip(jobs, values, strict=True):
        if value is not None and math.isfinite(value):
            found[trial.number].append(value)
    return [
        Finalist(t.number, bool(t.user_attrs.get("own")), t.values[0], found[t.number])
        for t in chosen
        if found[t.number]
    ]


def _train(
    plan: Plan,
    trial: FrozenTrial,
    seed: int,
    metric: str,
    *,
    environment: Mapping[str, str],
    beat: Callable[[], None],
) -> float | None:
    folder = plan.work_dir / f"finalist_{trial.number:04}_seed_{seed}"
    result = folder / "result.json"
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    folder.mkdir(exist_ok=True)
    (folder / runs.REPORT).unlink(missing_ok=True)  # of a training that was killed
    plan.write_config(folder, plan.space.changes(trial.params), seed)
    settings = plan.settings
    line = runs.command(
        folder, ranks=settings.ranks, script=settings.train_script, verify=settings.verify
    )
    outcome = runs.train(folder, line, beat=beat, environment=environment)
    rows = [one["metrics"].get(metric) for one in outcome.report.evaluations]
    if outcome.state != "done" or not rows or rows[-1] is None:
        return None
    sign = 1 if settings.objectives[0].largest else -1
    value = rows[-1] if settings.value == "last" else max(rows, key=lambda one: sign * one)
    write_whole(result, json.dumps(value))
    return value


def rows(found: list[Finalist], largest: bool) -> list[dict[str, object]]:
    """A table of them, the best mean first."""
    order = sorted(found, key=lambda one: -one.mean if largest else one.mean)
    return [
        {
            "trial": one.number,
            "own": one.own,
            "in the search": one.score,
            "mean": round(one.mean, 6),
            "deviation": "" if math.isnan(one.deviation) else round(one.deviation, 6),
            "seeds": len(one.values),
        }
        for one in order
    ]


def path(work_dir: Path) -> Path:
    """Where their table lies."""
    return work_dir / "finalists.csv"
