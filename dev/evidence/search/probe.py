"""A linear probe on the frozen features of the table's nets: what they hold, and what it foretells.

Probe      the last hidden layer of a net after 0, 1, 2, 4, 8 and 16 epochs, and a linear classifier
           that learns the 500 training digits from it in closed form; no epoch is paid for that
Questions  does the probe of a net that was trained shortly rank nets as the fully trained nets are
           ranked, better than the net's own score at that time? What does a random search pay that
           trains shortly, asks either, and fully trains the one that it likes best? And what do
           the features of full trainings hold that the net's own last layer does not say?
Counted    right answers on validation and test digits, as in the table; a net that has become NaN
           has features of nought
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dev.evidence.search.table import (
    EPOCHS,
    GRID,
    SEEDS,
    Digits,
    Layers,
    hidden,
    name_of,
    read_digits,
    recipes_of_grid,
    right,
    trained,
)
from mmext.search.linear_probe import fit
from mmext.search.nars.early_stop import rank_correlation

if TYPE_CHECKING:  # which asks this module
    from dev.evidence.search.replay import Table

AFTER = (0, *EPOCHS)
CLASSES = 10
RESAMPLES = 1000
"""Of the nets, for intervals."""


def probed(layers: Layers, data: Digits) -> dict[str, Tensor]:
    """Right answers (S, R) of a probe of each net, by split."""

    def features(split: str) -> Tensor:
        with torch.no_grad():
            found = hidden(layers, getattr(data, split)[0])
        fine = found.isfinite().all(-1).all(-1)[..., None, None]
        return torch.where(fine, found, 0.0)

    probe = fit(features("train"), data.train[1], CLASSES)
    return {
        split: (probe.scores(features(split)).argmax(-1) == getattr(data, split)[1]).sum(-1)
        for split in ("val", "test")
    }


def count(
    depths: Sequence[int] = GRID["depth"], widths: Sequence[int] = GRID["width"]
) -> dict[str, Any]:
    """Train the nets of these sizes again, and probe each; right answers by seed and epoch.

    ``own`` are the nets' own on validation, by which it is seen whether they are the table's.
    """
    data, recipes, nets = read_digits(), recipes_of_grid(), {}
    for depth, width in product(depths, widths):
        after = []
        for layers in trained(depth, width, recipes, data, epochs=AFTER):
            after.append(dict(probed(layers, data), own=right(layers, data.val)))
        found = {what: torch.stack([one[what] for one in after], -1) for what in after[0]}
        for i, recipe in enumerate(recipes):
            one = {what: counts[:, i].tolist() for what, counts in found.items()}
            nets[name_of((depth, width, *recipe))] = one
        print(f"depth {depth}, width {width}: probed", flush=True)
    pixels = fit(data.train[0], data.train[1], CLASSES).scores(data.test[0])
    return dict(nets=nets, pixels=int((pixels.argmax(-1) == data.test[1]).sum()))


def summary(table: "Table", made: Mapping[str, Any], budgets: Sequence[int]) -> dict[str, Any]:
    """What is published of the counts, scores in percent."""
    names = [name_of(net) for net in product(*GRID.values())]
    shape = table.final.shape
    val, test, own = (
        np.array([made["nets"][name][what] for name in names]).reshape(*shape, len(SEEDS), -1)
        * (100 / table.digits["test" if what == "test" else "val"])
        for what in ("val", "test", "own")
    )
    away = np.abs(own[..., 1:] - table.val) * (table.digits["val"] / 100)
    features = test[..., -1].mean(-1)
    return dict(
        after=AFTER,
        same=round(float((away <= 3).mean()), 3),
        foretold=foretold(table, val),
        random=random_searches(table, val, budgets),
        pixels=round(made["pixels"] * 100 / table.digits["test"], 2),
        best=round(float(features.max()), 2),
        median=round(float(np.median(features)), 2),
        best_net=round(float(features.flat[table.final.argmax()]), 2),
        gain=quartiles(features - table.final),
    )


def foretold(table: "Table", val: np.ndarray) -> dict[str, list[Any]]:
    """Rank correlation with the worth of full trainings: of either score, and the difference.

    Args:
        table: whose nets' own scores, and mean test scores at the end, are compared.
        val: of the probe, an axis a parameter, then seed and epoch.

    Returns:
        Means over seeds by epoch; differences with the 95 % interval of resampled nets.
    """
    worth = table.final.ravel()
    probe, own = (one.reshape(-1, len(SEEDS), one.shape[-1]) for one in (val, table.val))

    def correlations(scores: np.ndarray, at: Any = slice(None)) -> np.ndarray:
        return np.mean(
            [[rank_correlation(one[at], worth[at]) for one in seed.T] for seed in
             scores.transpose(1, 0, 2)], 0
        )  # fmt: skip

    rng = np.random.default_rng(3)
    again = []
    for _ in range(RESAMPLES):
        at = rng.integers(len(worth), size=len(worth))
        again.append(correlations(probe[..., 1:], at) - correlations(own, at))
    here = [correlations(probe), correlations(own)]
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    return dict(
        probe=here[0].round(3).tolist(),
        own=here[1].round(3).tolist(),
        difference=[
            dict(mean=round(float(m), 3), low=round(float(a), 3), high=round(float(b), 3))
            for m, a, b in zip(here[0][1:] - here[1], low, high, strict=True)
        ],
    )


def random_searches(
    table: "Table", val: np.ndarray, budgets: Sequence[int]
) -> dict[str, list[dict[str, Any]]]:
    """Regret of a random search that trains for some epochs and asks a score, worked out exactly.

    The one that has the best score is trained to the end, for one full training, and named.
    """
    found: dict[str, list[dict[str, Any]]] = dict(own=[], probe=[])
    for what, scores in (("own", table.val), ("probe", val[..., 1:])):
        for e, epochs in enumerate(EPOCHS):
            whole = epochs == EPOCHS[-1]
            draws = [n if whole else (n - 1) * EPOCHS[-1] // epochs for n in budgets]
            both = [table.expected(scores[..., e], one) for one in draws]
            mean = [round(one, 3) for one, _ in both]
            found[what].append(dict(epochs=epochs, mean=mean, near=round(both[-1][1], 3)))
    return found


def quartiles(gains: np.ndarray) -> list[float]:
    """A quarter, a half and three quarters of the nets gain at most so many points."""
    return np.quantile(gains, (0.25, 0.5, 0.75)).round(2).tolist()
