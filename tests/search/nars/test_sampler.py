"""NARS as an Optuna sampler: rounds, constraint, resume, workers, and that it finds more."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mmext.search.nars import NARSSampler, early_stop, results
from mmext.search.nars.mlp import Perceptron
from tests import fresh_process
from tests.checkout import REPO

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = {
    "model.depth": IntDistribution(1, 6),
    "model.width": IntDistribution(8, 64, step=8),
    "lr": FloatDistribution(1e-4, 10.0, log=True),
    "optimiser": CategoricalDistribution(["sgd", "adam"]),
}


def accuracy(params):
    """Best at depth 4, width 48, lr 0.1 with sgd and 0.001 with adam."""
    best = -1 if params["optimiser"] == "sgd" else -3
    away = (np.log10(params["lr"]) - best) ** 2 / 4 + (params["model.depth"] - 4) ** 2 / 20
    return float(np.exp(-away - (params["model.width"] - 48) ** 2 / 4000))


def go_on(study, n, score=accuracy):
    """Run n trials; returns their parameters."""
    first = sum(one.state != TrialState.WAITING for one in study.get_trials())
    for _ in range(n):
        trial = study.ask()
        params = {name: trial._suggest(name, d) for name, d in SPACE.items()}
        study.tell(trial, score(params))
    return [one.params for one in study.get_trials()[first:]]


def short(architecture, seed):
    """The perceptron with a tenth of its steps."""
    return Perceptron(architecture, seed=seed, epochs=30)


def sampler(**options):
    return NARSSampler(
        **(dict(seed=0, space=SPACE, per_round=5, rounds=3, pool_size=300) | options)
    )


def test_importing_the_package_imports_neither_torch_nor_optuna():
    code = """
        import sys
        import mmext.search.nars
        assert "optuna" not in sys.modules
        from mmext.search.nars import NARSSampler, RankPruner
        NARSSampler(seed=0), RankPruner()
        assert not {"torch", "sklearn", "scipy.optimize"} & set(sys.modules), "too much"
    """
    fresh_process.run_from_nothing(code, cwd=REPO)


def test_the_first_round_is_the_head_of_the_pool_and_later_ones_what_the_predictor_likes():
    study = optuna.create_study(direction="maximize", sampler=sampler())
    params = go_on(study, 10)
    pool = study.sampler.pool(study, SPACE)
    genes, _ = study.sampler._space(SPACE)
    assert params[:5] == genes.to_params(pool[:5])
    probe = optuna.create_study(direction="maximize", sampler=sampler())
    go_on(probe, 5)
    predictor, _ = probe.sampler.fit(probe, SPACE)
    liked = pool[np.argsort(-predictor.predict(genes.features(pool)), kind="stable")]
    untried = [one for one in genes.to_params(liked) if one not in params[:5]]
    assert params[5:] == untried[:5]


def test_after_the_rounds_candidates_come_from_outside_of_the_pool():
    study = optuna.create_study(direction="maximize", sampler=sampler())
    params = go_on(study, 25)
    pool = study.sampler._space(SPACE)[0].to_params(study.sampler.pool(study, SPACE))
    assert all(one in pool for one in params[:15])
    assert any(one not in pool for one in params[15:])
    assert len({tuple(one.values()) for one in params}) == 25


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_it_finds_more_than_the_quasi_random_sequence(direction):
    sign = 1 if direction == "maximize" else -1
    best = []
    for seed in range(5):
        found = []
        for one in (sampler(seed=seed), optuna.samplers.QMCSampler(scramble=True, seed=seed)):
            study = optuna.create_study(direction=direction, sampler=one)
            go_on(study, 30, lambda params: sign * accuracy(params))
            found.append(sign * study.best_value)
        best.append(found)
    nars, quasi = np.mean(best, axis=0)
    assert nars > 0.99 > quasi + 0.02


def test_every_candidate_meets_the_constraint():
    """NARS-2 through Optuna; what asks the constraint sees parameters, not trials."""
    rule = lambda params: params["model.depth"] * params["model.width"] - 100  # noqa: E731
    study = optuna.create_study(direction="maximize", sampler=sampler(constraint=rule))
    assert all(rule(one) <= 0 for one in go_on(study, 30))
    with pytest.raises(ValueError, match="loosen the constraint or widen the space"):
        go_on(optuna.create_study(sampler=sampler(constraint=lambda params: 1)), 1)


@pytest.mark.parametrize("predictor", ["gp", short])
def test_predictor_and_pool_survive_resume(tmp_path, predictor):
    """NARS-3: whole, and stopped twice, within a round and at its end, by other samplers."""

    def storage(name):
        return JournalStorage(JournalFileBackend(str(tmp_path / name)))

    def study(name, seed):
        return optuna.create_study(
            study_name="s", storage=storage(name), direction="maximize", load_if_exists=True,
            sampler=sampler(seed=seed, predictor=predictor),
        )  # fmt: skip

    whole = study("whole", 3)
    wanted = go_on(whole, 20)
    found = go_on(study("parts", 3), 8) + go_on(study("parts", None), 7)
    last = study("parts", 11)  # a study keeps the seed that it was begun with
    assert found + go_on(last, 5) == wanted
    np.testing.assert_array_equal(last.sampler.pool(last, SPACE), whole.sampler.pool(whole, SPACE))
    X = whole.sampler._space(SPACE)[0].features(whole.sampler.pool(whole, SPACE))
    both = [one.sampler.fit(one, SPACE)[0].predict(X) for one in (whole, last)]
    np.testing.assert_array_equal(*both)


def test_workers_share_a_round_and_take_nothing_twice():
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            study_name="s", storage=storage, load_if_exists=True, direction="maximize",
            sampler=sampler(seed=i),
        )
        for i in range(4)
    ]  # fmt: skip
    given = []
    for _ in range(6):
        trials = [(one, one.ask()) for one in workers]  # all four ask before any tells
        for study, trial in trials:
            params = {name: trial._suggest(name, d) for name, d in SPACE.items()}
            given.append(tuple(params.values()))
            study.tell(trial, accuracy(params))
    assert len(set(given)) == 24


def test_an_own_config_first_failed_trials_and_infinite_scores():
    study = optuna.create_study(direction="maximize", sampler=sampler())
    own = {"model.depth": 2, "model.width": 8, "lr": 0.5, "optimiser": "adam"}
    study.enqueue_trial(own)

    def score(params):
        return -np.inf if params["lr"] > 1 else accuracy(params)

    assert go_on(study, 4, score)[0] == own
    failed = study.ask()
    params = {name: failed._suggest(name, d) for name, d in SPACE.items()}
    study.tell(failed, state=TrialState.FAIL)
    later = go_on(study, 20, score)
    assert params not in later
    assert own not in later
    found = results.results_of(study, study.sampler._space(SPACE)[0])
    assert len(found.scores) == 24
    assert np.isfinite(found.scores).all()


def test_without_a_space_the_first_trial_is_random_and_the_others_are_not():
    study = optuna.create_study(direction="maximize", sampler=sampler(space=None))
    params = go_on(study, 10)
    pool = study.sampler._space(SPACE)[0].to_params(study.sampler.pool(study, SPACE))
    assert params[0] not in pool
    assert all(one in pool for one in params[1:])


def test_a_small_space_may_be_exhausted():
    small = {"a": IntDistribution(0, 2)}
    study = optuna.create_study(sampler=NARSSampler(0, space=small, per_round=2))
    for _ in range(8):
        trial = study.ask(small)
        study.tell(trial, trial.params["a"])
    assert sorted(one.params["a"] for one in study.get_trials()[:3]) == [0, 1, 2]


def test_scores_are_those_of_the_early_stop_epoch_once_it_is_known():
    study = optuna.create_study(direction="maximize", sampler=sampler())
    for i in range(3):
        trial = study.ask(SPACE)
        for step in range(1, 4 - (i == 2)):
            trial.report(i + step / 10, step)
        study.tell(trial, *((None, TrialState.PRUNED) if i == 2 else (i + 0.9, None)))
    genes = study.sampler._space(SPACE)[0]
    assert results.results_of(study, genes).scores.tolist() == [0.9, 1.9, 2.2]
    study._storage.set_study_system_attr(study._study_id, early_stop.STOP_KEY, 2)
    assert results.results_of(study, genes).scores.tolist() == [0.2, 1.2, 2.2]


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler())
    with pytest.raises(ValueError, match="multi-objective"):
        study.ask(SPACE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(per_round=0), "per_round of NARSSampler must be at least 1, got 0"),
        (dict(pretrain="yes"), "one of off, on, cv"),
        (dict(pretrain="cv"), "needs proxies unless it is off, got 'cv' without them"),
        (dict(predictor="tree"), "gp, mlp, forest"),
    ],
)
def test_arguments_out_of_range_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        sampler(**options)


def test_free_labels_reach_the_predictor():
    proxies = lambda params: [params["model.depth"] * params["model.width"]]  # noqa: E731
    options = dict(predictor=short, proxies=proxies, pool_size=50)
    fitted = []
    for pretrain in ("off", "on"):
        study = optuna.create_study(
            direction="maximize", sampler=sampler(pretrain=pretrain, **options)
        )
        go_on(study, 5)
        fitted.append(study.sampler.fit(study, SPACE)[0])
    weights = [one.encoder[0].weight.detach().numpy() for one in fitted]
    assert np.abs(weights[0] - weights[1]).max() > 0.01
