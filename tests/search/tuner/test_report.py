"""SearchReportHook: what an evaluation found, one line of JSON each."""

import json

import numpy as np
import torch
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmext.registry import HOOKS
from mmext.search.tuner import SearchReportHook


def runner(loop):
    made = object.__new__(Runner)
    made._train_loop, made.model = loop, torch.nn.Linear(3, 2)
    return made


def loop_of(cls, **values):
    loop = object.__new__(cls)
    vars(loop).update(values)
    return loop


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_it_counts_epochs_where_the_loop_does(tmp_path):
    hook = HOOKS.build(dict(type="mmext.SearchReportHook", file=str(tmp_path / "new" / "r.jsonl")))
    assert type(hook) is SearchReportHook
    epochs = runner(loop_of(EpochBasedTrainLoop, _epoch=2, _max_epochs=8, _iter=99))
    hook.before_train(epochs)
    hook.after_val_epoch(epochs, {"top1": np.float32(50), "loss": torch.tensor(0.5), "table": "x"})
    hook.after_train(epochs)
    assert lines(hook.file) == [
        {"params": 8},
        {"step": 2, "of": 8, "metrics": {"top1": 50.0, "loss": 0.5}},
        {"done": True},
    ]


def test_it_counts_iterations_where_the_loop_does(tmp_path):
    hook = SearchReportHook(str(tmp_path / "r.jsonl"))
    hook.after_val_epoch(
        runner(loop_of(IterBasedTrainLoop, _iter=100, _max_iters=800, _epoch=0)), {"nan": np.nan}
    )
    (line,) = lines(hook.file)
    assert (line["step"], line["of"]) == (100, 800)
    assert np.isnan(line["metrics"]["nan"])
