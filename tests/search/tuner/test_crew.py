"""Several workers, killed by SIGKILL where it hurts: nothing is lost and nothing is done twice."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from mmext.errors import BadInputError
from mmext.search.tuner import claims, crew, machine, store
from mmext.search.tuner.claims import LOST, Claims, folder_of
from mmext.search.tuner.worker import Worker
from tests.search.tuner.crews import attempts, check, start, training_of, wait_for
from tests.search.tuner.plans import CFG, begin, done, plan_of

# A worker that is killed in the middle of the record that tells its second result: after half of
# its bytes, by SIGKILL. No other process can hit that moment.
DIES_WRITING = """
import os, signal, sys
from mmext.search.tuner import journal, worker
write, told = os.write, []

def die(descriptor, data):
    if b'"op_code":6' in data and b'"state":1' in data:
        told.append(1)
        if len(told) == 2:
            write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    return write(descriptor, data)

journal.os.write = die
worker.main()
"""


def test_four_workers_one_killed_in_a_trial_and_one_while_it_writes(tmp_path):
    work_dir = tmp_path / "a folder"
    plan = plan_of(work_dir, trials=12, method="random")
    study = begin(plan)
    victim = start(work_dir, FAKE_HANGS="1")

    number = wait_for(lambda: training_of(victim, study, work_dir)).number
    ((training, _),) = attempts(work_dir, number)
    others = [start(work_dir, DIES_WRITING), start(work_dir), start(work_dir)]
    wait_for(lambda: len(study.trials) > 4)
    victim.send_signal(signal.SIGKILL)
    status = [process.wait(timeout=250) for process in (victim, *others)]
    assert status == [-signal.SIGKILL, -signal.SIGKILL, 0, 0]
    lost = check(work_dir, study, asked=12)
    # The one that died while it told has put its result down before, so it is not repeated.
    assert [one.number for one in lost] == [number]
    assert machine.is_dead(dict(pid=training, start=0, machine=machine.this_machine()))


def test_the_parent_starts_a_killed_worker_again(tmp_path):
    plan = plan_of(tmp_path, cfg={**CFG, "pause": 0.1}, trials=4, workers=2, method="random")
    study = begin(plan)
    begun = []

    def start_and_kill(plan, index, deadline):
        process = start(plan.work_dir)
        begun.append(process)
        if len(begun) == 1:
            process.send_signal(signal.SIGKILL)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "_start", start_and_kill)
        crew.run_local(plan, None)
    assert len(begun) == 3
    check(tmp_path, study, asked=4)


def test_workers_are_given_what_one_worker_would_do(tmp_path):
    """Which worker does which trial changes nothing for methods that do not look at results."""
    _, one = done(tmp_path / "one", trials=6, method="qmc")
    plan = plan_of(tmp_path / "two", trials=6, method="qmc")
    two = begin(plan)
    for process in [start(tmp_path / "two") for _ in range(2)]:
        assert process.wait(timeout=200) == 0
    check(tmp_path / "two", two, asked=6)
    values = [{t.number: (t.params, t.value) for t in study.trials} for study in (one, two)]
    assert values[0].keys() == values[1].keys()
    assert values[0][0] == values[1][0]


@pytest.fixture
def lost_one(tmp_path):
    """A study of which a worker took the first trial and was never heard of again."""
    plan = plan_of(tmp_path, trials=3, method="random")
    study = begin(plan)
    trial = Claims(study, plan.settings, plan.space, tmp_path).next()
    folder_of(tmp_path, trial.number).mkdir()
    trial.set_user_attr("owner", dict(pid=1, start=1, machine="elsewhere"))
    return plan, study, trial


def test_a_silent_worker_of_another_machine_is_given_a_minute(lost_one, tmp_path):
    plan, study, _ = lost_one
    alive = folder_of(tmp_path, 0) / "alive"
    alive.touch()
    hands = Claims(study, plan.settings, plan.space, tmp_path)
    assert [one.number for one in hands.open()] == [0]
    past = time.time() - claims.SILENCE - 1
    os.utime(alive, (past, past))
    (waits,) = hands.open()
    assert (waits.state, waits.user_attrs["repeats"]) == (TrialState.WAITING, 0)
    assert waits.user_attrs["own"]  # the config's own values stay what they are
    assert len(hands.open()) == 1  # only once
    Worker(plan, study, pause=0.05).work()
    check(tmp_path, study, asked=3)


def test_who_comes_back_after_that_changes_nothing(lost_one, tmp_path):
    plan, study, trial = lost_one
    alive = folder_of(tmp_path, 0) / "alive"
    alive.touch()
    os.utime(alive, (1, 1))
    worker = Worker(plan, study, pause=0.05)
    worker.work()
    before = [one.value for one in study.trials]
    worker.do(trial)
    assert [one.value for one in study.trials] == before


def test_a_result_that_was_put_down_is_told_by_another(lost_one, tmp_path):
    plan, study, _ = lost_one
    folder = folder_of(tmp_path, 0)
    claims.write_result(folder, TrialState.COMPLETE, [0.25], {"seconds": 1.5})
    (folder / "alive").touch()
    os.utime(folder / "alive", (1, 1))
    assert Claims(study, plan.settings, plan.space, tmp_path).open() == []
    found = study.trials[0]
    assert (found.state, found.value, found.user_attrs["seconds"]) == (
        TrialState.COMPLETE,
        0.25,
        1.5,
    )


def test_a_process_killed_between_the_two_halves_leaves_nothing_undone(lost_one, tmp_path):
    """Lost, and failed, but not yet given out again."""
    plan, study, trial = lost_one
    trial.set_user_attr(LOST, True)
    study.tell(trial, state=TrialState.FAIL)
    (waits,) = Claims(study, plan.settings, plan.space, tmp_path).open()
    assert waits.user_attrs["repeats"] == 0


def test_values_that_kill_every_worker_are_given_up(lost_one, tmp_path):
    plan, study, trial = lost_one
    hands = Claims(study, plan.settings, plan.space, tmp_path)
    for _ in range(claims.REPEATS):
        trial.set_user_attr(LOST, True)
        study.tell(trial, state=TrialState.FAIL)
        trial = hands.next()
        assert trial.user_attrs["own"]
    trial.set_user_attr(LOST, True)
    study.tell(trial, state=TrialState.FAIL)
    assert hands.open() == []


def test_an_interrupted_worker_gives_its_trial_back(tmp_path, monkeypatch):
    plan = plan_of(tmp_path, trials=2, method="random")
    study = begin(plan)
    with monkeypatch.context() as patch:
        patch.setattr(
            "mmext.search.tuner.runs.train",
            lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            Worker(plan, study).work()
    Worker(plan, store.load(plan.settings, tmp_path), pause=0.05).work()
    assert len(check(tmp_path, study, asked=2)) == 1


def test_no_trial_begins_after_the_deadline(tmp_path):
    plan = plan_of(tmp_path, trials=2)
    study = begin(plan)
    Worker(plan, study, deadline=time.time() - 1).work()
    assert [one.state for one in study.trials] == [TrialState.WAITING]


class FakeRay:
    """Runs tasks where it is, as Ray does on its cluster."""

    exceptions = SimpleNamespace(RayError=ConnectionAbortedError)

    def __init__(self):
        self.asked = []

    def init(self, **given):
        assert given["address"]

    def cluster_resources(self):
        return {"CPU": 4.0}

    def remote(self, **needs):
        self.asked.append(needs)
        return lambda function: type("Task", (), {"remote": staticmethod(function)})

    def get(self, results):
        return results


def test_ray_runs_the_same_workers(tmp_path):
    plan = plan_of(tmp_path, trials=2, workers=2, engine="ray", method="random")
    study, ray = begin(plan), FakeRay()
    crew.run_ray(plan, None, ray)
    check(tmp_path, study, asked=2)
    assert ray.asked == [dict(num_cpus=1, num_gpus=0, max_retries=crew.NEW_STARTS)]


def test_a_worker_that_is_killed_on_the_cluster_starts_again(tmp_path):
    code = f"""
import os, pathlib, signal, sys
begun = pathlib.Path({str(tmp_path)!r}, "begun")
if not begun.exists():
    begun.touch()
    os.kill(os.getpid(), signal.SIGKILL)
print(os.getcwd(), os.environ["PYTHONPATH"], file=sys.stderr)
"""
    status, said = crew.run_again([sys.executable, "-c", code], str(tmp_path), "/some/where")
    assert (status, said.split()) == (0, [str(tmp_path), "/some/where"])


def test_a_cluster_that_breaks_down_is_a_sentence(tmp_path):
    ray = FakeRay()
    ray.get = lambda results: (_ for _ in ()).throw(ConnectionAbortedError("lost\nits node"))
    ray.remote = lambda **_: lambda function: SimpleNamespace(remote=lambda: None)
    plan = plan_of(tmp_path, trials=1, engine="ray")
    with pytest.raises(BadInputError, match="expected Ray to run the workers, got its node; see"):
        crew.run_ray(plan, None, ray)
