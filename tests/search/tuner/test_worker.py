"""One worker: families, values, pruning, limits; one sentence for everything that goes wrong."""

import csv
import math

import optuna
import pytest
from optuna.trial import TrialState

from mmext.errors import BadInputError
from mmext.search.tuner import costs, outputs, runs, search
from mmext.search.tuner.claims import counted, folder_of
from tests.search.tuner.plans import CFG, LR, begin, done, plan_of

TWO = {
    "lr": LR["optim_wrapper.optimizer.lr"],
    "depth": dict(type="int", low=1, high=4),
    "model.act": dict(type="categorical", choices=[dict(type="ReLU"), dict(type="GELU")]),
}


@pytest.mark.parametrize(
    "method", ["random", "grid", "qmc", "tpe", "cmaes", "nsga2", "reinforce", "nars"]
)
def test_every_family_searches_the_same_space(tmp_path, method):
    plan, study = done(tmp_path, method=method, trials=7, space=TWO)
    trials = study.trials
    assert [one.state for one in trials] == [TrialState.COMPLETE] * 7
    assert trials[0].params["optim_wrapper.optimizer.lr"] == CFG["optim_wrapper"]["optimizer"]["lr"]
    assert len({tuple(one.params.values()) for one in trials}) == 7
    best = outputs.winner(plan, study)
    assert best.value >= trials[0].value
    search.write(plan, study)
    found = {}
    exec((tmp_path / "best_config.py").read_text(), found)
    assert found["optim_wrapper"]["optimizer"]["lr"] == best.params["optim_wrapper.optimizer.lr"]
    assert found["randomness"] == dict(seed=best.number)


def test_a_grid_holds_each_point_once_and_goes_on_where_it_was(tmp_path):
    space = {"depth": dict(type="int", low=1, high=4), "lr": LR["optim_wrapper.optimizer.lr"]}
    given = dict(method="grid", space=space, grid_points=3, trials=13)
    done(tmp_path, **{**given, "trials": 5})
    _, study = done(tmp_path, **given, resume=True)
    points = {tuple(one.params.values()) for one in study.trials[1:10]}
    assert len(points) == 9  # depths 1, 2 or 3, 4 and three rates
    assert len(study.trials) == 13  # more than the grid has, and so drawn


def test_a_study_that_goes_on_proposes_what_it_would_have(tmp_path):
    done(tmp_path / "c", trials=3, method="random")
    _, left = done(tmp_path / "c", trials=6, method="random", resume=True)
    _, right = done(tmp_path / "d", trials=6, method="random")
    assert [one.params for one in left.trials] == [one.params for one in right.trials]


def test_asha_saves_epochs_and_never_stops_the_own_values(tmp_path):
    cfg = {**CFG, "train_cfg": dict(max_epochs=9), "pause": 0.06}
    _, study = done(tmp_path, cfg=cfg, pruner="asha", trials=10, method="random")
    states = [one.state for one in study.trials]
    assert states[0] == TrialState.COMPLETE
    assert TrialState.PRUNED in states
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    told = sum(len(outputs.evaluations(tmp_path, one.number)) for one in study.trials)
    assert told < 9 * 10
    steps = [max(one.intermediate_values) for one in study.trials if one.state == TrialState.PRUNED]
    assert min(steps) < 9


def test_rank_ends_trials_at_the_epoch_whose_ranking_is_the_last_ones(tmp_path):
    cfg = {**CFG, "train_cfg": dict(max_epochs=6), "pause": 0.06}
    plan, study = done(tmp_path, cfg=cfg, pruner="rank", trials=12, method="random")
    # The fake curves never cross, so the first epoch stands for the last one.
    assert study._storage.get_study_system_attrs(study._study_id)["nars:stop_step"] == 1
    states = [one.state for one in study.trials]
    assert states[:4] == [TrialState.COMPLETE] * 4  # from which the epoch was read
    stopped = [one for one in study.trials if one.state == TrialState.PRUNED]
    assert stopped
    assert {max(one.intermediate_values) for one in stopped} == {1}
    best = outputs.winner(plan, study)
    assert best.intermediate_values[1] == max(one.intermediate_values[1] for one in study.trials)


