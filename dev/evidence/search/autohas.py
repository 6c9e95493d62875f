"""AutoHAS against random search at equal gradient steps, and against the whole grid.

    python -m dev.evidence.search.autohas             all, then docs/evidence/search_autohas.json
    python -m dev.evidence.search.autohas --develop   four other seeds, printed and not written

Question  does AutoHAS name values whose fully trained net is better, on test digits, than the one
          that random search names after as many gradient steps?
Data      scikit-learn's digits: 700 for training, 300 for validation, 797 for test
Net       64-64-10, plain SGD, batches of 64; rate 1e-4 … 10 and weight decay 0 … 1e-2, 24 pairs
Grid      each pair is trained for 400 steps with each seed once; its worth is the mean accuracy on
          test over the seeds, its score of one seed the loss on validation
AutoHAS   U = 1 for 150 steps and U = 5 for 400, the likeliest pair, without finalists
Random    draws with replacement, as many as the same updates pay for, the best score wins: replayed
          1,000 times on the grid, so its mean is known well
Regret    the worth of the grid's best pair minus that of the one that was named, in points
Shows     one small net and two values; nothing about architectures, large nets or other data
"""

import argparse
import itertools
import json
import math
import tempfile
import time
from pathlib import Path
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
from dev.evidence.results import RESULTS, write_json
from mmext.data_checks.class_files import read_digits
from mmext.search.autohas.loop import AutoHASLoop

SEEDS, DEVELOPMENT = range(200, 216), range(100, 104)
RATES, DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), (0.0, 1e-4, 1e-3, 1e-2)
PAIRS = tuple(itertools.product(RATES, DECAYS))
FULL = 400
"""Steps of a full training."""

ARMS = {"AutoHAS, U 1": dict(updates=1, steps=150), "AutoHAS, U 5": dict(updates=5, steps=400)}
REPLAYS = 1000
PUBLISHED = ROOT / RESULTS / "search_autohas.json"


class Net(BaseModel):
    """64-64-10."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

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


def splits() -> dict[str, tuple[Tensor, Tensor]]:
    """Training, validation and test: the rows of the file in their order."""
    pictures, labels = read_digits(str(ROOT / "data/digits/digits.csv.gz"))
    inputs = torch.as_tensor(pictures).flatten(1).float() / 255
    targets = torch.as_tensor(labels).long()
    bounds = dict(train=slice(0, 700), val=slice(700, 1000), test=slice(1000, None))
    return {name: (inputs[rows], targets[rows]) for name, rows in bounds.items()}


def net_of(seed: int) -> Net:
    """The weights that every arm of a seed begins with."""
    torch.manual_seed(seed)
    return Net()


def full_training(
    seed: int, rate: float, decay: float, data: dict[str, tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """Loss on validation, infinite if it is no number, and accuracy on test in percent."""
    net = net_of(seed)
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


def named(
    seed: int, updates: int, steps: int, data: dict[str, tuple[Tensor, Tensor]]
) -> tuple[int, int]:
    """The pair that AutoHAS names, and the updates that it took."""
    space = {
        "optim_wrapper.optimizer.lr": dict(basis=list(RATES)),
        "optim_wrapper.optimizer.weight_decay": dict(basis=list(DECAYS)),
    }
    validation = Batches(*data["val"], seed + 1000)
    with tempfile.TemporaryDirectory() as folder:
        runner = BareRunner(net_of(seed), validation, seed, folder)
        training = Batches(*data["train"], seed)
        loop = AutoHASLoop(runner, training, steps, space, updates=updates, finalists=0)
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


def study(seeds: range) -> dict[str, Any]:
    """All numbers."""
    data, began = splits(), time.time()
    grid = np.array([[full_training(seed, *pair, data) for pair in PAIRS] for seed in seeds])
    scores, worth = grid[..., 0], grid[..., 1].mean(0)
    rng, arms = np.random.default_rng(0), {}
    for name, arm in ARMS.items():
        found = [named(seed, data=data, **arm) for seed in seeds]
        regrets = worth.max() - worth[[pair for pair, _ in found]]
        trainings = max(1, round(found[0][1] / FULL))
        arms[name] = dict(
            interval(regrets),
            updates=found[0][1],
            pairs=[PAIRS[pair] for pair, _ in found],
            regrets=regrets.tolist(),
        )
        arms[f"random, {trainings} full trainings"] = dict(
            interval(random_search(scores, worth, trainings, rng)), updates=trainings * FULL
        )
    best = PAIRS[int(worth.argmax())]
    return dict(
        seeds=[seeds[0], seeds[-1]],
        best=dict(pair=best, accuracy=float(worth.max()), updates=len(PAIRS) * FULL),
        worth={f"{lr:g}, {decay:g}": float(v) for (lr, decay), v in zip(PAIRS, worth, strict=True)},
        arms=arms,
        seconds=round(time.time() - began),
        machine=read_machine(),
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--develop", action="store_true", help="other seeds, nothing is written")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = study(DEVELOPMENT if args.develop else SEEDS)
    for name, arm in found["arms"].items():
        print(f"{name}: regret {arm['mean']:.2f} ± {arm['error']:.2f}, worst {arm['worst']:.2f}")
    print(json.dumps(found["best"]))
    if not args.develop:
        Path(PUBLISHED).parent.mkdir(parents=True, exist_ok=True)
        write_json(PUBLISHED, found)
        pages.rewrite()


if __name__ == "__main__":
    main()
