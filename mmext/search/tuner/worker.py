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

from mmext.errors import BadInputError
from mmext.search.tuner import costs, devices, outputs, plan, population, runs, store
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
from mmext.search.tuner.scores import Scores

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
        self.scores = Scores(plan.settings, study)

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
        beside = outputs.beside(self.plan, trial)
        self.plan.write_config(folder, changes, settings.seed + seed_number(trial), beside)
        found = self._costs(trial, folder, changes)
        if found is None or self._is_skipped(trial, folder, found):
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
        self._finish(trial, folder, outcome, found)

    def _costs(
        self, trial: optuna.Trial, folder: Path, changes: Mapping[str, Any]
    ) -> costs.Costs | None:
        """What the model costs, where somebody asks; None if it cannot be built, and so fails."""
        if not costs.names_of(self.plan.settings):
            return {}
        try:
            found = costs.measure(self.plan, folder, changes)
        except BadInputError as error:
            self._fail(trial, folder, str(error))
            return None
        trial.set_user_attr("costs", found)
        return found

    def _is_skipped(self, trial: optuna.Trial, folder: Path, found: Mapping[str, float]) -> bool:
        """Tell which limits hold; a model that costs too much is not trained."""
        over = costs.excesses(found, self.plan.settings)
        for name, excess in over.items():
            trial.set_constraint(name, excess)
        broken = next((one for one in self.plan.settings.bounds if over[one.name] > 0), None)
        if broken is None or trial.user_attrs.get("own"):
            return False
        reason = f"{broken.name} is {found[broken.name]:g}, more than {broken.most:g}"
        trial.set_user_attr(SKIPPED, reason)
        self._tell(trial, folder, TrialState.PRUNED, None, {SKIPPED: reason})
        return True

    def _watch(self, trial: optuna.Trial, report: runs.Report, new: dict[str, Any]) -> bool:
        """Look at an evaluation; True stops the trial. Only where there is a pruner."""
        value = self.scores.of(new["metrics"], {})[0]
        if self.plan.settings.pruner == "none" or not math.isfinite(value):
            return False
        trial.report(value, report.evaluations.index(new) + 1)
        # The config's own values are what all others are compared with; and what was trained to
        # its end has nothing left to save.
        if trial.user_attrs.get("own") or new["step"] >= new["of"]:
            return False
        return trial.should_prune()

    def _finish(
        self, trial: optuna.Trial, folder: Path, outcome: runs.Outcome, found: costs.Costs
    ) -> None:
        attrs = {"seconds": outcome.seconds, "params": outcome.report.params}
        if outcome.state == "failed":
            self._fail(trial, folder, outcome.reason, attrs)
            return
        if not outcome.report.evaluations:
            self._fail(trial, folder, "it ended without any evaluation; see val_interval", attrs)
            return
        values = self.scores.result(outcome.report, found)
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
        if self.plan.settings.method == "pbt":
            best = [population.place_of(trials[one]).parent for one in keep]
            keep |= population.needed(trials) | {one for one in best if one is not None}
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
    try:
        with store.in_a_sentence(found.settings):
            study = store.load(found.settings, args.work_dir)
            Worker(found, study, environment=environment, deadline=args.deadline).work()
    except BadInputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
