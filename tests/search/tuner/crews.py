"""Workers as processes of their own, and what must hold whichever of them are killed."""

import os
import subprocess
import sys
import time

from optuna.trial import TrialState

from mmext.search.tuner import crew
from mmext.search.tuner.claims import LOST, counted, folder_of, seed_number
from tests.fresh_process import ROOT


def start(work_dir, code=None, *, log=False, **environment):
    head = ["-c", code] if code else ["-m", crew.MODULE]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, *head, str(work_dir)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stderr=subprocess.PIPE if log else None,
    )


def attempts(work_dir, number):
    """Processes that trained a trial, and the seed each had."""
    file = folder_of(work_dir, number) / "attempts.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def wait_for(condition, limit=250):
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def check(work_dir, study, asked):
    """Exactly as many as were asked for, each done once, each lost one repeated."""
    trials = study.get_trials(deepcopy=False)
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    lost = [one for one in trials if one.user_attrs.get(LOST)]
    assert len(complete) == len(counted(trials)) == asked
    assert len(trials) == asked + len(lost)
    for one in complete:
        assert len(attempts(work_dir, one.number)) == 1
    for one in lost:
        (again,) = [other for other in trials if other.user_attrs.get("repeats") == one.number]
        assert again.params == one.params
        assert again.state == TrialState.COMPLETE or again in lost
        for _, seed in attempts(work_dir, again.number):
            assert seed == seed_number(one)
    return lost


def training_of(worker, study, work_dir):
    """The trial that a worker trains now; None if it is between two."""
    running = [one for one in study.get_trials() if one.state == TrialState.RUNNING]
    mine = [one for one in running if one.user_attrs.get("owner", {}).get("pid") == worker.pid]
    return next((one for one in mine if attempts(work_dir, one.number)), None)
