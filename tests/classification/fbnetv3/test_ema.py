"""configs/_base_/ema.py switches on mmengine's own hook, whose behaviour is pinned here."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.testing import assert_close
from torch.utils.data import Dataset

from tests.contract.parts import ROOT

MOMENTUM = 0.3  # the real one would show nothing in a few steps


class Toy(BaseModel):
    """A norm, whose statistics move, and one layer."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.layer = nn.Linear(3, 1)

    def forward(self, x, mode):
        out = self.layer(self.norm(x))
        return dict(loss=out.square().mean()) if mode == "loss" else out


class Noise(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        x = torch.randn(3, generator=torch.Generator().manual_seed(index)) + index / 10
        return dict(x=x)


def train(work_dir, iterations, *, update_buffers, resume=False):
    """A run, and the live model after each step."""
    hook = Config.fromfile(ROOT / "configs/_base_/ema.py").custom_hooks[0]
    assert hook == dict(type="EMAHook", momentum=2e-4, update_buffers=True)
    torch.manual_seed(0)
    model, seen = Toy(), []
    runner = Runner(
        model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Noise(),
            batch_size=4,
            num_workers=0,
            collate_fn=dict(type="default_collate"),
            sampler=dict(type="DefaultSampler", shuffle=False),
        ),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9)),
        custom_hooks=[{**hook, "momentum": MOMENTUM, "update_buffers": update_buffers}],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3), logger=None
        ),
        default_scope="mmengine",
        experiment_name=f"{work_dir.name}-{iterations}",
        resume=resume,
        log_level="ERROR",
    )
    step = model.train_step

    def watched(*args, **kwargs):
        logs = step(*args, **kwargs)
        seen.append(copy.deepcopy(model.state_dict()))
        return logs

    model.train_step = watched
    runner.train()
    (hook,) = (one for one in runner.hooks if type(one).__name__ == "EMAHook")
    return hook.ema_model.module.state_dict(), seen


@pytest.mark.parametrize("update_buffers", [True, False])
def test_the_average_is_what_its_formula_says(update_buffers, tmp_path):
    averaged, seen = train(tmp_path, 6, update_buffers=update_buffers)
    mu, t = MOMENTUM, len(seen)
    assert t == 6
    for name, found in averaged.items():
        last = seen[-1][name]
        if not found.is_floating_point():
            # A counter cannot be mixed: it stays as the first update copied it.
            assert torch.equal(found, seen[0][name] if update_buffers else last)
            continue
        # The first update copies: the weights after the first step.
        want = (1 - mu) ** (t - 1) * seen[0][name]
        want = want + sum(mu * (1 - mu) ** (t - i) * seen[i - 1][name] for i in range(2, t + 1))
        if name.startswith("norm.running") and not update_buffers:
            want = last
        assert_close(found, want, rtol=0, atol=1e-6)
        assert not torch.equal(seen[0][name], last)  # else anything would do


def test_resuming_is_bit_equal(tmp_path):
    whole, _ = train(tmp_path / "whole", 6, update_buffers=True)
    train(tmp_path / "cut", 3, update_buffers=True)
    found, seen = train(tmp_path / "cut", 6, update_buffers=True, resume=True)
    assert len(seen) == 3
    assert_close(found, whole, rtol=0, atol=0)
