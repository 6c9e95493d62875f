"""One worker: takes a trial, trains it, tells the result, until all are taken.

``python -m mmext.search.tuner.worker WORK_DIR`` joins the search of a folder.
"""

import argparse
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from mmext.compat.best import headline
from mmext.errors import BadInputError, did_you_mean, some
from mmext.search.tuner import devices, plan, resolve, runs, store
from mmext.search.tuner.claims import (
    LOST,
    SKIPPED,
    Claims,
    Heart,
    counted,
    folder_of,
    seed_number,
    write_result,
)
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.ranking import ranked
from mmext.search.tuner.settings import COSTS

logger = logging.getLogger("mmext")

HOPELESS = 3
"""So many failures without any success, and the search stops."""


class Worker:
    """Does trials of a study.

    Args:
        plan: what the search is.
        study: joined by this process.
        environment: variables for the trainings, such as the devices that they see.
        deadline: by ``time.time()``; no trial is begun later.
        pause: seconds between two looks for the trials of dead workers, when all are taken.
        claims: hands out trials; None makes one.
    """

    def __init__(
        self,
        plan: Plan,
        study: optuna.Study,
        *,
        environment: Mapping[str, str] | None = None,
        deadline: int | float | None = None,
        pause: int | float = 2.0,
        claims: Claims | None = None,
    ) -> None:
        self.plan = plan
        self.study = study
        self.environment = environment
        self.deadline = deadline
        self.pause = pause
        self.claims = claims or Claims(study, plan.settings, plan.space, plan.work_dir)

    def work(self) -> None:
        """Do trials until all are done; waits for those of others, which may die.

        Raises:
            BadInputError: every trial fails, or nothing reports the objective.
        """
        while self.deadline is None or time.time() < self.deadline:
            self._stop_if_hopeless()
            trial = self.claims.next()
            if trial is not None:
                self.do(trial)
            elif any(one.state == TrialState.RUNNING for one in self.claims.open()):
                time.sleep(self.pause)
            elif self.claims.exhausted(self.claims.trials()):
                return

    def do(self, trial: optuna.Trial) -> None:
        """Do one trial. Whatever ends this process leaves it to another worker."""
        folder = folder_of(self.plan.work_dir, trial.number)
        try:
            folder.mkdir(exist_ok=True)
            self._do(trial, folder)
        except UpdateFinishedTrialError:
            logger.warning(
                "trial %d: given to another worker meanwhile; its result is dropped", trial.number
            )
        except BadInputError as error:
            self._fail(trial, folder, str(error))
            raise
        except BaseException:
            self._give_back(trial)
            raise

    def _do(self, trial: optuna.Trial, folder: Path) -> None:
        settings, heart = self.plan.settings, Heart(folder)
        heart.beat()
        changes = self.plan.space.changes(trial.params)
        self.plan.write_config(folder, changes, settings.seed + seed_number(trial))
        costs = self._costs(trial, folder, changes)
        over = {limit.name: costs[limit.name] - limit.most for limit in settings.bounds}
        for name, excess in over.items():
            trial.set_constraint(name, excess)
        if any(excess > 0 for excess in over.values()) and not trial.user_attrs.get("own"):
            self._skip(trial, folder, costs)
            return
        line = runs.command(
            folder, ranks=settings.ranks, script=settings.train_script, verify=settings.verify
        )
        outcome = runs.train(
            folder,
            line,
            watch=lambda report, new: self._watch(trial, report, new),
            beat=heart.beat,
            limit_s=settings.trial_hours and settings.trial_hours * 3600,
            environment=self.environment,
        )
        self._finish(trial, folder, outcome, costs)

    def _costs(self, trial: optuna.Trial, folder: Path, changes: Mapping[str, Any]) -> dict:
        names = [one.name for one in self.plan.settings.bounds]
        names += [one.name for one in self.plan.settings.objectives if one.name in COSTS]
        if not names:
            return {}
        found = resolve.costs(self.plan, folder, changes, sorted(set(names)))
        trial.set_user_attr("costs", found)
        return found

    def _skip(self, trial: optuna.Trial, folder: Path, costs: Mapping[str, float]) -> None:
        limits = self.plan.settings.bounds
        over = next(one for one in limits if costs[one.name] > one.most)
        reason = f"{over.name} is {costs[over.name]:g}, more than {over.most:g}"
        trial.set_user_attr(SKIPPED, reason)
        self._tell(trial, folder, TrialState.PRUNED, None, {SKIPPED: reason})

    def _watch(self, trial: optuna.Trial, report: runs.Report, new: dict[str, Any]) -> bool:
        """Look at an evaluation; True stops the trial. Only where there is a pruner."""
        value = self._values(new["metrics"], {})[0]
        if self.plan.settings.pruner == "none" or not math.isfinite(value):
            return False
        trial.report(value, report.evaluations.index(new) + 1)
        # The config's own values are what all others are compared with.
        return not trial.user_attrs.get("own") and trial.should_prune()

    def _finish(
        self, trial: optuna.Trial, folder: Path, outcome: runs.Outcome, costs: Mapping[str, float]
    ) -> None:
        attrs = {"seconds": outcome.seconds, "params": outcome.report.params}
        if outcome.state == "failed":
            self._fail(trial, folder, outcome.reason, attrs)
            return
        if not outcome.report.evaluations:
            self._fail(trial, folder, "it ended without any evaluation; see val_interval", attrs)
            return
        values = self._result(outcome.report, costs)
        attrs["metrics"] = outcome.report.evaluations[-1]["metrics"]
        if not all(map(math.isfinite, values)):
            names = [one.name for one in self.plan.settings.objectives]
            bad = dict(zip(names, values, strict=True))
            self._fail(trial, folder, f"its result is no number: {bad}", attrs)
        elif outcome.state == "stopped":
            self._tell(trial, folder, TrialState.PRUNED, values, attrs)
        else:
            self._tell(trial, folder, TrialState.COMPLETE, values, attrs)
        self._clean()

    def _result(self, report: runs.Report, costs: Mapping[str, float]) -> list[float]:
        rows = [self._values(one["metrics"], costs) for one in report.evaluations]
        if self.plan.settings.value == "last":
            return rows[-1]
        sign = 1 if self.plan.settings.objectives[0].largest else -1
        return max(rows, key=lambda row: sign * row[0] if math.isfinite(row[0]) else -math.inf)

    def _values(self, metrics: Mapping[str, float], costs: Mapping[str, float]) -> list[float]:
        return [
            costs.get(one.name, math.nan) if one.name in COSTS else self._metric(one, metrics)
            for one in self.plan.settings.objectives
        ]

    def _metric(self, objective: Any, metrics: Mapping[str, float]) -> float:
        """One metric of an evaluation.

        Raises:
            BadInputError: no evaluator reports it.
        """
        name = self.study.user_attrs.get("metric") if objective.name == "auto" else objective.name
        if name is None:
            name = self._choose(metrics)
        if name not in metrics:
            raise BadInputError(
                f"objective: expected {name!r} among what the evaluators report, got "
                f"{some(metrics, 12)}{did_you_mean(name, metrics)}; correct it"
            )
        return metrics[name]

    def _choose(self, metrics: Mapping[str, float]) -> str:
        found = headline(metrics, ["acc", "top", "auc", "precision", "mAP"])
        if found is None or found[1] == "less":
            raise BadInputError(
                "objective: expected a metric that is known to be better large, got "
                f"{some(metrics, 12)}; name one, with - before it if it is better small"
            )
        self.study.set_user_attr("metric", found[0])
        return found[0]

    def _fail(
        self, trial: optuna.Trial, folder: Path, reason: str, attrs: Mapping[str, Any] | None = None
    ) -> None:
        logger.warning("trial %d failed: %s", trial.number, reason)
        self._tell(trial, folder, TrialState.FAIL, None, {**(attrs or {}), "reason": reason})

    def _tell(
        self,
        trial: optuna.Trial,
        folder: Path,
        state: TrialState,
        values: list[float] | None,
        attrs: dict[str, Any],
    ) -> None:
        """Put the result down, then tell it: who dies between the two loses nothing."""
        write_result(folder, state, values if state == TrialState.COMPLETE else None, attrs)
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
        self.study.tell(trial, values if state == TrialState.COMPLETE else None, state=state)

    def _give_back(self, trial: optuna.Trial) -> None:
        try:
            trial.set_user_attr(LOST, True)
            trial.set_user_attr("reason", "its worker was stopped")
            self.study.tell(trial, state=TrialState.FAIL)
        except Exception as error:  # on the way out: another worker will find it
            logger.debug("trial %d could not be given back: %s", trial.number, error)

    def _stop_if_hopeless(self) -> None:
        done = [one for one in counted(self.claims.trials()) if one.state.is_finished()]
        failed = [one for one in done if one.state == TrialState.FAIL]
        enough = min(HOPELESS, self.plan.settings.trials)
        if len(failed) == len(done) >= enough:
            raise hopeless(failed, self.plan.work_dir)

    def _clean(self) -> None:
        """Remove the checkpoints of trials that are not among the best."""
        if self.plan.settings.keep_checkpoints:
            return
        trials = self.claims.trials()
        keep = {
            one.number for one in ranked(trials, self.study)[: self.plan.settings.finalists + 1]
        }
        for one in trials:
            if one.state.is_finished() and one.number not in keep:
                for file in folder_of(self.plan.work_dir, one.number).glob("*.pth"):
                    file.unlink(missing_ok=True)


def hopeless(failed: list[FrozenTrial], work_dir: Path) -> BadInputError:
    """The sentence for a search of which every trial fails."""
    first = failed[0]
    return BadInputError(
        f"{work_dir}: expected a trial that trains, but all {len(failed)} failed, the first with: "
        f"{first.user_attrs.get('reason')}; see {folder_of(work_dir, first.number) / runs.LOG}, "
        "correct the config or the space, and choose another --work-dir"
    )


def quit_on_signal() -> None:
    """Make SIGTERM, by which clusters end a job, an ordinary end, so that trials are given back."""

    def leave(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Join the search of a folder")
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--index", type=int, default=0, help="of this worker on its machine")
    parser.add_argument("--deadline", type=float, help="seconds since 1970")
    args = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    quit_on_signal()
    found = plan.load(args.work_dir)
    environment = devices.environment(args.index, found.settings, os.environ)
    study = store.load(found.settings, args.work_dir)
    try:
        Worker(found, study, environment=environment, deadline=args.deadline).work()
    except BadInputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
