"""The early-stop epoch and the pruner that reads it off the first trials."""

import numpy as np
import optuna
import pytest
from scipy.stats import spearmanr

from mmext.search.nars import RankPruner
from mmext.search.nars.early_stop import early_stop_epoch, rank_correlation, ranks

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_rank_correlation_is_scipy_s():
    rng = np.random.default_rng(0)
    for n in (3, 8, 50):
        a, b = rng.integers(0, 6, n).astype(float), rng.normal(size=n)
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0.0
    assert ranks(np.array([2.0, 2.0, 2.0])).tolist() == [1.0, 1.0, 1.0]


def curves(noise, n=30, seed=0):
    """The final score, with less and less noise over it."""
    rng = np.random.default_rng(seed)
    final = rng.normal(size=(n, 1))
    return final + rng.normal(size=(n, len(noise))) * np.array(noise)


def test_it_is_the_first_epoch_that_ranks_like_the_last():
    table = curves([5.0, 1.0, 0.1, 0.01, 0.0])
    for threshold in (0.1, 0.9, 0.99, 0.9999, 1.0):
        wanted = next(
            e
            for e in range(5)
            if spearmanr(table[:, e], table[:, -1]).statistic >= threshold - 1e-12
        )
        assert early_stop_epoch(table, threshold) == wanted
    assert early_stop_epoch(table, 0.9) == 2


def test_where_nothing_agrees_it_is_the_last():
    table = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert early_stop_epoch(table) == 1
    assert early_stop_epoch(table[:, 1:]) == 0


def run(direction, pruner, n=20, workers=1):
    """Trials of five epochs whose curves cross until the third; how far each came, and its end."""
    sign = 1 if direction == "maximize" else -1
    table = sign * curves([3.0, 3.0, 0.05, 0.02, 0.0], n)
    study = optuna.create_study(direction=direction, pruner=pruner)
    for number in range(n):
        trial = study.ask()
        for epoch in range(5):
            trial.report(table[number, epoch], epoch + 1)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, table[number, -1])
    return study, sign * table


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_trials_end_at_that_epoch_but_for_the_leaders(direction):
    study, table = run(direction, RankPruner(after=8, leaders=2))
    assert study._storage.get_study_system_attrs(study._study_id)["nars:stop_step"] == 3
    trials = study.get_trials()
    assert all(one.last_step == 5 for one in trials[:8])
    for one in trials[8:]:
        better = (table[: one.number, 2] > table[one.number, 2]).sum()
        assert one.last_step == (5 if better < 2 else 3)
    assert {one.last_step for one in trials[8:]} == {3, 5}
    assert study.best_trial.number == int(table[:, -1].argmax())


def test_another_worker_takes_the_epoch_that_the_first_has_found():
    study, _ = run("maximize", RankPruner(after=8))
    assert RankPruner(after=1000).stop_step(study) == 3


def test_where_no_early_epoch_agrees_all_trials_run_to_the_end():
    study = optuna.create_study(direction="maximize", pruner=RankPruner(after=4, leaders=1))
    for number in range(10):
        trial = study.ask()
        for epoch, score in enumerate((number, -number)):  # the last epoch turns all around
            trial.report(float(score), epoch)
            assert not trial.should_prune()
        study.tell(trial, float(-number))
    assert RankPruner(after=4).stop_step(study) is None


def test_without_curves_nothing_is_stopped():
    study = optuna.create_study()
    for i in range(12):
        study.tell(study.ask(), float(i))
    assert RankPruner(after=4).stop_step(study) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(threshold=1.5), r"in \(0, 1\], got 1.5"),
        (dict(after=3), "after >= 4"),
        (dict(leaders=0), "leaders >= 1"),
    ],
)
def test_arguments_out_of_range_are_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        RankPruner(**arguments)
