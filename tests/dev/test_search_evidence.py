"""The table that searches ask, its generator, and what replays on it must show (SE-7, NARS-1)."""

import itertools
import json
import sys
import warnings
from dataclasses import asdict

import numpy as np
import optuna
import pytest
import torch
from mmengine.config import Config

from dev.evidence import pairs, results
from dev.evidence.search import autohas, probe, replay, report, table, trees
from dev.evidence.search.methods import METHODS, SPACE, Method, asha, fixed_arms, random_search
from mmext.search.linear_probe import fit
from mmext.search.nars.early_stop import rank_correlation
from mmext.search.nars.genes import Genes
from mmext.search.nars.predictors import maker_of
from mmext.search.tuner import methods, space
from mmext.search.tuner.settings import Settings

optuna.logging.set_verbosity(optuna.logging.WARNING)
DIGITS = pytest.mark.usefixtures("digits")
COMMITTED = json.loads(table.TABLE.read_text())


@pytest.fixture(scope="module")
def nets():
    return replay.Table()


def test_the_committed_table_is_of_this_design():
    assert COMMITTED["design"] == json.loads(json.dumps(table.design()))
    assert list(COMMITTED["nets"]) == [
        table.name_of(net) for net in itertools.product(*table.GRID.values())
    ]


@DIGITS
def test_nets_trained_together_are_nets_trained_one_by_one():
    """Against torch's own layers, loss and optimiser; what diverges is left out."""
    data = table.read_digits()
    recipes = [table.Recipe(0.1, 0.9, 0.1), table.Recipe(0.3, 0.0, 0.0)]
    found = table.train(2, 16, recipes, data, seeds=(0, 1), epochs=(1, 2))
    for (i, recipe), seed in itertools.product(enumerate(recipes), (0, 1)):
        net = torch.nn.Sequential(
            torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU(),
            torch.nn.Linear(16, 10),
        )  # fmt: skip
        with torch.no_grad():
            for layer, (weight, bias) in zip(
                net[::2], table.start([64, 16, 16, 10], seed), strict=True
            ):
                layer.weight.copy_(weight.T)
                layer.bias.copy_(bias[0])
        loss = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
        optimiser = torch.optim.SGD(net.parameters(), lr=recipe.lr, momentum=recipe.momentum)
        order = torch.Generator().manual_seed(1000 + seed)
        for epoch in range(2):
            for batch in torch.randperm(table.TRAIN, generator=order).split(table.BATCH):
                optimiser.zero_grad()
                loss(net(data.train[0][batch]), data.train[1][batch]).backward()
                optimiser.step()
            for split in ("val", "test"):
                pictures, labels = getattr(data, split)
                right = int((net(pictures).argmax(1) == labels).sum())
                assert abs(right - found[split][i, seed, epoch]) <= 1, (recipe, seed, split)


@DIGITS
def test_the_generator_is_deterministic_and_made_the_committed_table():
    """SE-7, its first half, on the smallest nets; other machines round otherwise."""
    first, second = (table.make(depths=(1,), widths=(8,)) for _ in range(2))
    assert first == second
    away = [
        abs(a - b)
        for name, one in first.items()
        for split in ("val", "test")
        for a, b in zip(np.ravel(one[split]), np.ravel(COMMITTED["nets"][name][split]), strict=True)
    ]
    assert np.mean(np.array(away) <= 3) > 0.9


@DIGITS
@pytest.mark.slow
def test_all_nets_of_one_layer_come_out_twice_alike():
    assert table.make(depths=(1,)) == table.make(depths=(1,))


def test_random_search_costs_what_can_be_worked_out(nets):
    runs = np.array([replay.replay(nets, Method(random_search, 1), seed) for seed in range(60)])
    errors = runs.std(0, ddof=1) / 60**0.5
    wanted = [replay.expected_of_random(nets, n)[0] for n in replay.BUDGETS]
    assert (np.abs(runs.mean(0) - wanted) < 4 * errors).all()
    for draws, fixed in ((1, {}), (1, {"lr": 4}), (2, {"depth": 0, "lr": 4})):
        part = tuple(fixed.get(name, slice(None)) for name in table.GRID)
        pairs = list(
            zip(nets.val[part][..., -1].ravel(), np.repeat(nets.regret[part], 2), strict=True)
        )
        firsts = [
            max(one, key=lambda pair: pair[0])[1] for one in itertools.product(pairs, repeat=draws)
        ]
        wanted = np.mean(firsts), np.mean(np.array(firsts) <= 0.5)
        assert replay.expected_of_random(nets, draws, fixed) == pytest.approx(wanted)


def trials_of(monkeypatch):
    """The studies that are made from now on."""
    made = []
    create = optuna.create_study
    monkeypatch.setattr(optuna, "create_study", lambda **kw: made.append(create(**kw)) or made[-1])
    return made


