"""Rows of AutoHAS: one step of four candidates against four plain training steps.

``step`` searches what the optimiser alone reads with one update a candidate, so that all share a
backward pass; ``five_updates`` trains each candidate for five, against twenty plain steps. Both
sides have the same net, SGD with momentum and batches of 64. The target is 1.3 of the time, and
one more copy of parameters and state in memory.
"""

import itertools
import tempfile
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmext.classification.stack.samples import ClsDataSample
from mmext.registry import MODELS
from mmext.search.autohas.loop import AutoHASLoop

from .cases import Case

K, BATCH = 4, 64
NET = dict(
    type="mmext.ImageClassifier",
    backbone=dict(type="mmext.SmallConvNet", channels=(32, 64, 128)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=128,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)


class Batches:
    """The same batch for ever."""

    sampler = batch_sampler = None
    batch_size = BATCH

    def __init__(self) -> None:
        labels = torch.randint(0, 10, (BATCH,)).tolist()
        samples = [ClsDataSample() for _ in labels]
        for sample, label in zip(samples, labels, strict=True):
            sample.set_gt_label(label)
        pictures = list(torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8))
        self.batch = dict(inputs=pictures, data_samples=samples)
        self.dataset = SimpleNamespace()

    def __iter__(self) -> Any:
        return itertools.repeat(self.batch)


class BareRunner(Runner):
    """What the loop needs of a Runner."""

    val_loop, seed, timestamp = None, 0, "config"  # in place of properties

    def __init__(self, model: Any, optim_wrapper: OptimWrapper) -> None:
        self.model, self.optim_wrapper = model, optim_wrapper
        self.cfg = Config(dict(val_dataloader=dict(dataset={})))
        self.visualizer, self._work_dir = SimpleNamespace(), tempfile.gettempdir()

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """None is called."""

    def call_hook(self, name: str, **given: Any) -> None:
        """None is there."""

    def build_dataloader(self, dataloader: Any, seed: Any = None, **given: Any) -> Any:
        """The same batch for validation."""
        return Batches()


def _case(side: str, updates: int) -> Case:
    model = MODELS.build(NET).to(torch.get_default_device())  # its preprocessor is told by that
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    wrapper, batches = OptimWrapper(sgd), Batches()
    if side == "upstream":

        def plain() -> None:
            for _ in range(K * updates):
                model.train_step(batches.batch, wrapper)

        return Case(lambda: model.train_step(batches.batch, wrapper), plain)
    # Four rates of equal effect, so that the draws are four candidates in nearly every step.
    rates = [0.01 * (1 + i / 1000) for i in range(64)]
    space = {"optim_wrapper.optimizer.lr": dict(basis=rates)}
    loop = AutoHASLoop(
        BareRunner(model, wrapper),
        batches,
        10**6,
        space,
        candidates=K,
        updates=updates,
        finalists=0,
        controller=dict(learning_rate=1e-9),
    )
    loop._prepare()
    return Case(loop.run_iter, loop.run_iter)


def step(side: str) -> Case:
    """U = 1: one backward pass and four updates, against four plain steps."""
    return _case(side, 1)


def five_updates(side: str) -> Case:
    """U = 5: twenty updates on both sides."""
    return _case(side, 5)
