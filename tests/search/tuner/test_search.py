"""A search from its plan to its outputs, its settings, and the command with a real config."""

import ast
import csv
import os
import re
import statistics
import sys

import optuna
import pytest
from rich.console import Console

from mmext.cli import search as command
from mmext.errors import BadInputError
from mmext.search.tuner import claims, finalists, methods, preview, resolve, search, settings
from tests.checkout import run_tool
from tests.fresh_process import run_from_nothing
from tests.search.tuner.plans import plan_of


def searched(work_dir, **given):
    console = Console(record=True, width=160, file=open(os.devnull, "w"))  # noqa: SIM115
    plan = plan_of(work_dir, **given)
    study = search.search(plan, begun=0.0, console=console)
    return plan, study, console.export_text()


def test_it_leaves_tables_pictures_and_a_config(tmp_path):
    plan, study, said = searched(tmp_path / "my work", trials=5, finalists=2, finalist_seeds=2)
    names = {one.name for one in (tmp_path / "my work").iterdir()}
    assert {
        *("leaderboard.csv", "importance.csv", "finalists.csv", "best_config.py"),
        *("history.png", "curves.png", "importance.png", "keys.png"),
    } <= names
    assert len(re.findall(r"\[\d/5\] trial \d: ", said)) == 5
    rows = list(csv.DictReader((tmp_path / "my work" / "finalists.csv").open()))
    assert [one["own"] for one in rows].count("True") == 1  # the config's own values are there
    assert len(rows) in (2, 3)
    assert all(one["seeds"] == "2" for one in rows)
    means = [float(one["mean"]) for one in rows]
    assert means == sorted(means, reverse=True)
    assert f"trial {rows[0]['trial']}," in (tmp_path / "my work" / "best_config.py").read_text()
    again = search.last_round(plan, study, Console(file=open(os.devnull, "w")))  # noqa: SIM115
    assert [round(one.mean, 6) for one in again] == pytest.approx(
        [{int(r["trial"]): float(r["mean"]) for r in rows}[one.number] for one in again]
    )
    folder = tmp_path / "my work" / f"finalist_{again[0].number:04}_seed_10000"
    assert len((folder / "attempts.txt").read_text().splitlines()) == 1  # nothing done twice


def test_finalists_are_trained_by_one_process_alone(tmp_path, monkeypatch):
    assert claims.take(tmp_path / "finalists")
    other = dict(claims.this_process(), pid=os.getppid(), start=claims_start(os.getppid()))
    with monkeypatch.context() as patch:
        patch.setattr(claims, "this_process", lambda: other)
        assert not claims.take(tmp_path / "finalists")
        assert claims.take(tmp_path / "finalists", silence=-1)  # it has long been silent


def claims_start(pid):
    from mmext.search.tuner.machine import started

    return started(pid)


def test_the_mean_of_other_seeds_names_the_winner():
    lucky = finalists.Finalist(3, False, 0.9, [0.5, 0.6])
    steady = finalists.Finalist(1, True, 0.8, [0.7, 0.8])
    rows = finalists.rows([lucky, steady], largest=True)
    assert [one["trial"] for one in rows] == [1, 3]
    assert rows[0]["deviation"] == round(statistics.stdev([0.7, 0.8]), 6)
    assert [one["trial"] for one in finalists.rows([lucky, steady], largest=False)] == [3, 1]


def test_a_dry_run_prints_five_configs_and_trains_nothing(tmp_path, capsys):
    preview.preview(plan_of(tmp_path, space="lr,depth", method="random"))
    said = capsys.readouterr().out
    assert said.count("optim_wrapper = dict(optimizer=dict(lr=") == 5
    assert (
        "# trial 0 (the config's own values)\noptim_wrapper = dict(optimizer=dict(lr=0.01))" in said
    )
    assert list(tmp_path.iterdir()) == []


