"""DetectoRS, GFL, weighting network and optimiser in one config: two ranks, resumed, evaluated."""

import math
from pathlib import Path

import pytest

from tests.checkout import run_on_ranks, run_script
from tests.cli.test_train_and_test import ENV, SMALL, scalars

CONFIG = (
    "configs/detection/sample_weighting/"
    "swn-detectors_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py"
)
FEW = [option for option in SMALL if "score_thr" not in option] + [
    "model.test_cfg.rcnn.score_thr=0.0"
]


@pytest.mark.slow
def test_three_papers_in_one_config_train_on_two_ranks_resume_and_are_evaluated(
    tmp_path: Path, stamps: Path, mobilenet_weights: Path
) -> None:
    work_dir = tmp_path / "work"
    flags = ["--work-dir", work_dir, "--resume", "--no-validate", "--cfg-options", *FEW]
    for end in (2, 3):
        out = run_on_ranks("dist_train.sh", CONFIG, 2, *flags, f"train_cfg.max_iters={end}", **ENV)
        assert "mmext: 2 ranks over gloo on CPU" in out
    steps = [row for row in scalars(work_dir) if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3], "the second run must not begin again"
    assert all(
        math.isfinite(row[name]) for row in steps for name in ("rpn_loss_dfl", "loss_swn_reg")
    )

    command = ["test.py", CONFIG, work_dir / "iter_3.pth", "--work-dir", work_dir]
    done = run_script(*command, "--cfg-options", *FEW, **ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "coco/bbox_mAP:" in done.stdout + done.stderr
