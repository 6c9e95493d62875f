"""Population-based training: who goes on from whom, with which values, and the files it leaves."""

import csv

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from mmext.errors import BadInputError
from mmext.search.tuner import population, search
from mmext.search.tuner.claims import LOST, Claims, folder_of
from mmext.search.tuner.population import Place, next_move, place_of
from mmext.search.tuner.settings import Settings
from mmext.search.tuner.worker import Worker
from tests.search.tuner.plans import CFG, begin, done, plan_of

SPACE = {"lr": FloatDistribution(1e-4, 1.0, log=True)}
SETTINGS = Settings(method="pbt", trials=16, population=4, objective="top1")


def trial(number, member, part, value, state=TrialState.COMPLETE, lr=0.01):
    place = {population.PLACE: dict(member=member, part=part, parent=None, copied=False)}
    given = dict(params={"lr": lr}, distributions=SPACE, user_attrs=place)
    made = create_trial(state=state, value=value, **given)
    made.number = number
    return made


def first_parts(values, **given):
    return [trial(n, n, 0, v, lr=10.0**-n, **given) for n, v in enumerate(values)]


def test_members_begin_one_after_the_other_with_values_that_are_drawn():
    trials = []
    for member in range(4):
        move = next_move(trials, SETTINGS, SPACE)
        assert (move.place, move.params) == (Place(member), {})
        trials.append(trial(member, member, 0, None, TrialState.RUNNING))
    assert next_move(trials, SETTINGS, SPACE) is None  # all are at it


@pytest.mark.parametrize(("objective", "worst", "best"), [("top1", 2, 1), ("-loss", 1, 2)])
def test_the_worst_goes_on_from_the_best_and_the_others_from_themselves(objective, worst, best):
    trials = first_parts([0.5, 0.9, 0.1, 0.7])
    settings = Settings(method="pbt", trials=16, population=4, objective=objective)
    found = []
    for number in range(4, 8):
        move = next_move(trials, settings, SPACE)
        found.append(move)
        trials.append(trial(number, move.place.member, 1, None, TrialState.RUNNING))
    assert [one.place.member for one in found] == [0, 1, 2, 3]
    for one in found:
        copies = one.place.member == worst
        assert one.place == Place(one.place.member, 1, best if copies else one.place.member, copies)
        if not copies:
            assert one.params == {"lr": 10.0**-one.place.member}
    tried = found[worst].params.get("lr")
    assert tried is None or round(tried * 10.0**best, 6) in (0.8, 1.2)


def test_a_member_that_failed_waits_for_one_to_copy():
    trials = first_parts([0.5, 0.9, 0.7])
    failed = trial(3, 3, 0, None, TrialState.FAIL)
    move = [next_move([*trials, failed], SETTINGS, SPACE)]
    running = [trial(n, n, 0, None, TrialState.RUNNING) for n in range(3)]
    assert next_move([*running, failed], SETTINGS, SPACE) is None
    for number in range(4, 7):
        trials.append(trial(number, number - 4, 1, 0.5))
    move = next_move([*trials, failed], SETTINGS, SPACE)
    assert move.place == Place(3, 1, 1, True)


def test_where_all_fail_they_go_back_by_one_part():
    trials = first_parts([0.5, 0.9, 0.1, 0.7])
    trials += [trial(4 + n, n, 1, None, TrialState.FAIL) for n in range(4)]
    move = next_move(trials, SETTINGS, SPACE)
    assert (move.place.part, move.place.parent) == (1, 1)
    none = [trial(n, n, 0, None, TrialState.FAIL) for n in range(4)]
    assert next_move(none, SETTINGS, SPACE) == population.Move(Place(0), {})