def test_a_budget_is_paid_in_epochs_and_the_incumbent_was_trained_longest(nets, monkeypatch):
    """Against a slow loop over the study's own trials."""
    made = trials_of(monkeypatch)
    found = replay.replay(nets, Method(random_search, 1, asha), 3, budgets=(2, 5, 10))
    paid = 0
    best, regret, wanted = (0, -1.0), np.nan, {}
    for trial in made[0].get_trials():
        place = tuple(trial.params[name] for name in table.GRID)
        for budget in (2, 5, 10):
            if paid + trial.last_step > 16 * budget:
                wanted.setdefault(budget, regret)
        paid += trial.last_step
        value = trial.intermediate_values[trial.last_step]
        assert value in nets.val[place][:, table.EPOCHS.index(trial.last_step)]
        if (trial.last_step, value) > best:
            best, regret = (trial.last_step, value), nets.regret[place]
    assert paid >= 160
    assert len(made[0].get_trials()) > 15  # many were stopped, or there would be ten
    assert found == [pytest.approx(wanted.get(budget, regret)) for budget in (2, 5, 10)]


def search_of_forty(nets, pruner, seed):
    """Epochs that a random search of the tool pays, and the true score of the one that it names."""
    study = optuna.create_study(
        direction="maximize",
        sampler=random_search(seed),
        pruner=methods.pruner(Settings(pruner=pruner)),
    )
    rng, paid, named = np.random.default_rng(seed), 0, (-1.0, 0.0)
    for _ in range(40):
        trial = study.ask(SPACE)
        place = tuple(trial.params[name] for name in table.GRID)
        curve = nets.val[place][rng.integers(2)]
        for step, score in enumerate(curve, 1):
            trial.report(float(score), step)  # steps are evaluations, as the tool has them
            if step < len(curve) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(score))
            named = max(named, (float(score), float(nets.final[place])))
        paid += table.EPOCHS[step - 1]
    return paid, named[1]


def test_asha_saves_two_fifths_of_the_epochs_and_loses_less_than_a_point(nets):
    """SE-4, with the tool's own pruner on the table."""
    plain, asha = (
        np.array([search_of_forty(nets, name, seed) for seed in range(12)])
        for name in ("none", "asha")
    )
    assert (plain[:, 0] == 40 * 16).all()
    assert asha[:, 0].mean() <= 0.6 * 40 * 16
    assert asha[:, 1].mean() >= plain[:, 1].mean() - 1


def test_what_is_fixed_stays_fixed(nets, monkeypatch):
    made = trials_of(monkeypatch)
    arms = fixed_arms(nets.final)
    assert [len(fixed) for fixed in arms.values()] == [0, 3, 3, 2, 2]
    for fixed in arms.values():
        replay.replay(nets, Method(random_search, 1), 0, fixed, budgets=(2,))
        assert all(not set(fixed) & set(one.params) for one in made[-1].get_trials())
    best = arms["architecture only, best recipe"]
    rows = nets.final[:, :, best["lr"], best["momentum"], best["smoothing"]]
    assert rows.mean() == nets.final.mean((0, 1)).max()


@pytest.mark.parametrize("name", ["gp", "mlp"])
def test_a_predictor_ranks_the_nets_that_it_has_not_seen(nets, name):
    """NARS-1: at least .60 in the mean of 5 seeds, after 60 trained nets."""
    genes = Genes(SPACE)
    rows = genes.grid()
    X, scores = genes.features(rows), nets.val[..., -1].reshape(-1, 2)
    architecture = np.array([owner in table.ARCHITECTURE for owner in genes.owners()])
    found = []
    for seed in range(5):
        order = np.random.default_rng(100 + seed).permutation(len(rows))
        seen, rest = order[:60], order[60:]
        predictor = maker_of(name)(architecture=architecture, seed=seed)
        said = predictor.fit(X[seen], scores[seen, 0]).predict(X[rest])
        found.append(rank_correlation(said, nets.final.ravel()[rest]))
    assert np.mean(found) >= 0.60


