"""Costs of models: measured in one process, predicted for a search that asks of thousands."""

import io
import json
import math

import numpy as np
import pytest

from mmext.errors import BadInputError
from mmext.search.nars.genes import Genes
from mmext.search.tuner import costs, foresight
from mmext.search.tuner.claims import counted
from mmext.search.tuner.worker import Worker
from tests.checkout import REPO
from tests.search.tuner.plans import LR, begin, plan_of

DEPTH = {"depth": dict(type="int", low=1, high=8)}


@pytest.fixture
def fake_meter(monkeypatch):
    monkeypatch.setattr(costs, "MODULE", "tests.search.tuner.fake_meter")
    monkeypatch.setenv("PYTHONPATH", str(REPO))


@pytest.mark.usefixtures("fake_meter")
def test_one_process_measures_all_models_and_outlives_none_that_breaks_it(tmp_path):
    plan = plan_of(tmp_path, space=DEPTH, limits=["macs<=450"])
    with costs.Meter(plan) as meter:
        first, second = meter({"model.depth": 1}), meter({"model.depth": 2})
        assert (first["macs"], second["macs"]) == (100, 200)
        assert first["pid"] == second["pid"]
        assert meter({"model.depth": 1, "optim_wrapper.optimizer.lr": 0.3}) == first  # as it was
        for no_model in (7, 8):
            assert meter({"model.depth": no_model}) == {"macs": math.inf}
        third = meter({"model.depth": 3})
        assert third["macs"] == 300
        assert third["pid"] != first["pid"]
    # A trial's own look finds what was measured.
    assert costs.measure(plan, tmp_path / "no_folder", {"model.depth": 2}) == second
    assert not list((tmp_path / "costs").glob("tmp*"))


@pytest.mark.usefixtures("fake_meter")
def test_a_process_that_does_not_come_up_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_METER_BREAKS", "1")
    plan = plan_of(tmp_path, space=DEPTH, limits=["macs<=450"])
    with costs.Meter(plan) as meter, pytest.raises(BadInputError, match=r"got none; see .*meter"):
        meter({"model.depth": 1})
    assert "no torch here" in (tmp_path / "costs" / "meter.log").read_text()


def by_depth(changes):
    return {"macs": 100.0 * changes["model.depth"]}


def test_nars_proposes_what_keeps_the_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "measure", lambda plan, folder, changes: by_depth(changes))
    given = dict(space={**DEPTH, **LR}, limits=["macs<=450"], trials=12)
    for method in ("nars", "random"):
        plan = plan_of(tmp_path / method, method=method, **given)
        study = begin(plan)
        said = foresight.prepare(plan, by_depth)
        assert said == (
            "limits: 4 of the 8 models that were measured keep them" * (method == "nars")
        )
        Worker(plan, study, pause=0.05).work()
        assert len(counted(study.trials)) == 12
        skipped = len(study.trials) - 12
        assert (skipped == 0) == (method == "nars")
    # A second worker, or a search that goes on, measures nothing again.
    plan = plan_of(tmp_path / "nars", method="nars", **given)
    assert foresight.prepare(plan, lambda changes: pytest.fail("measured again"))


WIDTHS = {
    f"model.{name}": dict(type="int", low=4, high=64, own=16) for name in ("stem", "body", "head")
}


def by_width(changes):
    stem, body, head = (changes[name] for name in WIDTHS)
    return {"macs": 9.0 * stem + stem * body + body * head, "params": 1.0 * body}


def test_models_that_were_not_measured_are_predicted(tmp_path):
    limits = ["macs<=2000", "params<=40"]
    plan = plan_of(tmp_path, method="nars", space={**WIDTHS, **LR}, limits=limits)
    said = foresight.prepare(plan, by_width)
    assert f"of the {foresight.MOST_MODELS} models" in said
    asks = foresight.constraint(plan.settings, plan.space, tmp_path)
    measured = json.loads(asks.file.read_text())
    assert len({tuple(one["params"].values()) for one in measured}) == foresight.MOST_MODELS
    for one in measured:
        wanted = costs.excesses(by_width(one["params"]), plan.settings)
        assert asks({**one["params"], "optim_wrapper.optimizer.lr": 0.1}) == list(wanted.values())
    genes = Genes({name: plan.space.distributions[name] for name in WIDTHS})
    others = genes.to_params(np.random.default_rng(0).random((300, 3)))
    right = [
        (max(asks(one)) <= 0) == foresight.keeps(by_width(one), plan.settings) for one in others
    ]
    assert np.mean(right) > 0.95


def test_limits_that_no_model_keeps_end_the_search_before_a_trial(tmp_path):
    plan = plan_of(tmp_path, method="nars", space=DEPTH, limits=["macs<=50"])
    with pytest.raises(
        BadInputError, match=r"with macs<=50, got none among 8 .* the nearest with macs 100; raise"
    ):
        foresight.prepare(plan, by_depth)


@pytest.mark.parametrize(
    "given",
    [
        dict(method="nars"),
        dict(method="tpe", limits=["macs<=1"]),
        dict(space=LR, limits=["macs<=1"]),
    ],
)
def test_nothing_is_measured_where_nobody_would_ask(tmp_path, given):
    plan = plan_of(tmp_path, **{"method": "nars", "space": DEPTH, **given})
    assert foresight.prepare(plan, lambda changes: pytest.fail("measured")) == ""


CONFIG = str(REPO / "configs/search/tuner/search_mlp_1xb64-8e_digits.py")


@pytest.mark.usefixtures("digits")
def test_real_models_are_measured_line_by_line(tmp_path, monkeypatch):
    """Multiply-adds and weights by hand; the one that cannot be built leaves the others alone."""
    from mmext.search.tuner import inside  # imports torch, which no other test here needs

    paths = []
    for name, change in (
        ("small", "backbone=dict(widths=(64, 32))"),
        ("large", "backbone=dict(widths=(128, 32))"),
        ("broken", "backbone=dict(type='NoSuchNet')"),
        ("again", "head=dict(in_channels=32)"),
    ):
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(f"_base_ = {CONFIG!r}\nmodel = dict({change})\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{one}\n" for one in paths)))
    monkeypatch.chdir(REPO)
    inside.costs(
        inside.argparse.Namespace(out=tmp_path / "out", names=["macs", "params", "latency"])
    )
    ready, *answers = (tmp_path / "out").read_text().splitlines()
    assert ready == "ready"
    small, large, broken, again = map(json.loads, answers)
    assert small["macs"] == again["macs"] == 64 * 64 + 64 * 32 + 32 * 10
    assert large["macs"] == 64 * 128 + 128 * 32 + 32 * 10
    assert small["params"] == 65 * 64 + 65 * 32 + 33 * 10
    assert 0 < small["latency"] < 1
    assert broken is None
