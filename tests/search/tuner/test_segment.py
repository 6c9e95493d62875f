"""SearchSegmentHook: two parts are one training, and the second one may have other values."""

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import mmext.registry  # noqa: F401  torch reads what mmengine saves
from mmext.errors import BadInputError
from mmext.search.tuner import SearchSegmentHook
from mmext.search.tuner.runs import STATE
from mmext.search.tuner.segment import require_same_shapes


class Line(BaseModel):
    """A slope that is fitted to 3."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, mode="loss"):
        return dict(loss=((self.slope * x - 3 * x) ** 2).mean()) if mode == "loss" else [0]


class Metric(BaseMetric):
    """The same at any time."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {"top1": 1.0}


def trained(work_dir, *, until=4, lr=0.1, momentum=0.9, parent=None, iters=False, model=None):
    """Rates at each step, and the Runner."""
    rates = []

    class Watch(SearchSegmentHook):
        def before_train_iter(self, runner, **_):
            group = runner.optim_wrapper.param_groups[0]
            rates.append((group["lr"], group["momentum"]))

    loader = DataLoader([{"x": n / 3} for n in range(4)], batch_size=2)
    schedule = dict(type="CosineAnnealingLR", begin=0, by_epoch=not iters)
    loop = dict(by_epoch=not iters, val_interval=1, **{"max_iters" if iters else "max_epochs": 4})
    runner = Runner(
        model or Line(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=lr, momentum=momentum)),
        param_scheduler=[schedule],
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=Evaluator(Metric()),
        default_hooks=dict(checkpoint=None, logger=None),
        custom_hooks=[Watch(until)],
        load_from=str(parent / STATE) if parent else None,
        resume=parent is not None,
        experiment_name=str(work_dir),
        randomness=dict(seed=0),
        log_level="ERROR",
    )
    runner.train()
    return rates, runner


@pytest.mark.parametrize("iters", [False, True])
def test_two_parts_are_one_training(tmp_path, iters):
    whole, one = trained(tmp_path / "whole", iters=iters)
    first, _ = trained(tmp_path / "first", until=2, iters=iters)
    second, two = trained(tmp_path / "second", parent=tmp_path / "first", iters=iters)
    assert torch.equal(torch.tensor(first + second), torch.tensor(whole))
    assert len(second) == len(whole) // 2
    assert torch.equal(one.model.slope, two.model.slope)


def test_the_second_part_has_its_own_values(tmp_path):
    """The schedule keeps its form, and the moments what they were."""
    whole, _ = trained(tmp_path / "whole", lr=0.03, momentum=0.5)
    trained(tmp_path / "first", until=2, lr=0.1)
    second, _ = trained(tmp_path / "second", lr=0.03, momentum=0.5, parent=tmp_path / "first")
    torch.testing.assert_close(torch.tensor(second), torch.tensor(whole[4:]))


def test_another_architecture_is_refused():
    net, wider = torch.nn.Linear(2, 3).state_dict(), torch.nn.Linear(2, 4).state_dict()
    require_same_shapes(net, net)
    with pytest.raises(BadInputError, match=r"bias: expected .* shape \(4,\), .* got \(3,\); sea"):
        require_same_shapes(net, wider)
    with pytest.raises(BadInputError, match=r"weight: expected .* None, .* got \(3, 2\)"):
        require_same_shapes(net, {"bias": net["bias"]})
