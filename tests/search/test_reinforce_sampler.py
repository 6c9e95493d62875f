"""The REINFORCE sampler: its bins, what it learns from, and that it needs no memory of its own."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

from optuna.distributions import (  # noqa: E402
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState  # noqa: E402

from mmext.search.reinforce import (  # noqa: E402
    Policy,
    ReinforceSampler,
    normalised_advantages,
    worst_for_missing,
)
from mmext.search.reinforce_sampler import bins_of  # noqa: E402
from tests.fresh_process import run_from_nothing  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial: optuna.Trial) -> float:
    arch = trial.suggest_categorical("arch", ["a", "b", "c"])
    lr = trial.suggest_float("lr", 1e-4, 10, log=True)
    depth = trial.suggest_int("depth", 1, 3)
    return (arch != "b") + abs(math.log10(lr) + 1) + 0.3 * (depth != 2)


def study_of(sampler: ReinforceSampler, direction: str = "minimize") -> optuna.Study:
    return optuna.create_study(sampler=sampler, direction=direction)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 9), st.integers(0, 2**16))
def test_every_value_comes_back_to_its_bin_and_every_bin_has_values(
    data: st.DataObject, bins: int, seed: int
) -> None:
    low, span, step = data.draw(
        st.tuples(st.integers(1, 40), st.integers(0, 90), st.integers(1, 4))
    )
    distribution: BaseDistribution = data.draw(
        st.sampled_from(
            [
                IntDistribution(low, low + span, log=True),
                IntDistribution(low, low + span // step * step, step=step),
                FloatDistribution(low / 7, (low + span) / 7),
                FloatDistribution(low / 7, (low + span) / 7, log=True),
                FloatDistribution(0.0, span // step * step * 0.1, step=0.1 * step),
                CategoricalDistribution([None, True, "x", 2.5]),
            ]
        )
    )
    cut, rng = bins_of(distribution, bins), np.random.default_rng(seed)
    for index in range(cut.size):
        value = cut.value(index, rng)
        assert distribution._contains(distribution.to_internal_repr(value))
        assert cut.index(value) == index


def test_an_int_range_that_fits_has_a_bin_for_each_number() -> None:
    cut, rng = bins_of(IntDistribution(3, 9, step=2), 8), np.random.default_rng(0)
    assert [cut.value(i, rng) for i in range(cut.size)] == [3, 5, 7, 9]
    assert type(cut.value(0, rng)) is int


def test_a_range_in_logarithms_has_bins_of_equal_ratio() -> None:
    cut = bins_of(FloatDistribution(1e-4, 1.0, log=True), 4)
    edges = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    found = [(cut.index(low * 1.01), cut.index(high * 0.99)) for low, high in pairwise(edges)]
    assert found == [(i, i) for i in range(4)]
    assert cut.index(1.0) == 3


def test_a_point_is_one_bin() -> None:
    cut = bins_of(FloatDistribution(0.5, 0.5), 8)
    assert (cut.size, cut.value(0, np.random.default_rng(0)), cut.index(0.5)) == (1, 0.5, 0)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_comes_to_draw_what_pays(direction: str) -> None:
    sign = 1 if direction == "minimize" else -1
    study = study_of(ReinforceSampler(seed=100), direction)
    study.optimize(lambda trial: sign * objective(trial), n_trials=160)
    late = study.trials[-40:]
    assert Counter(one.params["arch"] for one in late).most_common(1)[0][0] == "b"
    assert Counter(one.params["depth"] for one in late).most_common(1)[0][0] == 2
    early, last = ([sign * one.value for one in part] for part in (study.trials[:40], late))
    assert np.mean(last) < np.mean(early) / 2


def test_its_table_is_reinforce_over_steps_of_four_trials() -> None:
    study = study_of(ReinforceSampler(seed=100, learning_rate=0.3))
    study.optimize(objective, n_trials=13)
    by_hand = Policy({"arch": 3})
    for start in (0, 4, 8):
        step = study.trials[start : start + 4]
        draws = [{"arch": "abc".index(one.params["arch"])} for one in step]
        by_hand.learn(draws, normalised_advantages([-one.value for one in step]), 0.3)
    (found,) = (v for k, v in study.sampler.policy.logits.items() if k.startswith("arch:"))
    np.testing.assert_allclose(found, by_hand.logits["arch"], atol=1e-12)


def test_a_resumed_study_draws_what_an_unbroken_one_does() -> None:
    whole, broken = (study_of(ReinforceSampler(seed=7)) for _ in range(2))
    whole.optimize(objective, n_trials=24)
    broken.optimize(objective, n_trials=10)
    broken.sampler = ReinforceSampler(seed=7)
    broken.optimize(objective, n_trials=14)
    assert [one.params for one in whole.trials] == [one.params for one in broken.trials]


def test_another_seed_draws_otherwise_and_workers_of_one_seed_do_not_repeat_each_other() -> None:
    first, second = (study_of(ReinforceSampler(seed=seed)) for seed in (1, 2))
    for study in (first, second):
        study.optimize(objective, n_trials=4)
    assert [one.params for one in first.trials] != [one.params for one in second.trials]
    workers = [ReinforceSampler(seed=1) for _ in range(4)]
    study = study_of(workers[0])
    rates = set()
    for worker in workers:
        study.sampler = worker
        rates.add(study.ask().suggest_float("lr", 0, 1))
    assert len(rates) == 4


def test_what_was_enqueued_moves_nothing() -> None:
    sampler = ReinforceSampler(seed=100)
    study = study_of(sampler)
    for arch in "aabb":
        study.enqueue_trial(dict(arch=arch, lr=0.1, depth=1))
    study.optimize(objective, n_trials=5)
    assert not any(theta.any() for theta in sampler.policy.logits.values())


def test_failed_trials_count_as_the_worst_of_their_step() -> None:
    study = study_of(ReinforceSampler(seed=100))
    archs = []
    for value in (1.0, None, 3.0, None):
        trial = study.ask()
        archs.append("abc".index(trial.suggest_categorical("arch", ["a", "b", "c"])))
        if value is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)
    study.ask()
    rewards = worst_for_missing([-1.0, math.nan, -3.0, math.nan])
    by_hand = Policy({"arch": 3})
    by_hand.learn([{"arch": i} for i in archs], normalised_advantages(rewards), 0.5)
    (found,) = study.sampler.policy.logits.values()
    np.testing.assert_allclose(found, by_hand.logits["arch"])


def test_one_sampler_for_two_studies_does_not_mix_them() -> None:
    sampler = ReinforceSampler(seed=100)
    study_of(sampler).optimize(objective, n_trials=9)
    second = study_of(sampler)
    second.optimize(objective, n_trials=9)
    fresh = study_of(ReinforceSampler(seed=100))
    fresh.optimize(objective, n_trials=9)
    assert [one.params for one in second.trials] == [one.params for one in fresh.trials]


def test_a_range_that_depends_on_a_choice() -> None:
    def conditional(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ["sgd", "adam"]) == "sgd":
            return trial.suggest_float("lr", 0.1, 1)
        return trial.suggest_float("lr", 1e-4, 1e-2) + trial.suggest_float("beta", 0, 1)

    study = study_of(ReinforceSampler(seed=100))
    study.optimize(conditional, n_trials=40)
    assert all(one.state == TrialState.COMPLETE for one in study.trials)
    assert len(study.sampler.policy.logits) == 4  # kind, two ranges of lr, beta


def test_a_run_with_a_journal_and_a_pruner(tmp_path: Path) -> None:
    def pruned(trial: optuna.Trial) -> float:
        value = objective(trial)
        for epoch in range(4):
            trial.report(value + 1 / (1 + epoch), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        sampler=ReinforceSampler(seed=100),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    study.optimize(pruned, n_trials=20)
    assert {one.state for one in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert any(theta.any() for theta in study.sampler.policy.logits.values())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(batch=1), "batch of ReinforceSampler must be at least 2, got 1"),
        (dict(bins=1), "bins of ReinforceSampler must be at least 2, got 1"),
        (dict(learning_rate=0.0), "learning_rate of ReinforceSampler must be above 0, got 0.0"),
    ],
)
def test_options_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ReinforceSampler(**options)


def test_several_objectives_are_refused() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=ReinforceSampler())
    with pytest.raises(ValueError, match="expected one objective, got 2; take one of them"):
        study.ask()


def test_it_needs_no_torch(tmp_path: Path) -> None:
    printed = run_from_nothing(
        """
        import sys
        from mmext.search.reinforce import ReinforceSampler
        print("torch" in sys.modules, ReinforceSampler.__name__)
        """,
        cwd=tmp_path,
    )
    assert printed.strip() == "False ReinforceSampler"