def test_nobody_is_free_when_all_have_done_their_last_part():
    trials = [trial(n, n % 4, n // 4, 0.1 * n) for n in range(16)]
    assert next_move(trials, SETTINGS, SPACE) is None
    assert next_move(trials[:15], SETTINGS, SPACE).place.member == 3


def test_values_are_multiplied_or_drawn_anew_and_stay_in_their_range():
    space = {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "top": FloatDistribution(0.0, 1.0),
        "depth": IntDistribution(1, 9),
        "even": IntDistribution(2, 10, step=2),
        "act": CategoricalDistribution(["a", "b"]),
    }
    params = dict(lr=0.01, top=0.95, depth=2, even=4, act="b")
    found = {key: [] for key in space}
    for seed in range(2000):
        one = population.explored(params, space, np.random.default_rng(seed))
        for key, value in one.items():
            found[key].append(value)
            assert space[key]._contains(space[key].to_internal_repr(value))
    for values in found.values():
        assert len(values) == pytest.approx(1500, abs=100)
    assert {round(one, 6) for one in found["lr"]} == {0.008, 0.012}
    assert {round(one, 6) for one in found["top"]} == {0.76, 1.0}
    assert (set(found["depth"]), set(found["even"]), set(found["act"])) == ({1, 3}, {2, 6}, {"b"})


@pytest.mark.parametrize(
    ("loop", "trials", "expected"),
    [
        (dict(max_epochs=8), 16, [2, 4, 6, 8]),
        (dict(max_epochs=7), 8, [4, 7]),
        (dict(max_epochs=10, val_interval=3), 16, [3, 6, 9, 10]),
        (dict(max_iters=400, val_interval=100), 8, [200, 400]),
    ],
)
def test_parts_end_at_evaluations(loop, trials, expected):
    settings = Settings(method="pbt", trials=trials)
    assert population.ends(settings, dict(train_cfg=loop)) == expected


def test_more_parts_than_evaluations_are_refused():
    settings = Settings(method="pbt", trials=16)
    with pytest.raises(
        BadInputError, match=r"expected at most 8 with method pbt, .* got 16; lower"
    ):
        population.ends(settings, dict(train_cfg=dict(max_iters=400, val_interval=200)))
    with pytest.raises(BadInputError, match="train_cfg: expected max_epochs or max_iters"):
        population.ends(settings, dict(train_cfg=dict(type="Other")))


@pytest.mark.parametrize("key", ["param_scheduler.0.T_max", "train_dataloader.batch_size"])
def test_what_cannot_change_while_a_training_goes_on_is_refused(key):
    with pytest.raises(BadInputError, match=f"space: expected keys that may change .* got {key}"):
        population.check_keys(["optim_wrapper.optimizer.lr", key])


def test_a_search_by_a_population(tmp_path):
    plan, study = done(tmp_path, method="pbt", trials=12, population=3)
    search.write(plan, study)
    lines = list(csv.DictReader((tmp_path / "population.csv").open()))
    assert [(int(one["part"]), int(one["member"])) for one in lines] == [
        (part, member) for part in range(4) for member in range(3)
    ]
    assert [one.user_attrs.get("own") for one in study.trials[:2]] == [True, None]
    for one, line in zip(study.trials, lines, strict=True):
        place = place_of(one)
        assert one.state == TrialState.COMPLETE
        report = (folder_of(tmp_path, one.number) / "report.jsonl").read_text()
        assert f'"step": {int(line["until"])}' in report
        assert report.count("step") == 1  # what its parent had trained was not trained again
        if place.parent is not None:
            assert place_of(study.trials[place.parent]).part == place.part - 1
    assert sum(place_of(one).copied for one in study.trials) == 3  # one of three, three times
    best = {}
    exec((tmp_path / "best_config.py").read_text(), best)
    assert best["resume"]
    assert best["default_hooks"]["search_segment"]["until"] == 4
    assert "repeats the last part" in (tmp_path / "best_config.py").read_text()
    kept = {int(one.parent.name[-4:]) for one in tmp_path.glob("trial_*/segment.pth")}
    assert kept >= {9, 10, 11}  # with which the trainings end
    assert len(kept) <= 5


def test_a_lost_part_is_trained_again_from_the_same_weights(tmp_path):
    given = dict(method="pbt", trials=8, population=4)
    plan = plan_of(tmp_path, **given)
    study = begin(plan)
    worker = Worker(plan, study, pause=0.05)
    for _ in range(5):
        worker.do(worker.claims.next())
    trial = worker.claims.next()
    worker._give_back(trial)
    worker.work()
    (again,) = [one for one in study.trials if one.user_attrs.get("repeats") == trial.number]
    assert place_of(again) == place_of(trial)
    assert place_of(again).parent is not None
    assert again.params == trial.params
    assert [one.number for one in study.trials if one.user_attrs.get(LOST)] == [trial.number]
    with pytest.raises(BadInputError, match=r"the population of .*4, 8. there and .4, 16. here"):
        begin(plan_of(tmp_path, **{**given, "trials": 16}), resume=True)


def test_members_wait_for_each_other(tmp_path):
    plan = plan_of(
        tmp_path, cfg={**CFG, "train_cfg": dict(max_epochs=2)}, method="pbt", trials=4, population=2
    )
    hands = Claims(begin(plan), plan.settings, plan.space, tmp_path)
    assert [place_of(hands.next()).member for _ in range(2)] == [0, 1]
    assert hands.next() is None
