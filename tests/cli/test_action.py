"""mmaction2's tools and inferencer run our small config as it is on real clips and a real video."""

import importlib.util
import math
from pathlib import Path

import pytest

from tests.checkout import REPO, run_script, run_tool
from tests.cli.test_stock_tools import run
from tests.cli.test_train_and_test import ENV, scalars

spec = importlib.util.find_spec("mmaction")
STOCK = Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "tools"
STM = "configs/action/stm/stm_r14_1xb8-800i_motion.py"
SMALL = [
    "train_dataloader.batch_size=2",
    "train_dataloader.dataset.indices=6",
    "val_dataloader.dataset.indices=2",
    "test_dataloader.dataset.indices=2",
    *(
        f"{split}_dataloader.{key}"
        for split in ("train", "val", "test")
        for key in ("num_workers=0", "persistent_workers=False")
    ),
    "default_hooks.logger.interval=1",
    "default_hooks.checkpoint.interval=2",
    "train_cfg.val_interval=2",
]


@pytest.fixture(scope="module")
def clips() -> Path:
    """The folder of the clips of camera motion."""
    result = run_script("data/camera_motion.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "camera_motion"


def check_log(work_dir: Path) -> None:
    """Three finite steps, each taken once, and an evaluation."""
    rows = scalars(work_dir)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in steps)
    assert any("acc/top1" in row for row in rows)


@pytest.mark.skipif(not STOCK.is_dir(), reason="this distribution of mmaction2 ships no tools")
def test_mmactions_tools_and_inferencer_run_our_config(
    tmp_path: Path, clips: Path, bikes: Path
) -> None:
    work_dir = tmp_path / "work"
    train = [STOCK / "train.py", STM, "--work-dir", work_dir, "--cfg-options", *SMALL]
    done = run(*train, "train_cfg.max_iters=2")
    assert done.returncode == 0, done.stderr[-3000:]
    # Without mmext's repair this fails on torch >= 2.6.
    done = run(*train, "train_cfg.max_iters=3", "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    check_log(work_dir)

    weights = work_dir / "iter_3.pth"
    done = run(STOCK / "test.py", STM, weights, "--work-dir", work_dir, "--cfg-options", *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "acc/top1:" in done.stdout + done.stderr

    script = tmp_path / "infer.py"
    script.write_text(
        "import mmext  # first: without it mmaction2's wheel cannot be imported\n"
        "from mmaction.apis import MMAction2Inferencer\n"
        f"inferencer = MMAction2Inferencer({str(REPO / STM)!r}, {str(weights)!r}, device='cpu')\n"
        f"scores = inferencer({str(bikes)!r})['predictions'][0]['rec_scores'][0]\n"
        "backbone = inferencer.actionrecog_inferencer.model.backbone\n"
        "print(type(backbone).__module__, len(scores), round(sum(scores), 3))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "mmext.action.stm.backbone 7 1.0"


def test_our_tools_train_resume_and_test(tmp_path: Path, clips: Path) -> None:
    work_dir = tmp_path / "work"
    train = ["train.py", STM, "--work-dir", work_dir, "--resume", "--cfg-options", *SMALL]
    for end in (2, 3):
        done = run_tool(*train, f"train_cfg.max_iters={end}", **ENV)
        assert done.returncode == 0, done.stderr[-3000:]
    check_log(work_dir)
    command = [
        "test.py",
        work_dir / Path(STM).name,
        work_dir / "iter_3.pth",
        "--work-dir",
        work_dir,
    ]
    done = run_tool(*command, "--cfg-options", *SMALL, **ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "acc/top1:" in done.stdout + done.stderr
