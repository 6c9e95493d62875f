"""The loops without a Runner: a net on digits in memory, which takes milliseconds a step."""

from functools import cache
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
from torch import nn

from mmext.data_checks.class_files import read_digits
from mmext.search.autohas.loop import AutoHASLoop
from tests.checkout import REPO

LR = "optim_wrapper.optimizer.lr"
RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
BEST = RATES.index(1.0)
"""Fully trained the six give accuracies of .120, .159, .625, .936, .962 and .101."""


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = read_digits(str(REPO / "data/digits/digits.csv.gz"))
    return torch.as_tensor(pictures).flatten(1).float() / 255, torch.as_tensor(labels).long()


class Net(BaseModel):
    """64-64-10; the loss's weight, and noise that is drawn in training, can be set."""

    def __init__(self, layers: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = layers or nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.loss_weight = 1.0
        self.deaf = 1.0
        self.noise = 0.0

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor, mode: str = "loss") -> Any:
        if self.training and self.noise:
            inputs = inputs + self.noise * torch.randn_like(inputs)
        scores = self.layers(inputs)
        if mode == "predict":
            return list(scores.argmax(1) == labels)
        return dict(loss=self.loss_weight * F.cross_entropy(scores, labels))


class Batches:
    """Batches of a part of the digits, shuffled anew in each round, as a data loader gives them."""

    sampler = batch_sampler = None

    def __init__(self, start: int, stop: int, batch_size: int, seed: int) -> None:
        self.batch_size, self.dataset, self._rows = batch_size, SimpleNamespace(), (start, stop)
        self._rng = np.random.default_rng([seed, start])

    def __iter__(self):
        inputs, labels = digits()
        order = self._rng.permutation(np.arange(*self._rows))
        for at in range(0, len(order) - self.batch_size + 1, self.batch_size):
            rows = order[at : at + self.batch_size]
            yield dict(inputs=inputs[rows], labels=labels[rows])


class SmallRunner(Runner):
    """What a loop needs of a Runner."""

    val_loop, seed, work_dir, timestamp = None, 0, "", "config"  # in place of properties

    def __init__(self, work_dir: Path, seed: int, *, model: nn.Module, optimiser: Any) -> None:
        self.work_dir, self.seed, self.model = str(work_dir), seed, model
        self.optim_wrapper = optimiser or OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
        self.cfg = Config(
            dict(
                optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
                val_dataloader=dict(dataset={}),
            )
        )
        self.visualizer = SimpleNamespace()
        self._hooks: list[Any] = []
        self.outputs: list[dict] = []

    def register_hook(self, hook: Any, priority: str) -> None:
        self._hooks.append(hook)

    def call_hook(self, name: str, **given: Any) -> None:
        if name == "after_train_iter":
            self.outputs.append(given["outputs"])

    def build_dataloader(self, config: dict, seed: int) -> Batches:
        return Batches(700, 1000, config["batch_size"], seed)


def loop_of(
    work_dir: Path,
    *,
    seed: int = 100,
    steps: int = 4,
    space: dict | None = None,
    model: nn.Module | None = None,
    optimiser: Any = None,
    kind: type = AutoHASLoop,
    **options: Any,
) -> Any:
    """A loop, ready to run."""
    torch.manual_seed(seed)
    model = model or Net()
    runner = SmallRunner(
        work_dir, seed, model=model, optimiser=optimiser(model) if optimiser else None
    )
    space = {LR: dict(basis=RATES)} if space is None else space
    options = dict(finalists=0) | options
    return kind(runner, Batches(0, 700, 64, seed), steps, space, **options)


def full_training(lr: float, seed: int = 100, steps: int = 400) -> float:
    """Accuracy on the test digits of the same net, trained with one rate."""
    torch.manual_seed(seed)
    net, batches = Net(), Batches(0, 700, 64, seed)
    sgd, done = torch.optim.SGD(net.parameters(), lr=lr), 0
    while done < steps:
        for batch in batches:
            if done == steps:
                break
            sgd.zero_grad()
            net(**batch)["loss"].backward()
            sgd.step()
            done += 1
    inputs, labels = (one[1000:] for one in digits())
    with torch.no_grad():
        return torch.stack(net(inputs, labels, "predict")).float().mean().item()
