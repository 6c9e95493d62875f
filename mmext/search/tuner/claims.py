"""Who does which trial: exactly as many as were asked for, and those of dead workers again.

A worker asks for its next trial under a lock, so the number is exact however many there are. While
a trial runs, its worker touches a file. A running trial whose file has not been touched for a
minute, or whose worker is known to be dead, is lost: it fails, and its values wait to be given out
again. Where its result lies in its folder, only the telling was lost, and is made up for.
"""

import json
import logging
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from mmext.files import write_whole
from mmext.search.tuner import foresight, methods, population
from mmext.search.tuner.lock import FileLock
from mmext.search.tuner.machine import is_dead, this_process
from mmext.search.tuner.settings import Settings
from mmext.search.tuner.space import Space

logger = logging.getLogger("mmext")

BEAT = 10.0  # seconds between two touches
SILENCE = 60.0  # seconds without one after which a worker counts as dead
REPEATS = 2  # times that the values of a lost trial are given out again
MOST_SKIPPED = 20  # trials whose model costs too much, for each that was asked for
KEPT = ("own", population.PLACE)  # attributes of a lost trial that its repetition has, too
LOST, SKIPPED = "lost", "skipped"
"""Attributes of trials that are not counted: their worker died; their model costs too much."""


def folder_of(work_dir: Path, number: int) -> Path:
    """Where a trial lies."""
    return work_dir / f"trial_{number:04}"


