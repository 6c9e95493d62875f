"""Replay searches on the table: regret over budget, and joint search against its halves.

    python -m dev.evidence.search.replay       all that is missing, then docs/evidence/search.json
                                               and .png; finished parts lie in work_dirs

Score    a search sees the validation score of one of the two seeds, drawn anew for each trial
Regret   the best net's mean test score minus the incumbent's, in points; the incumbent has the
         best validation score among the nets that were trained longest, so luck does not pay
Budget   in full trainings of 16 epochs; what is stopped early pays for its epochs alone
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from dev.evidence.search import probe
from dev.evidence.search.methods import METHODS, SPACE, Method, fixed_arms, nars
from dev.evidence.search.table import ARCHITECTURE, EPOCHS, GRID, TABLE
from mmext.search.nars.early_stop import early_stop_epoch, rank_correlation
from mmext.search.nars.genes import Genes
from mmext.search.nars.mlp import Perceptron
from mmext.search.nars.predictors import GaussianProcess

WORK_DIR = ROOT / "work_dirs" / "evidence" / "search"
PUBLISHED = ROOT / RESULTS / "search.json"
BUDGETS = (5, 10, 20, 40)
ARM_RUNS = 30
TRAINED = 60
"""Nets from which a predictor learns before its ranking of the others is judged."""
SPEARMAN_SEEDS = 6
DEAR = "method: GP"
"""A part that takes as long as many others, and so comes last."""


class Table:
    """The table as arrays with an axis a parameter: scores in percent, by seed and epoch."""

    def __init__(self, path: Path = TABLE) -> None:
        found = json.loads(path.read_text())
        shape = [len(values) for values in GRID.values()]
        self.digits: dict[str, int] = {split: found["design"][split] for split in ("val", "test")}
        self.val, self.test = (
            np.array([net[split] for net in found["nets"].values()]).reshape(*shape, 2, len(EPOCHS))
            * (100 / pictures)
            for split, pictures in self.digits.items()
        )
        self.final = self.test[..., -1].mean(-1)
        self.regret = self.final.max() - self.final

    def expected(
        self, scores: np.ndarray, draws: int, fixed: Mapping[str, int] | None = None
    ) -> tuple[float, float]:
        """Mean regret of the best of so many random draws, exactly, and how often it is <= 0.5.

        Args:
            scores: by which a draw is the best, the first one if some are equal; an axis a
                parameter, and then one of seeds, of which each draw sees one.
            draws: with replacement.
            fixed: what is not drawn.
        """
        part = tuple((fixed or {}).get(name, slice(None)) for name in GRID)
        seen = scores[part].ravel()
        regrets = np.repeat(self.regret[part].ravel(), scores.shape[-1])
        _, place, counts = np.unique(seen, return_inverse=True, return_counts=True)
        below = np.cumsum(counts) / len(seen)
        chances = below**draws - (below - counts / len(seen)) ** draws
        mean, near = (
            chances @ (np.bincount(place, one) / counts) for one in (regrets, regrets <= 0.5)
        )
        return float(mean), float(near)


def replay(
    table: Table,
    method: Method,
    seed: int,
    fixed: Mapping[str, int] | None = None,
    budgets: tuple[int, ...] = BUDGETS,
) -> list[float]:
    """Run a search on the table; returns the incumbent's regret after each budget."""
    fixed = fixed or {}
    space = {name: d for name, d in method.space.items() if name not in fixed}
    study = optuna.create_study(
        direction="maximize",
        sampler=method.sampler(seed),
        pruner=method.pruner() if method.pruner else None,
    )
    rng = np.random.default_rng([seed, 1])
    spent, best, regret = 0, (0, -1.0), np.nan
    most = method.trials or max(budgets)
    left = [b * EPOCHS[-1] for b in budgets if b <= most]
    found: list[float] = []
    while left:
        trial = study.ask(space)
        params = {**fixed, **trial.params}
        place = tuple(params[name] for name in GRID)
        scores = table.val[place][rng.integers(2)]
        epochs = train(study, trial, scores, watched=method.pruner is not None)
        while left and spent + epochs > left[0]:
            found.append(regret)
            left.pop(0)
        spent += epochs
        reached = epochs, float(scores[EPOCHS.index(epochs)])
        if reached > best:
            best, regret = reached, float(table.regret[place])
        while left and spent == left[0]:
            found.append(regret)
            left.pop(0)
    return found


