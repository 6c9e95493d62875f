"""A task of a second for studies: a line through points, in mmengine alone.

Configs import this module. The dataset turns each point at random, as augmentation does, and a hook
notes down what a run began with and saw: so a test can tell whether two runs are a pair.
"""

import json
import random
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from torch.utils.data import Dataset

CONFIG = """
default_scope = "mmengine"
custom_imports = dict(imports=["tests.dev.toy_task"], allow_failed_imports=False)
model = dict(type="ToyModel", extra=False)
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type="default_collate"))
train_dataloader = dict(
    batch_size=2, sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(type="ToyPoints"), **loader
)
val_dataloader = dict(
    batch_size=4, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ToyPoints"), **loader
)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type="ToyMetric")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=4, val_interval=4)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
custom_hooks = [dict(type="ToyNotes")]
default_hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=4))
"""


@MODELS.register_module()
class ToyModel(BaseModel):
    """A line, and with ``extra`` a second, built first, so it takes the first random numbers."""

    def __init__(self, extra=False):
        super().__init__()
        if extra:
            self.extra = torch.nn.Linear(1, 1)
        self.line = torch.nn.Linear(1, 1)

    def forward(self, index, x, y, mode="loss"):
        found = self.line(x) + (self.extra(x) if hasattr(self, "extra") else 0)
        error = (found - y).abs()
        return (
            {"loss": error.mean()}
            if mode == "loss"
            else [{"error": one} for one in error.flatten()]
        )


@DATASETS.register_module()
class ToyPoints(Dataset):
    """Sixteen points, each moved a little whenever it is looked at."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        x = torch.tensor([index / 16 + random.uniform(0, 0.01) + 0.01 * torch.rand(()).item()])
        return {"index": index, "x": x, "y": 2 * x}


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """One less the mean error."""

    default_prefix = "toy"

    def process(self, data_batch, data_samples):
        self.results += [one["error"].item() for one in data_samples]

    def compute_metrics(self, results):
        return {"score": 1 - sum(results) / len(results)}


@HOOKS.register_module()
class ToyNotes(Hook):
    """Writes what the run began with and saw beside its checkpoint."""

    def before_train(self, runner):
        self.notes = {"start": [one.item() for one in runner.model.line.parameters()], "seen": []}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.notes["seen"] += [data_batch["index"].tolist(), data_batch["x"].flatten().tolist()]

    def after_train(self, runner):
        (Path(runner.work_dir) / "notes.json").write_text(json.dumps(self.notes))
