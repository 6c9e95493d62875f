"""mmdet's own installed tools and its inferencer run our config unchanged."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fresh_process
from tests.checkout import REPO
from tests.cli.test_train_and_test import DEMO, ENV, SMALL, scalars

spec = importlib.util.find_spec("mmdet")
STOCK = Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "tools"


def run(*command: str | Path) -> subprocess.CompletedProcess:
    """Run a script in the repository's folder; torch is imported already."""
    return fresh_process.run_script(*command, cwd=REPO, **ENV)


@pytest.mark.skipif(not STOCK.is_dir(), reason="this distribution of mmdet ships no tools")
def test_mmdets_tools_and_inferencer_run_our_config(
    tmp_path: Path, trees: Path, mobilenet_weights: Path
) -> None:
    work_dir = tmp_path / "work"
    train = [STOCK / "train.py", DEMO, "--work-dir", work_dir, "--cfg-options", *SMALL]
    done = run(*train, "train_cfg.max_iters=2")
    assert done.returncode == 0, done.stderr[-3000:]
    # Without mmext's repair this fails on torch >= 2.6.
    done = run(*train, "train_cfg.max_iters=3", "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = scalars(work_dir)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in steps)
    assert any("coco/bbox_mAP" in row for row in rows)

    done = run(
        STOCK / "test.py",
        DEMO,
        work_dir / "iter_3.pth",
        "--work-dir",
        work_dir,
        "--cfg-options",
        *SMALL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "coco/bbox_mAP_50:" in done.stdout + done.stderr

    image = next((trees / "test").iterdir())
    script = tmp_path / "infer.py"
    script.write_text(
        "import json\n"
        "from mmdet.apis import DetInferencer\n"
        f"inferencer = DetInferencer({str(REPO / DEMO)!r}, "
        f"{str(work_dir / 'iter_3.pth')!r}, device='cpu')\n"
        f"(found,) = inferencer({str(image)!r}, no_save_vis=True)['predictions']\n"
        "print(json.dumps([type(inferencer.model.bbox_head).__module__, found]))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-3000:]
    module, found = json.loads(done.stdout.splitlines()[-1])
    assert module == "mmext.detection.gfl.head"
    assert len(found["bboxes"]) == len(found["scores"]) == len(found["labels"])


MMDETS_OWN = """
_base_ = "mmdet::dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py"

# Nothing of mmext: NMS, RoIAlign and modulated deformable convolutions are mmcv's operators.
model = dict(backbone=dict(init_cfg=None), roi_head=dict(bbox_head=dict(num_classes=1)))
small = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(160, 160), keep_ratio=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
data = dict(
    data_root="{root}/", metainfo=dict(classes=("tree",)), ann_file="annotations/val.json",
    pipeline=small, data_prefix=dict(img="val/"),
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
val_evaluator = dict(ann_file="{root}/annotations/val.json")
test_evaluator = val_evaluator
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=2, val_interval=2)
param_scheduler = []
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2), logger=dict(interval=1))
log_processor = dict(by_epoch=False)
"""


@pytest.mark.skipif(not STOCK.is_dir(), reason="this distribution of mmdet ships no tools")
def test_mmdets_tools_train_and_test_mmdets_own_config_that_does_not_mention_mmext(
    tmp_path: Path, trees: Path
) -> None:
    config = tmp_path / "own.py"
    config.write_text(MMDETS_OWN.replace("{root}", str(trees)))
    assert "mmext" not in MMDETS_OWN.replace("Nothing of mmext", "")
    # As a user has it: the installed mmext, and no checkout on the path.
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONPATH", None)

    def run_apart(*command: str | Path) -> str:
        line = [sys.executable, *map(str, command)]
        done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    run_apart(STOCK / "train.py", config, "--work-dir", tmp_path / "work")
    steps = [row for row in scalars(tmp_path / "work") if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2]
    assert all(math.isfinite(row["loss"]) and row["loss_bbox"] > 0 for row in steps)
    out = run_apart(
        STOCK / "test.py", config, tmp_path / "work" / "iter_2.pth", "--work-dir", tmp_path / "work"
    )
    assert "coco/bbox_mAP" in out