def better_than_random():
    """Searches that the published replays found ahead of random search by more than two errors."""
    found = json.loads(replay.PUBLISHED.read_text()) if replay.PUBLISHED.exists() else None
    methods = found["methods"] if found else {}
    for name, one in methods.items():
        if len(one["mean"]) < 4 or name in ("random", "random, exactly"):
            continue
        gap = methods["random, exactly"]["mean"][-1] - one["mean"][-1]
        if gap > 2 * one["error"][-1]:
            yield pytest.param(name, gap, one["error"][-1] * one["runs"] ** 0.5, id=name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gap", "deviation"), better_than_random())
def test_what_was_better_than_random_is_so_on_other_seeds(nets, name, gap, deviation):
    """SE-7, its second half: 200 replays, the measured gap minus four standard errors."""
    runs = 40 if "TPE" in name else 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        last = [replay.replay(nets, METHODS[name], 10_000 + seed)[-1] for seed in range(runs)]
    wanted = replay.expected_of_random(nets, 40)[0] - gap + 4 * deviation / runs**0.5
    assert np.mean(last) < wanted


def test_what_is_stated_of_autohas_is_what_runs_and_is_open_until_it_has():
    assert tuple(autohas.ARMS) == report.AUTOHAS_ARMS
    assert tuple(autohas.DATA) == report.AUTOHAS_DATA
    one = dict(mean=1.0, error=0.5, worst=2.0, runs=4, updates=600)
    half = dict(
        best=dict(pair=[1.0, 0.0], accuracy=90.0, updates=9600),
        seeds=[200, 215],
        arms={"AutoHAS, U 1": one, "AutoHAS, U 5": one},
    )
    said = report.autohas(dict(digits=half))
    assert "| AutoHAS, U 5 | 600 | 4 | 1.00 ± 0.50 | 2.00 |" in said
    assert "not run yet: AutoHAS, one candidate, U 1 on digits; AutoHAS, U 1, AutoHAS, one" in said
    whole = half | {"arms": dict.fromkeys(autohas.ARMS, one)}
    assert "not run yet" not in report.autohas({"digits": whole, "Fashion-MNIST": whole})


def test_pairs_of_autohas_that_are_there_are_not_searched_again(monkeypatch):
    """The grid is trained, by which they are judged: a pair is worth its mean over seeds."""
    worth = {pair: 10.0 * i for i, pair in enumerate(autohas.PAIRS)}
    monkeypatch.setattr(autohas, "full_training", lambda seed, *pair: (0.1, worth[pair[:2]] + seed))
    monkeypatch.setattr(autohas, "read_machine", dict)
    calls = []
    monkeypatch.setattr(
        autohas, "named", lambda seed, data, **arm: calls.append((seed, arm)) or (23 - seed, 400)
    )
    kept = dict(pairs=[list(autohas.PAIRS[20]), list(autohas.PAIRS[23])], updates=8000)
    first, *_, found = autohas.study({}, range(2), {"AutoHAS, U 1": kept, "AutoHAS, U 5": kept})
    assert first["arms"]["AutoHAS, U 5"] is kept  # if it is stopped now
    assert [one for one in found["arms"] if one in autohas.ARMS] == list(autohas.ARMS)
    assert found["best"]["pair"] == autohas.PAIRS[23]
    assert found["arms"]["AutoHAS, U 1"]["regrets"] == [30.0, 0.0]
    assert found["arms"]["AutoHAS, one candidate, U 1"]["regrets"] == [0.0, 10.0]
    assert calls == [(seed, autohas.ARMS["AutoHAS, one candidate, U 1"]) for seed in range(2)]
    assert {"random, 1 full training", "random, 20 full trainings"} < set(found["arms"])


def test_the_halves_of_the_training_tiles_share_no_pixel():
    """The trees: what a search trains on, and what it is judged by."""
    tiles = [(x, y) for y in (0, 271) for x in (0, 271, 1085, 1356, 1628, 1899)]
    images = [
        dict(id=i, file_name=f"a_x{x:04}_y{y:04}.png", width=400) for i, (x, y) in enumerate(tiles)
    ]
    coco = dict(images=images, annotations=[dict(id=i, image_id=i % 12) for i in range(30)])
    fit, check = trees.halves(coco)
    assert [tiles[one["id"]][0] for one in fit["images"]] == [0, 271, 1085] * 2
    assert [tiles[one["id"]][0] for one in check["images"]] == [1628, 1899] * 2
    for half in (fit, check):
        there = {one["id"] for one in half["images"]}
        assert half["annotations"] == [
            one for one in coco["annotations"] if one["image_id"] in there
        ]


def test_the_search_over_the_trees_holds_the_configs_own_values():
    cfg = Config.fromfile(trees.CONFIG).to_dict()
    found = space.parse(cfg["search"]["space"], cfg)
    assert tuple(found.parameters) == trees.KEYS
    found.require_own()
    schedule = cfg["param_scheduler"][-1]
    assert schedule["end"] == cfg["train_cfg"]["max_iters"] == schedule["begin"] + schedule["T_max"]


def test_the_search_over_trees_has_forty_minutes_for_all_its_starts(tmp_path, monkeypatch):
    said, clock = [], tmp_path / "search_seconds.json"

    def line(*flags):
        said.append(float(flags[flags.index("--max-hours") + 1]))
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    for name, value in (("WORK_DIR", tmp_path), ("line", line), ("options", lambda _: [])):
        monkeypatch.setattr(trees, name, value)
    monkeypatch.setattr(trees, "environment", lambda: None)
    clock.write_text(json.dumps(dict(seconds=trees.BUDGET - 1, done=False)))
    assert trees.searched() >= trees.BUDGET
    assert said == [0.0]  # it is too late for another trial
    assert json.loads(clock.read_text())["done"]
    assert trees.searched() >= trees.BUDGET
    assert len(said) == 1  # what is done is not searched again


def test_what_is_published_of_the_trees_follows_from_its_scores():
    found = results.read(trees.PUBLISHED)
    scores = found["scores"]
    assert set(scores) == {"found", "own"}
    assert all([int(seed) for seed in one] == list(trees.SEEDS) for one in scores.values())
    differences = pairs.differences(scores["found"], scores["own"])
    assert asdict(pairs.summarise(differences)) == found["found_minus_own"]
    assert found["search"]["seconds"] <= trees.BUDGET


def test_a_search_over_trees_that_breaks_is_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "line", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    monkeypatch.setattr(trees, "WORK_DIR", tmp_path)
    monkeypatch.setattr(trees, "options", lambda _: [])
    monkeypatch.setattr(trees, "environment", lambda: None)
    with pytest.raises(SystemExit, match="the search ended with status 3"):
        trees.searched()


@DIGITS
def test_a_probe_reads_the_last_hidden_layer_and_learns_from_training_digits_alone():
    """Against layers of torch, a net at a time; the last net has become NaN."""
    data = table.read_digits()
    recipes = [table.Recipe(0.1, 0.9, 0.0), table.Recipe(0.0, 0.0, 0.0)]
    for layers in table.trained(2, 16, recipes, data, seeds=(0, 1), epochs=(0, 1)):
        with torch.no_grad():
            layers[0][0][1, 1, 0, 0] = torch.nan
        found = probe.probed(layers, data)
        for seed, recipe in itertools.product((0, 1), (0, 1)):
            dead = (seed, recipe) == (1, 1)
            weights = [[one[seed, recipe].detach() for one in layer] for layer in layers[:-1]]

            def features(pictures, weights=weights):
                for weight, bias in weights:
                    pictures = torch.nn.functional.linear(pictures, weight.T, bias[0]).relu()
                return pictures

            classifier = fit(features(data.train[0]), data.train[1], 10) if not dead else None
            for split in ("val", "test"):
                pictures, labels = getattr(data, split)
                said = (
                    classifier.scores(features(pictures)).argmax(1)
                    if classifier
                    else data.train[1].bincount().argmax()
                )
                away = abs(int((said == labels).sum()) - int(found[split][seed, recipe]))
                assert away <= (0 if dead else 1), (split, seed, recipe)


def test_a_search_by_another_score_pays_for_its_epochs_and_for_the_last_training(nets):
    scores = np.random.default_rng(0).normal(nets.val, 30.0)
    found = probe.random_searches(nets, np.concatenate([scores[..., :1], scores], -1), (3, 5))
    assert found["own"][-1]["mean"] == [
        pytest.approx(replay.expected_of_random(nets, n)[0], abs=1e-3) for n in (3, 5)
    ]
    rng = np.random.default_rng(1)
    for e, draws in ((0, (32, 64)), (3, (4, 8))):  # two trainings of sixteen epochs, and four
        for n, said in zip(draws, found["probe"][e]["mean"], strict=True):
            drawn = rng.integers(nets.final.size * 2, size=(20_000, n))
            best = scores[..., e].ravel()[drawn].argmax(1)
            regrets = np.repeat(nets.regret.ravel(), 2)[drawn[np.arange(len(drawn)), best]]
            assert said == pytest.approx(regrets.mean(), abs=4 * regrets.std() / 20_000**0.5)


def test_what_foretells_better_is_told_with_its_interval(nets, monkeypatch):
    monkeypatch.setattr(probe, "RESAMPLES", 20)
    same = probe.foretold(nets, np.concatenate([nets.val[..., :1], nets.val], -1))
    assert same["difference"] == [dict(mean=0.0, low=0.0, high=0.0)] * 5
    assert same["own"][-1] == pytest.approx(
        np.mean(
            [rank_correlation(nets.val[..., s, -1].ravel(), nets.final.ravel()) for s in (0, 1)]
        ),
        abs=1e-3,
    )
    truth = np.broadcast_to(nets.final[..., None, None], (*nets.final.shape, 2, 6))
    known = probe.foretold(nets, truth)
    assert known["probe"] == [1.0] * 6
    assert all(one["low"] > 0 for one in known["difference"])