def train(study: Any, trial: Any, scores: np.ndarray, *, watched: bool) -> int:
    """Look up a training, epoch by epoch if somebody may stop it; returns how long it was."""
    if watched:
        for epoch, score in zip(EPOCHS[:-1], scores[:-1], strict=True):
            trial.report(float(score), epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return epoch
        trial.report(float(scores[-1]), EPOCHS[-1])
    study.tell(trial, float(scores[-1]))
    return EPOCHS[-1]


def expected_of_random(
    table: Table, draws: int, fixed: Mapping[str, int] | None = None
) -> tuple[float, float]:
    """Mean regret of random search after so many trainings, exactly, and how often it is <= 0.5."""
    return table.expected(table.val[..., -1], draws, fixed)


def exactly(table: Table, fixed: Mapping[str, int] | None = None) -> dict[str, Any]:
    """What :func:`summary` would say of random search after replays without end."""
    means = [expected_of_random(table, n, fixed) for n in BUDGETS]
    return dict(runs="exact", mean=[round(one, 3) for one, _ in means], near=round(means[-1][1], 3))


def replay_many(
    table: Table, method: Method, runs: int, fixed: Mapping[str, int] | None = None
) -> list[list[float]]:
    """Several seeds."""
    return [[round(one, 3) for one in replay(table, method, seed, fixed)] for seed in range(runs)]


def spearman(table: Table) -> dict[str, list[float]]:
    """Rank correlation of predictors with the scores of nets from which they have not learnt."""
    genes = Genes(SPACE)
    rows = genes.grid()
    X = genes.features(rows)
    of_architecture = np.array([name in ARCHITECTURE for name in genes.owners()])
    weights = np.array([[weights_of(one)] for one in genes.to_params(rows)], dtype=float)
    scores, truth = table.val[..., -1].reshape(-1, 2), table.final.ravel()
    found: dict[str, list[float]] = {}
    for seed in range(SPEARMAN_SEEDS):
        rng = np.random.default_rng([seed, 2])
        order = rng.permutation(len(rows))
        seen, rest = order[:TRAINED], order[TRAINED:]
        y = scores[seen, rng.integers(2, size=TRAINED)]
        plain, taught = (Perceptron(of_architecture, seed=seed) for _ in range(2))
        taught.pretrain(X, weights)
        for name, predictor in (
            ("Gaussian process", GaussianProcess()),
            ("perceptron", plain),
            ("perceptron, pre-trained on weights", taught),
        ):
            said = predictor.fit(X[seen], y).predict(X[rest])
            found.setdefault(name, []).append(round(rank_correlation(said, truth[rest]), 4))
    return found


def weights_of(params: Mapping[str, int]) -> int:
    """Weights and biases of a net, the free label."""
    depth, width = (GRID[name][params[name]] for name in ARCHITECTURE)
    return 65 * width + (depth - 1) * (width + 1) * width + (width + 1) * 10


def epochs_part(table: Table) -> dict[str, Any]:
    """How early the ranking is that of the end."""
    curves = table.val[..., 0, :].reshape(-1, len(EPOCHS))
    other = table.val[..., 1, -1].ravel()
    return dict(
        correlations=[round(rank_correlation(one, curves[:, -1]), 3) for one in curves.T],
        between_seeds=round(rank_correlation(curves[:, -1], other), 3),
        early_stop=EPOCHS[early_stop_epoch(curves, 0.9)],
    )


def parts_of(table: Table) -> dict[str, Callable[[], Any]]:
    """Every part of the results, to be made once."""
    parts: dict[str, Callable[[], Any]] = {
        f"method: {name}": lambda one=one: replay_many(table, one, one.runs)
        for name, one in METHODS.items()
    }
    for arm, fixed in fixed_arms(table.final).items():
        space = {key: d for key, d in SPACE.items() if key not in fixed}
        method = Method(partial(nars, space=space), ARM_RUNS)
        parts[f"arm: {arm}"] = lambda m=method, f=fixed: replay_many(table, m, m.runs, f)
    parts["spearman"] = lambda: spearman(table)
    parts["probe"] = probe.count
    return parts


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="the parts whose name begins so; publish nothing")
    parser.add_argument(
        "--as-is", action="store_true", help="publish what is there over what was, make nothing"
    )
    args = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    table = Table()
    parts = parts_of(table)
    files = {name: WORK_DIR / f"{name.replace(': ', '-').replace(' ', '_')}.json" for name in parts}
    for name in sorted(parts, key=DEAR.__eq__):
        if not (args.as_is or files[name].exists()) and name.startswith(args.only or ""):
            began = time.perf_counter()
            write_json(files[name], parts[name]())
            print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
    if not args.only:
        there = {name: file for name, file in files.items() if file.exists()}
        publish(table, {name: json.loads(file.read_text()) for name, file in there.items()})


def publish(table: Table, made: Mapping[str, Any]) -> None:
    """Write the published file, its picture and the pages.

    What was published before and is not made here stays: a part of equal seeds is the same again.
    """
    from dev.evidence import pages
    from dev.evidence.search import report

    before = json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}
    methods = before.get("methods", {}) | summaries(made, "method")
    probed = probe.summary(table, made["probe"], BUDGETS) if "probe" in made else None
    found = dict(
        command="make evidence-search",
        budgets=BUDGETS,
        best=round(float(table.final.max()), 2),
        median=round(float(np.median(table.final)), 2),
        epochs=epochs_part(table),
        fixed=fixed_arms(table.final),
        missing=[name for name in METHODS if name not in methods],
        spearman=made.get("spearman", before.get("spearman", {})),
        probe=probed or before.get("probe"),
        methods={"random, exactly": exactly(table)}
        | {name: methods[name] for name in METHODS if name in methods},
        arms={arm: exactly(table, fixed) for arm, fixed in fixed_arms(table.final).items()},
        arms_of_nars=before.get("arms_of_nars", {}) | summaries(made, "arm"),
    )
    write_json(PUBLISHED, found)
    report.draw(found, PUBLISHED.with_suffix(".png"))
    pages.rewrite()


def summaries(made: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The parts of a kind in short, by their name."""
    parts = {key: one for key, one in made.items() if key.startswith(f"{kind}: ")}
    return {key.split(": ", 1)[1]: summary(one) for key, one in parts.items()}


def summary(runs: list[list[float]]) -> dict[str, Any]:
    """Means and standard errors after each budget, and the share within half a point at the end."""
    table = np.array(runs)
    return dict(
        runs=len(runs),
        mean=np.round(table.mean(0), 3).tolist(),
        error=np.round(table.std(0, ddof=1) / len(runs) ** 0.5, 3).tolist(),
        near=round(float((table[:, -1] <= 0.5).mean()), 3),
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
