"""A search from its plan to its outputs: begin or join the study, let workers work, write."""

import logging
import os
import sys
from pathlib import Path

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

from mmext.errors import BadInputError
from mmext.search.tuner import crew, devices, finalists, foresight, outputs, pictures, store
from mmext.search.tuner.claims import Heart, take
from mmext.search.tuner.lock import FileLock
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.progress import Progress, require_any
from mmext.search.tuner.ranking import ranked
from mmext.search.tuner.worker import Worker, quit_on_signal

logger = logging.getLogger("mmext")


def refuse_unless_resumed(work_dir: Path, *, resume: bool) -> None:
    """Refuse a folder with a study early: before the config is resolved.

    Raises:
        BadInputError: there is one and nobody asked to go on with it.
    """
    if not resume and (work_dir / store.JOURNAL).exists():
        raise BadInputError(
            f"{work_dir}: expected a folder without a study, got one; go on with it by --resume, "
            "or choose another --work-dir"
        )


def search(
    plan: Plan, *, begun: float, resume: bool = False, console: Console | None = None
) -> optuna.Study:
    """Do a search, alone or beside other processes on the same folder.

    Args:
        plan: what it is.
        begun: when, by ``time.time()``: ``max_hours`` counts from here.
        resume: whether there may be a study in its folder.
        console: rich's.
    """
    with store.in_a_sentence(plan.settings):
        return _search(plan, begun, resume, console or Console())


def _search(plan: Plan, begun: float, resume: bool, console: Console) -> optuna.Study:
    settings = plan.settings
    study = store.begin(settings, plan.space, plan.cfg, plan.work_dir, resume=resume)
    plan.save()
    if said := foresight.prepare(plan):
        console.print(said, highlight=False, soft_wrap=True)
    deadline = None if settings.max_hours is None else begun + 3600 * settings.max_hours
    quit_on_signal()
    try:
        with Progress(plan, console):
            if settings.engine == "ray":
                crew.run_ray(plan, deadline)
            elif settings.workers > 1:
                crew.run_local(plan, deadline)
            else:
                seen = devices.environment(0, settings, os.environ)
                Worker(plan, study, environment=seen, deadline=deadline).work()
    finally:
        write(plan, study)
    if any(not one.state.is_finished() for one in study.get_trials(deepcopy=False)):
        console.print("other workers are still at it, or time is up: --resume goes on")
    require_any(study, plan)
    found = last_round(plan, study, console)
    best = outputs.write_best(plan.work_dir / "best_config.py", plan, study, found)
    pictures.draw(plan, study)
    summary(plan, study, found, console)
    if best is not None:
        console.print(f"python tools/train.py {plan.work_dir / 'best_config.py'}", soft_wrap=True)
    return study


def write(plan: Plan, study: optuna.Study) -> None:
    """Write tables and the best config so far, whatever ended the search."""
    try:
        outputs.write_leaderboard(plan.work_dir / "leaderboard.csv", plan, study)
        outputs.write_importances(plan.work_dir / "importance.csv", plan, study)
        outputs.write_population(plan.work_dir / "population.csv", plan, study)
        outputs.write_best(plan.work_dir / "best_config.py", plan, study)
    except OSError as error:
        if sys.exc_info()[1] is error:
            raise BadInputError(
                f"{plan.work_dir}: expected to write the tables, got {error.strerror}; make room "
                "and go on with --resume"
            ) from error


def last_round(plan: Plan, study: optuna.Study, console: Console) -> list[finalists.Finalist]:
    """Train the best again, if that is asked for and all trials are done."""
    settings = plan.settings
    running = any(one.state == TrialState.RUNNING for one in study.get_trials(deepcopy=False))
    if not settings.finalists or running:
        return []
    home = plan.work_dir / "finalists"
    with FileLock(plan.work_dir / "claims"):
        if not take(home):
            console.print("another process trains the finalists")
            return []
    metric = outputs.names(study, settings)[0]

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    found = finalists.train_again(plan, study, metric, say, beat=Heart(home).beat)
    if found:
        rows = finalists.rows(found, settings.objectives[0].largest)
        outputs.write_csv(finalists.path(plan.work_dir), rows)
    return found


def summary(
    plan: Plan, study: optuna.Study, found: list[finalists.Finalist], console: Console
) -> None:
    """Print the best trials; finalists by their mean."""
    names = outputs.names(study, plan.settings)
    keys = list(plan.space.parameters)
    means = {one.number: one for one in found}
    heads = ["trial", *names, *(["other seeds"] if found else []), *keys]
    table = Table(title=f"{plan.work_dir}/leaderboard.csv", title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    order = ranked(study.get_trials(deepcopy=False), study)
    if found:
        sign = 1 if plan.settings.objectives[0].largest else -1
        order.sort(key=lambda one: -sign * means[one.number].mean if one.number in means else 1e300)
    for one in order[:8]:
        again = means.get(one.number)
        scores = [f"{value:.6g}" for value in one.values]
        mean = [f"{again.mean:.6g} ± {again.deviation:.2g}" if again else ""] if found else []
        changes = plan.space.changes(one.params)
        values = [_text(changes[key]) for key in keys]
        mark = " (own values)" if one.user_attrs.get("own") else ""
        table.add_row(f"{one.number}{mark}", *scores, *mean, *values)
    console.print(table)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