class Claims:
    """Hands out the trials of a study.

    Args:
        study: joined by this process.
        settings: how many, and by which method.
        space: what a trial is made of.
        work_dir: shared by all workers.
        silence: seconds without a sign of life after which a worker counts as dead.
    """

    def __init__(
        self,
        study: optuna.Study,
        settings: Settings,
        space: Space,
        work_dir: Path,
        *,
        silence: int | float = SILENCE,
    ) -> None:
        self.study = study
        self.settings = settings
        self.space = space
        self.work_dir = work_dir
        self.silence = silence
        self.lock = FileLock(work_dir / "claims")
        self.limits = foresight.constraint(settings, space, work_dir)

    def trials(self) -> list[FrozenTrial]:
        """All trials as the storage has them now."""
        return self.study.get_trials(deepcopy=False)

    def next(self) -> optuna.Trial | None:
        """A trial for this worker; None if all that were asked for are taken."""
        with self.lock:
            trials = self.trials()
            self._recover(trials)
            trials = self.trials()
            if self.exhausted(trials):
                return None
            if not self._make_room(trials):
                return None
            self.study.sampler = methods.sampler(
                self.settings, len(trials), space=self.space.distributions, limits=self.limits
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = self.study.ask(self.space.distributions)
            trial.set_user_attr("owner", this_process())
            return trial

    def _make_room(self, trials: list[FrozenTrial]) -> bool:
        """Whether there is something to ask for: a population's members wait for each other."""
        waits = any(one.state == TrialState.WAITING for one in trials)
        if self.settings.method != "pbt" or waits:
            return True
        there = [one for one in trials if not one.user_attrs.get(LOST)]
        move = population.next_move(there, self.settings, self.space.distributions)
        if move is None:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study.enqueue_trial(move.params, user_attrs={population.PLACE: asdict(move.place)})
        return True

    def exhausted(self, trials: list[FrozenTrial]) -> bool:
        """Whether no further trial is to begin."""
        skipped = sum(SKIPPED in one.user_attrs for one in trials)
        asked = self.settings.trials
        return len(counted(trials)) >= asked or skipped >= MOST_SKIPPED * asked

    def open(self) -> list[FrozenTrial]:
        """Trials that run or wait; lost ones are found first."""
        with self.lock:
            self._recover(self.trials())
        return [one for one in self.trials() if not one.state.is_finished()]

    def _recover(self, trials: list[FrozenTrial]) -> None:
        """Finish lost trials, and see to it that each is given out again. Needs the lock.

        Both halves look at what is there, so a process killed between them leaves nothing undone.
        """
        running = [one for one in trials if one.state == TrialState.RUNNING]
        lost = [one for one in running if self._is_lost(one)]
        for one in lost:
            self._finish_lost(one)
        if lost:
            trials = self.trials()
        repeated = {one.user_attrs.get("repeats") for one in trials}
        for one in trials:
            if one.user_attrs.get(LOST) and one.number not in repeated:
                self._give_again(one)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        if is_dead(trial.user_attrs.get("owner")):
            return True
        return self._silence_of(trial) > self.silence

    def _silence_of(self, trial: FrozenTrial) -> float:
        """Seconds since the last sign of life, by the clock of the file system."""
        alive = folder_of(self.work_dir, trial.number) / "alive"
        try:
            last = alive.stat().st_mtime
        except FileNotFoundError:
            begun = trial.datetime_start
            return (datetime.now() - begun).total_seconds() if begun else 0.0
        clock = self.work_dir / "clock"
        clock.touch()
        return clock.stat().st_mtime - last

    def _finish_lost(self, trial: FrozenTrial) -> None:
        result = read_result(folder_of(self.work_dir, trial.number))
        store, number = self.study._storage, trial._trial_id
        try:
            if result is not None:
                for name, value in result["attrs"].items():
                    store.set_trial_user_attr(number, name, value)
                store.set_trial_state_values(number, TrialState(result["state"]), result["values"])
                logger.info("trial %d: its worker died after it was done", trial.number)
                return
            store.set_trial_user_attr(number, LOST, True)
            store.set_trial_user_attr(number, "reason", "its worker was killed")
            store.set_trial_state_values(number, TrialState.FAIL)
            logger.warning("trial %d: its worker was killed; it fails", trial.number)
        except UpdateFinishedTrialError:
            logger.debug("trial %d was finished meanwhile", trial.number)

    def _give_again(self, lost: FrozenTrial) -> None:
        times = lost.user_attrs.get("times", 0) + 1
        if times > REPEATS:
            return
        keep = {name: lost.user_attrs[name] for name in KEPT if name in lost.user_attrs}
        attrs = {**keep, "repeats": lost.number, "times": times, "seed_of": seed_number(lost)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            params = lost.params or lost.system_attrs.get("fixed_params", {})
            self.study.enqueue_trial(params, user_attrs=attrs)


def counted(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count as asked for: what was or is trained, once each."""
    return [
        one
        for one in trials
        if one.state != TrialState.WAITING
        and not one.user_attrs.get(LOST)
        and SKIPPED not in one.user_attrs
    ]


def seed_number(trial: FrozenTrial | optuna.Trial) -> int:
    """The number that a trial's seed comes from: a repeated one's is that of the lost one."""
    return trial.user_attrs.get("seed_of", trial.number)


def write_result(
    folder: Path, state: TrialState, values: list[float] | None, attrs: dict[str, Any]
) -> None:
    """Put down the end of a trial before it is told; whole or not at all."""
    line = {"state": state.value, "values": values, "attrs": attrs}
    write_whole(folder / "result.json", json.dumps(line))


def read_result(folder: Path) -> dict[str, Any] | None:
    """What :func:`write_result` put down; None if there is none."""
    try:
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def take(folder: Path, silence: int | float = SILENCE) -> bool:
    """Whether this process may do what belongs to a folder: nobody who lives does it already.

    Needs the lock of the claims. Who takes it lets a :class:`Heart` beat there.
    """
    folder.mkdir(exist_ok=True)
    owner, alive = folder / "owner.json", folder / "alive"
    try:
        held = json.loads(owner.read_text(encoding="utf-8"))
        quiet = time.time() - alive.stat().st_mtime > silence
    except (OSError, ValueError):
        held, quiet = None, True
    if held and held != this_process() and not is_dead(held) and not quiet:
        return False
    owner.write_text(json.dumps(this_process()), encoding="utf-8")
    alive.touch()
    return True


class Heart:
    """Touches a trial's file now and then, when it is called often enough.

    Args:
        folder: of the trial.
        every: seconds between two touches.
    """

    def __init__(self, folder: Path, every: int | float = BEAT) -> None:
        self.file = folder / "alive"
        self.every = every
        self._last = float("-inf")

    def beat(self) -> None:
        """Touch the file if it is time."""
        if time.monotonic() - self._last >= self.every:
            self.file.touch()
            self._last = time.monotonic()
