"""AutoHAS against random search at equal gradient steps, and against the whole grid.

    python -m dev.evidence.search.autohas           all that is missing, then docs/evidence/
                                                    search_autohas.json; remove that to begin anew
    python -m dev.evidence.search.autohas digits    one of the data sets
    ... --develop                                   four other seeds, printed and not written

Question  does AutoHAS name values whose fully trained net is better, on test pictures, than the one
          that random search names after as many gradient steps?
Data      scikit-learn's digits and Fashion-MNIST: 700 for training, 300 for validation, the other
          797 digits, or the 10,000 of Fashion-MNIST's own test, for test
Net       64-64-10 and 784-64-10, plain SGD, batches of 64; rate 1e-4 … 10, decay 0 … 1e-2, 24 pairs
Grid      each pair is trained for 400 steps with each seed once; its worth is the mean accuracy on
          test over the seeds, its score of one seed the loss on validation
AutoHAS   the likeliest pair, without finalists: four candidates with U = 1 for 150 steps, and with
          U = 5 for 400; one candidate alone with U = 1 for 400
Random    draws with replacement, as many as the same updates pay for, the best score wins: replayed
          1,000 times on the grid, so its mean is known well
Regret    the worth of the grid's best pair minus that of the one that was named, in points
Seeds     fresh: on 200 to 215 weights with up to half the cap as loss could become the shared ones,
          which let a rate of 10 break them; 100 to 103 showed that, and chose the rule of now,
          for whose share 0.5, 0.75 and 0.9 were tried on 400 to 411
Shows     small nets and two values; nothing about architectures, large nets or other data
"""

import argparse
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from dev.evidence import pages
from dev.evidence.provenance import ROOT, read_machine
from dev.evidence.results import RESULTS, read, write_json
from dev.evidence.search.report import cell
from mmext.data_checks.class_files import read_digits, read_idx
from mmext.search.autohas.loop import AutoHASLoop

SEEDS, DEVELOPMENT = range(300, 316), range(100, 104)
RATES, DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), (0.0, 1e-4, 1e-3, 1e-2)
PAIRS = tuple(itertools.product(RATES, DECAYS))
FULL = 400
"""Steps of a full training."""

ARMS: dict[str, dict[str, Any]] = {
    "AutoHAS, U 1": dict(updates=1, steps=150),
    "AutoHAS, one candidate, U 1": dict(updates=1, steps=400, candidates=1),
    "AutoHAS, U 5": dict(updates=5, steps=400),
}
REPLAYS = 1000
PUBLISHED = ROOT / RESULTS / "search_autohas.json"


class Net(BaseModel):
    """As many inputs as pixels, 64 hidden units, 10 classes."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, inputs: Tensor, labels: Tensor, mode: str = "loss") -> Any:
        """Losses; there is no other mode."""
        return dict(loss=F.cross_entropy(self.layers(inputs), labels))


class Batches:
    """Batches of some rows, shuffled anew in each round."""

    sampler = batch_sampler = None
    batch_size = 64

    def __init__(self, inputs: Tensor, labels: Tensor, seed: int) -> None:
        self.inputs, self.labels, self.dataset = inputs, labels, SimpleNamespace()
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Any:
        order = self._rng.permutation(len(self.labels))
        for at in range(0, len(order) - self.batch_size + 1, self.batch_size):
            rows = order[at : at + self.batch_size]
            yield dict(inputs=self.inputs[rows], labels=self.labels[rows])


class BareRunner(Runner):
    """What the loop needs of a Runner."""

    val_loop, timestamp, seed = None, "config", 0  # in place of properties

    def __init__(self, model: Net, validation: Batches, seed: int, work_dir: str) -> None:
        self.model, self.seed, self._work_dir = model, seed, work_dir
        self._validation = validation
        sgd = torch.optim.SGD(model.parameters(), lr=0.01)
        self.optim_wrapper, self.visualizer = OptimWrapper(sgd), SimpleNamespace()
        self.cfg = Config(dict(val_dataloader=dict(dataset={})))

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """None is called."""

    def call_hook(self, name: str, **given: Any) -> None:
        """None is there."""

    def build_dataloader(self, dataloader: Any, seed: Any = None, **given: Any) -> Any:
        """Of validation."""
        return self._validation


Splits = dict[str, tuple[Tensor, Tensor]]
"""Pictures as rows and labels, for training, validation and test."""


def pairs_of(pictures: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Rows from 0 to 1, and labels."""
    return torch.tensor(pictures).flatten(1).float() / 255, torch.tensor(labels).long()


def digits() -> Splits:
    """The rows of the file in their order."""
    inputs, targets = pairs_of(*read_digits(str(ROOT / "data/digits/digits.csv.gz")))
    bounds = dict(train=slice(0, 700), val=slice(700, 1000), test=slice(1000, None))
    return {name: (inputs[rows], targets[rows]) for name, rows in bounds.items()}


def fashion_mnist() -> Splits:
    """The first 1,000 pictures of its training part, and its whole test part."""
    train, test = (
        pairs_of(
            *(
                read_idx(str(ROOT / f"data/fashion_mnist/{part}-{what}-ubyte.gz"), kind)[:most]
                for what, kind in (("images-idx3", "pictures"), ("labels-idx1", "labels"))
            )
        )
        for part, most in (("train", 1000), ("t10k", None))
    )
    bounds = dict(train=slice(0, 700), val=slice(700, 1000))
    return {name: (train[0][rows], train[1][rows]) for name, rows in bounds.items()} | {
        "test": test
    }


DATA: dict[str, Callable[[], Splits]] = {"digits": digits, "Fashion-MNIST": fashion_mnist}


