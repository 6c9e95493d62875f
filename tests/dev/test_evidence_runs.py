"""Files of what has run: a command goes on, and joins what one statement and one device gave."""

from dataclasses import replace

import pytest
import torch

from dev.evidence import provenance, runs
from dev.evidence.study import StudyError


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "machine", lambda device: dict(device=device))
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    stated = dict(sizes=1)
    return runs.Runs("dev.toy", tmp_path, lambda: dict(stated), (0, 1), ("one", "the other"))


def start(study, *words):
    seen = []

    def run(arm, seed, short, device):
        seen.append((arm, seed, short, device))
        return dict(error=1.0)

    runs.start(study, None, run=run, told=str, publish=lambda: None, argv=words)
    return seen


def test_a_command_goes_on_where_it_was_stopped(study):
    assert start(study, "--seeds", "1") == [("one", 1, 1, "cpu"), ("the other", 1, 1, "cpu")]
    assert start(study, "--arms", "the other") == [("the other", 0, 1, "cpu")]
    assert start(study) == [("one", 0, 1, "cpu")]
    assert start(study) == []
    assert study.joined()["the other"]["1"]["error"] == 1
    restated = replace(study, statement=lambda: dict(sizes=2))
    with pytest.raises(StudyError, match="got another"):
        restated.joined()
    assert len(start(restated)) == 4


def test_a_trial_is_no_result(study):
    start(study, "--short", "10")
    with pytest.raises(StudyError, match="got another"):
        study.joined()


def test_arms_of_a_pair_come_from_one_device(study, monkeypatch):
    monkeypatch.setattr(provenance, "committed", lambda: "c0ffee")
    start(study, "--seeds", "0")
    start(study, "--seeds", "1", "--device", "cuda")
    joined = study.joined()
    found = runs.published(study, joined, dict(mean=2))
    assert found["machines"] == [dict(device="cpu"), dict(device="cuda")]
    assert (found["mean"], found["commit"]) == (2, "c0ffee")
    joined["one"]["0"]["machine"] = dict(device="cuda")
    with pytest.raises(StudyError, match="seed 0: expected all arms of one machine"):
        runs.published(study, joined, {})


def test_the_device_that_trains_is_named(monkeypatch):
    monkeypatch.setattr(provenance, "read_machine", lambda: dict(device="a GPU"))
    runs.machine.cache_clear()
    assert runs.machine("cpu") == dict(device="CPU")
    assert runs.machine("cuda:0") == dict(device="a GPU")
    runs.machine.cache_clear()