def test_nobody_is_stopped_at_the_end_and_every_evaluation_is_told(tmp_path):
    cfg = {**CFG, "train_cfg": dict(max_epochs=1)}
    _, study = done(tmp_path, cfg=cfg, pruner="asha", trials=6, method="random")
    assert [one.state for one in study.trials] == [TrialState.COMPLETE] * 6
    assert all(list(one.intermediate_values) == [1] for one in study.trials)


def test_several_objectives_of_opposite_direction(tmp_path):
    plan, study = done(tmp_path, objective=["top1", "-size"], method="nsga2", trials=8)
    assert [one.name for one in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    search.write(plan, study)
    lines = list(csv.DictReader((tmp_path / "leaderboard.csv").open()))
    assert {"top1", "size"} <= set(lines[0])
    front = {one.number for one in study.best_trials}
    assert {int(one["trial"]) for one in lines[: len(front)]} == front


def test_a_loss_is_made_small(tmp_path):
    plan, study = done(tmp_path, objective="-nll", trials=5)
    best = outputs.winner(plan, study)
    assert best.value == min(one.value for one in study.trials)


def test_auto_takes_the_metric_that_papers_report_first(tmp_path):
    plan, study = done(tmp_path, objective="auto", trials=2)
    assert study.user_attrs["metric"] == "top1"
    assert outputs.names(study, plan.settings) == ["top1"]


def test_the_best_evaluation_counts_where_that_is_asked_for(tmp_path):
    _, last = done(tmp_path / "last", trials=1, objective="-top1")
    _, best = done(tmp_path / "best", trials=1, objective="-top1", value="best")
    rows = [one["metrics"]["top1"] for one in outputs.evaluations(tmp_path / "best", 0)]
    assert (last.trials[0].value, best.trials[0].value) == (rows[-1], min(rows))
    assert rows[-1] > min(rows)


def test_limits_skip_models_that_cost_too_much(tmp_path, monkeypatch):
    depth = {"depth": dict(type="int", low=1, high=8)}

    def measure(plan, folder, changes):
        assert costs.names_of(plan.settings) == ["macs"]
        return {"macs": 100.0 * changes["model.depth"]}

    monkeypatch.setattr(costs, "measure", measure)
    _, study = done(tmp_path, space=depth, limits=["macs<=450"], trials=5, method="random")
    trained = counted(study.trials)
    assert len(trained) == 5
    assert all(one.params["model.depth"] <= 4 for one in trained)
    skipped = [one for one in study.trials if one not in trained]
    assert skipped
    for one in skipped:
        assert not (folder_of(tmp_path, one.number) / "attempts.txt").exists()
        assert one.constraints["macs"] > 0
        assert one.user_attrs["skipped"] == f"macs is {one.params['model.depth']}00, more than 450"


def test_a_model_that_cannot_be_measured_fails_its_trial_alone(tmp_path, monkeypatch):
    depth = {"depth": dict(type="int", low=1, high=4)}

    def measure(plan, folder, changes):
        if changes["model.depth"] == 3:
            raise BadInputError("a depth of 3 does not fit")
        return {"macs": 1.0}

    monkeypatch.setattr(costs, "measure", measure)
    given = dict(limits=["macs<=2"], method="grid", grid_points=4, trials=4)
    _, study = done(tmp_path, space=depth, **given)
    by_depth = {one.params["model.depth"]: one for one in study.trials}
    assert by_depth[3].state == TrialState.FAIL
    assert by_depth[3].user_attrs["reason"] == "a depth of 3 does not fit"
    assert all(by_depth[n].state == TrialState.COMPLETE for n in (1, 2, 4))


BEHAVE = {"behave": dict(type="categorical", choices=["train", "fail", "nan", "empty"])}


def test_failed_trials_are_kept_with_their_reason_and_the_study_goes_on(tmp_path):
    plan, study = done(tmp_path, space=BEHAVE, method="grid", trials=5)
    by_state = {one.params["behave"]: one for one in study.trials}
    assert by_state["train"].state == TrialState.COMPLETE
    assert by_state["fail"].state == TrialState.FAIL
    reason = by_state["fail"].user_attrs["reason"]
    assert reason == "ValueError: the layer does not fit (status 3)"
    assert by_state["nan"].user_attrs["reason"] == "its result is no number: {'top1': nan}"
    assert by_state["empty"].user_attrs["reason"] == "its result is no number: {'top1': nan}"
    assert math.isnan(by_state["nan"].user_attrs["metrics"]["top1"])
    search.write(plan, study)
    assert "ValueError: the layer does not fit" in (tmp_path / "leaderboard.csv").read_text()


def test_all_fail_stops_and_shows_the_first(tmp_path):
    sentence = (
        "but all 3 failed, the first with: ValueError: the layer does not fit .status 3.; see "
    )
    with pytest.raises(BadInputError, match=sentence):
        done(tmp_path, cfg={**CFG, "behave": "fail"}, trials=20)


def test_a_trial_that_takes_too_long_fails(tmp_path):
    with pytest.raises(BadInputError, match=r"took longer than 0\.36 s"):
        done(tmp_path, cfg={**CFG, "behave": "hang"}, trials=1, trial_hours=1e-4)


def test_it_runs_where_the_system_has_less_to_offer(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "leash", list)  # no setpriv
    monkeypatch.delattr(runs.os, "pidfd_open", raising=False)
    _, study = done(tmp_path, trials=1)
    assert study.trials[0].state == TrialState.COMPLETE


def test_an_objective_that_nobody_reports_ends_the_search_at_the_first_trial(tmp_path):
    with pytest.raises(
        BadInputError, match=r"expected 'tpo1' among .* got top1, size, nll .did you"
    ):
        done(tmp_path, objective="tpo1")
    study = optuna.load_study(
        study_name="search", storage=search.store.storage(plan_of(tmp_path).settings, tmp_path)
    )
    assert [one.state for one in study.trials[:1]] == [TrialState.FAIL]


def test_two_studies_in_one_folder_are_refused(tmp_path):
    done(tmp_path, trials=1)
    with pytest.raises(BadInputError, match="expected a folder without a study, got one; go on"):
        begin(plan_of(tmp_path, trials=1))
    with pytest.raises(BadInputError, match="without a study, got one"):
        search.refuse_unless_resumed(tmp_path, resume=False)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (dict(space="lr=float(0,1)"), "the space of the study .*lr is .* there and .* here"),
        (dict(space="lr=log(1e-4,1.0),depth"), "space .*model.depth is nothing there"),
        (dict(objective="-nll"), "the objective of"),
        (dict(seed=3), "the seed of"),
        (dict(cfg={**CFG, "pause": 0.01}), "the config of .*pause is 0.0 there and 0.01 here"),
    ],
)
def test_another_search_does_not_go_on_in_the_folder(tmp_path, other, sentence):
    begin(plan_of(tmp_path))
    begin(plan_of(tmp_path, trials=9, method="random", pruner="median"), resume=True)
    with pytest.raises(BadInputError, match=sentence):
        begin(plan_of(tmp_path, **other), resume=True)


def test_a_database_holds_the_study_as_well(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    done(tmp_path / "w", storage=url, trials=3)
    _, again = done(tmp_path / "w", storage=url, trials=5, resume=True)
    assert [one.state.name for one in again.trials] == ["COMPLETE"] * 5
    assert not (tmp_path / "w" / "study.journal").exists()
    with pytest.raises(BadInputError, match="storage: expected a database at nosuch://x, got"):
        done(tmp_path / "x", storage="nosuch://x")
