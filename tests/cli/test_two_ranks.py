"""tools/dist_train.sh on two CPU ranks trains like one process on the joined batch."""

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.checkout import REPO, run_on_ranks, run_script

DEMO = REPO / "configs" / "detection" / "gfl" / "gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"

RECORDER = """
import json, os, torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Recorder(Hook):
    def before_train(self, runner):
        if runner.world_size == 1:  # two ranks draw other random weights, so they start from these
            weights = dict(state_dict=runner.model.state_dict())
            torch.save(weights, os.path.join(os.environ["RECORDS"], "start.pth"))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        row = {name: float(value) for name, value in outputs.items()}
        row["images"] = [sample.img_id for sample in data_batch["data_samples"]]
        name = f"{runner.world_size}-{runner.rank}.jsonl"
        with open(os.path.join(os.environ["RECORDS"], name), "a") as file:
            file.write(json.dumps(row) + "\\n")
"""

# SGD, since AdamW's first steps have the size of lr whatever the gradient and so enlarge rounding.
# The paper's normaliser, since a floor of 1 clamps a mean over ranks differently than a sum.
CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=["mmext", "recorder"], allow_failed_imports=False)
custom_hooks = [dict(type="Recorder")]
train_cfg = dict(max_iters=3, val_interval=100)
optim_wrapper = dict(
    _delete_=True, type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9)
)
param_scheduler = []
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(
    batch_size={batch_size},
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=False),
    dataset=dict(pipeline=train_pipeline),
)
model = dict(bbox_head=dict(avg_factor_floor="paper"))
default_hooks = dict(checkpoint=dict(interval=3), logger=dict(interval=1))
"""


@pytest.fixture
def other_job():
    """Another job of this machine, which meets where all jobs used to meet."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else has it: as good
            one.bind(("", 29500))
            one.listen()
        yield


def records(folder: Path, world: int, rank: int) -> list[dict]:
    return [
        json.loads(line) for line in (folder / f"{world}-{rank}.jsonl").read_text().splitlines()
    ]


@pytest.fixture
def configs(tmp_path: Path, trees: Path, mobilenet_weights: Path) -> dict[int, Path]:
    """A config for one process and one for two ranks that see the same images."""
    (tmp_path / "recorder.py").write_text(RECORDER)
    paths = {world: tmp_path / f"on_{world}.py" for world in (1, 2)}
    for world, path in paths.items():
        path.write_text(CONFIG.format(base=str(DEMO), batch_size=2 // world))
    return paths


def test_two_ranks_equal_one_process_on_the_joined_batch(
    tmp_path: Path, configs: dict[int, Path], other_job: None
) -> None:
    env = {
        "PYTHONPATH": f"{REPO}{os.pathsep}{tmp_path}",
        "RECORDS": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    flags = ["--seed", "0", "--no-validate"]
    one = run_script("train.py", configs[1], "--work-dir", tmp_path / "one", *flags, **env)
    assert one.returncode == 0, one.stderr[-3000:]
    # As a job that may be stopped at any time is started: --resume keeps the start while nothing is
    # saved.
    flags += ["--work-dir", str(tmp_path / "two"), "--resume"]
    flags += ["--cfg-options", f"load_from={tmp_path / 'start.pth'}"]
    said = run_on_ranks("dist_train.sh", configs[2], 2, *flags, **env)
    assert "mmext: 2 ranks over gloo on CPU" in said

    alone = records(tmp_path, 1, 0)
    ranks = [records(tmp_path, 2, rank) for rank in (0, 1)]
    assert len(alone) == len(ranks[0]) == len(ranks[1]) == 3
    for joined, first, second in zip(alone, *ranks, strict=True):
        assert joined.pop("images") == first.pop("images") + second.pop("images")
        assert (
            joined.keys()
            == first.keys()
            == second.keys()
            >= {"loss", "loss_cls", "loss_bbox", "loss_dfl"}
        )
        for name, value in joined.items():
            assert (first[name] + second[name]) / 2 == pytest.approx(value, rel=2e-4, abs=1e-6), (
                name
            )
    assert any(a["loss"] != b["loss"] for a, b in zip(*ranks, strict=True)), (
        "each rank must have its own image"
    )
    assert alone[0]["loss"] != alone[2]["loss"], "the weights must have moved"

    weights = [
        torch.load(tmp_path / name / "iter_3.pth", weights_only=False)["state_dict"]
        for name in ("one", "two")
    ]
    assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)