def net_of(seed: int, data: Splits) -> Net:
    """The weights that every arm of a seed begins with."""
    torch.manual_seed(seed)
    return Net(data["train"][0].shape[1])


def full_training(seed: int, rate: float, decay: float, data: Splits) -> tuple[float, float]:
    """Loss on validation, infinite if it is no number, and accuracy on test in percent."""
    net = net_of(seed, data)
    sgd = torch.optim.SGD(net.parameters(), lr=rate, weight_decay=decay)
    batches = Batches(*data["train"], seed)
    rounds = itertools.chain.from_iterable(itertools.repeat(batches))
    for batch in itertools.islice(rounds, FULL):
        sgd.zero_grad()
        net(**batch)["loss"].backward()
        sgd.step()
    with torch.no_grad():
        loss = net(*data["val"])["loss"].item()
        right = net.layers(data["test"][0]).argmax(1) == data["test"][1]
    return loss if math.isfinite(loss) else math.inf, 100 * right.float().mean().item()


def named(seed: int, data: Splits, *, updates: int, steps: int, **options: Any) -> tuple[int, int]:
    """The pair that AutoHAS names, and the updates that it took."""
    space = {
        "optim_wrapper.optimizer.lr": dict(basis=list(RATES)),
        "optim_wrapper.optimizer.weight_decay": dict(basis=list(DECAYS)),
    }
    validation = Batches(*data["val"], seed + 1000)
    with tempfile.TemporaryDirectory() as folder:
        runner = BareRunner(net_of(seed, data), validation, seed, folder)
        training = Batches(*data["train"], seed)
        loop = AutoHASLoop(runner, training, steps, space, updates=updates, finalists=0, **options)
        loop.run()
    draw = loop.controller.policy.mode()
    lr, decay = (draw[name] for name in space)
    # Candidates of equal values are tried once, so this is at most what was paid for.
    return lr * len(DECAYS) + decay, loop.candidates * updates * steps


def random_search(
    scores: np.ndarray, worth: np.ndarray, trainings: int, rng: np.random.Generator
) -> np.ndarray:
    """Regrets (REPLAYS,) of the best of so many draws; scores (S, 24), of one seed a replay."""
    drawn = rng.integers(0, len(PAIRS), (REPLAYS, trainings))
    seeds = rng.integers(0, len(scores), (REPLAYS, 1))
    best = scores[seeds, drawn].argmin(1)
    return worth.max() - worth[drawn[np.arange(REPLAYS), best]]


def interval(values: np.ndarray) -> dict[str, Any]:
    """Mean and standard error, and the worst."""
    return dict(
        mean=float(values.mean()),
        error=float(values.std(ddof=1) / math.sqrt(len(values))),
        worst=float(values.max()),
        runs=len(values),
    )


def study(data: Splits, seeds: range, before: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All numbers of a data set, after each arm; pairs that were named before stay."""
    grid = np.array([[full_training(seed, *pair, data) for pair in PAIRS] for seed in seeds])
    scores, worth = grid[..., 0], grid[..., 1].mean(0)
    best = PAIRS[int(worth.argmax())]
    found: dict[str, Any] = dict(
        seeds=[seeds[0], seeds[-1]],
        best=dict(pair=best, accuracy=float(worth.max()), updates=len(PAIRS) * FULL),
        worth={f"{lr:g}, {decay:g}": float(v) for (lr, decay), v in zip(PAIRS, worth, strict=True)},
        arms={},
        machine=read_machine(),
    )
    for name, arm in ARMS.items():
        kept = before.get(name)
        pairs = [tuple(one) for one in kept["pairs"]] if kept else []
        if kept is None:
            named_ones = [named(seed, data, **arm) for seed in seeds]
            pairs = [PAIRS[pair] for pair, _ in named_ones]
        updates = kept["updates"] if kept else named_ones[0][1]
        regrets = worth.max() - worth[[PAIRS.index(pair) for pair in pairs]]
        found["arms"][name] = dict(
            interval(regrets), updates=updates, pairs=pairs, regrets=regrets.tolist()
        )
        trainings = max(1, round(updates / FULL))
        drawn = random_search(scores, worth, trainings, np.random.default_rng(trainings))
        words = f"random, {trainings} full training{'s' * (trainings > 1)}"
        found["arms"][words] = dict(interval(drawn), updates=trainings * FULL)
        left = {one: arm for one, arm in before.items() if one not in found["arms"]}
        yield dict(found, arms=found["arms"] | left)  # a run that is stopped here loses no arm


def published() -> dict[str, Any]:
    """What there is, by data set."""
    return read(PUBLISHED) if PUBLISHED.exists() else {}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"of {', '.join(DATA)}")
    parser.add_argument("--develop", action="store_true", help="other seeds, nothing is written")
    args = parser.parse_args()
    if unknown := set(args.data) - set(DATA):
        parser.error(f"no data {', '.join(sorted(unknown))}; there are {', '.join(DATA)}")
    torch.set_num_threads(1)
    for name in args.data or DATA:
        there = {} if args.develop else published().get(name, {})
        before = there["arms"] if there.get("seeds") == [SEEDS[0], SEEDS[-1]] else {}
        if set(ARMS) <= set(before):
            print(f"{name} is in {PUBLISHED}; remove it there to run it anew")
            continue
        found: dict[str, Any] = {}
        for found in study(DATA[name](), DEVELOPMENT if args.develop else SEEDS, before):
            if not args.develop:
                write_json(PUBLISHED, published() | {name: found})
        for arm, one in found["arms"].items():
            print(f"{name}, {arm}: regret {cell(one['mean'], one['error'])}, {one['worst']:.2f}")
    if not args.develop:
        pages.rewrite()


if __name__ == "__main__":
    main()