WRONG = [
    (dict(method="tpee"), "method: expected one of random, .* got 'tpee' .did you mean 'tpe'"),
    (dict(pruner="ash"), "got 'ash' .did you mean 'asha'"),
    (dict(trials=0), "trials: expected a whole number of at least 1, got 0"),
    (dict(limits=["mac<5"]), "--limit mac<5: expected macs<=NUMBER"),
    (dict(limits=["macs<=-1"]), "--limit macs<=-1: expected"),
    (dict(objective=[]), "objective: expected a metric's name"),
    (dict(objective="macs"), "objective: macs is better small; write -macs"),
    (dict(objective=["-macs", "top1"]), "expected a metric's name first, got 'macs'"),
    (dict(objective=["top1", "auto"]), "expected metrics' names where there are 2, got 'auto'"),
    (dict(objective=["top1", "-nll"], pruner="asha"), "pruner: expected none with 2 objectives"),
    (dict(objective=["top1", "-nll"], method="cmaes"), "for 2 objectives, got 'cmaes'"),
    (
        dict(method="gp", pruner="asha"),
        "pruner: expected none with method gp, .* got 'asha'; leave",
    ),
    (dict(method="pbt", trials=8, pruner="asha"), "pruner: expected 'none' with method pbt"),
    (dict(method="pbt", trials=8, finalists=2), "finalists: expected 0 with method pbt, .* got 2"),
    (dict(method="pbt", trials=8, limits=["macs<=5"]), "limits: expected .* with method pbt"),
    (dict(method="pbt", trials=10), "expected a multiple of the population, .* got 10 with"),
    (dict(trails=3), "search: expected .* got 'trails' .did you mean 'trials'"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_one_sentence_for_wrong_settings(wrong, sentence):
    with pytest.raises(BadInputError, match=sentence):
        settings.settle(wrong, {})


def test_the_command_line_lies_over_the_config():
    args = command.parse_args(
        ["c.py", "--objective=top1,-macs", "--limit", "params<=1e6", "--trials", "7", "--no-own"]
    )
    found = settings.settle(dict(trials=3, seed=5, objective="x"), command.given(args))
    assert (found.trials, found.seed, found.own) == (7, 5, False)
    assert [(one.name, one.largest) for one in found.objectives] == [
        ("top1", True),
        ("macs", False),
    ]
    assert found.bounds == [settings.Limit("params", 1e6)]


@pytest.mark.parametrize(
    ("save_best", "rule", "objective"),
    [
        ("auto", None, "auto"),
        (None, None, "auto"),
        ("real/top1", None, "real/top1"),
        ("x", "less", "-x"),
        ("val/loss", None, "-val/loss"),
    ],
)
def test_the_objective_is_what_the_best_checkpoint_is_chosen_by(save_best, rule, objective):
    assert resolve.named(settings.Settings(), save_best, rule) == objective


def test_gp_leaves_to_chance_what_would_be_a_repetition(monkeypatch):
    """Its model ignores failed and skipped trials, and so would name the same point for ever."""
    corner = {"lr": 1e-3, "arch": "a"}
    monkeypatch.setattr(
        methods.optuna.samplers.GPSampler, "sample_relative", lambda *_: dict(corner)
    )
    space = {
        "lr": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
        "arch": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    monkeypatch.setattr(
        methods.optuna.samplers.GPSampler, "infer_relative_search_space", lambda *_: space
    )
    study = optuna.create_study(sampler=methods.sampler(settings.Settings(method="gp"), 0))
    points = []
    for _ in range(3):
        trial = study.ask(space)
        points.append(trial.params)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert points[0] == corner
    assert corner not in points[1:]
    assert points[1] != points[2]


@pytest.mark.parametrize("method", list(methods.OWN))
def test_our_own_samplers_are_imported_when_they_are_asked_for(method, monkeypatch):
    monkeypatch.setitem(sys.modules, methods.OWN[method][0], None)
    with pytest.raises(BadInputError, match=f"method: expected mmext.search.* for '{method}', got"):
        methods.sampler(settings.Settings(method=method), 0)


def test_the_process_that_searches_imports_neither_torch_nor_hosts(tmp_path):
    """Goal: at most 250 MB."""
    said = run_from_nothing(
        f"""
        import re, sys
        from pathlib import Path
        from tests.search.tuner.plans import plan_of
        from mmext.search.tuner import search
        search.search(plan_of(Path({str(tmp_path)!r}), trials=5), begun=0.0)
        loaded = {{"torch", "mmengine", "mmcv", "mmdet", "mmseg", "mmaction"}} & set(sys.modules)
        peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
        print("loaded", sorted(loaded), int(peak) // 1024)
        """,
        cwd=tmp_path,
    )
    loaded, megabytes = re.search(r"loaded (\[.*\]) (\d+)", said).groups()
    assert ast.literal_eval(loaded) == []
    assert int(megabytes) <= 250


CONFIG = "configs/search/tuner/search_mlp_1xb64-8e_digits.py"


@pytest.mark.slow
@pytest.mark.usefixtures("digits")
def test_a_wrong_key_ends_the_command_with_one_sentence(tmp_path):
    done = run_tool("search.py", CONFIG, "--space", "lrr", "--work-dir", tmp_path / "w")
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
    assert "no key lrr; did you mean optim_wrapper.optimizer.lr?" in line
    assert not (tmp_path / "w" / "study.journal").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("digits")
def test_a_real_search_gives_its_best_number_again(tmp_path):
    """The stock tool, a real config, and limits that are measured."""
    work_dir = tmp_path / "my work"
    flags = ["--trials", "2", "--work-dir", work_dir, "--limit", "macs<=1e6", "--pruner", "none"]
    flags += ["--cfg-options", "train_cfg.max_epochs=2", "param_scheduler.0.T_max=2"]
    done = run_tool("search.py", CONFIG, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((work_dir / "leaderboard.csv").open()))
    assert [one["state"] for one in rows] == ["done"] * 2
    assert float(rows[0]["macs"]) == 64 * 64 + 64 * 32 + 32 * 10
    best = float(rows[0]["accuracy/top1"])
    again = tmp_path / "again"
    trained = run_tool("train.py", work_dir / "best_config.py", "--work-dir", again)
    assert trained.returncode == 0, trained.stderr
    log = next(again.glob("*/*.log")).read_text()
    last = re.findall(r"accuracy/top1: ([\d.]+)", log)[-1]
    assert float(last) == pytest.approx(best, abs=1e-4)
