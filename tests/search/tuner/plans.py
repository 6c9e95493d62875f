"""Plans of searches whose trainings are fake; no config is read."""

import copy
from pathlib import Path

from mmext.search.tuner import store
from mmext.search.tuner.plan import Plan
from mmext.search.tuner.settings import settle
from mmext.search.tuner.worker import Worker

CFG = dict(
    model=dict(type="Net", depth=2, act=dict(type="ReLU"), neck=None, stages=[dict(width=8)] * 2),
    optim_wrapper=dict(
        type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005)
    ),
    param_scheduler=[dict(type="CosineAnnealingLR", T_max=4), dict(type="LinearLR", end=2)],
    train_dataloader=dict(batch_size=32),
    train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=4),
    behave="train",
    pause=0.0,
)
SCRIPT = str(Path(__file__).parent / "fake_training.py")
LR = {"optim_wrapper.optimizer.lr": dict(type="float", low=1e-4, high=1.0, log=True)}


def plan_of(work_dir, cfg=CFG, **given):
    """A plan; everything that is given is as in ``search = dict(…)``."""
    given = {"space": LR, "objective": "top1", "trials": 6, **given}
    settings = settle({}, {"train_script": SCRIPT, **given})
    work_dir.mkdir(parents=True, exist_ok=True)
    return Plan(settings, "/nowhere/base.py", copy.deepcopy(cfg), copy.deepcopy(cfg), work_dir)


def begin(plan, *, resume=False):
    study = store.begin(plan.settings, plan.space, plan.cfg, plan.work_dir, resume=resume)
    plan.save()
    return study


def done(work_dir, **given):
    """A study, all of whose trials are done by this process; ``cfg`` and ``resume`` as well."""
    resume = given.pop("resume", False)
    plan = plan_of(work_dir, **given)
    study = begin(plan, resume=resume)
    Worker(plan, study, pause=0.05).work()
    return plan, study
