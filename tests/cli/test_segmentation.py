"""mmseg's own tools and inferencer run our small configs unchanged on real images; so do ours."""

import importlib.util
import math
from pathlib import Path

import cv2
import pytest

from tests.checkout import REPO, run_on_ranks, run_tool
from tests.cli.test_stock_tools import run
from tests.cli.test_train_and_test import ENV, scalars

spec = importlib.util.find_spec("mmseg")
STOCK = Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "tools"
EMA = "configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-600i_stamps.py"
DNL = "configs/segmentation/dnl/dnl_mobilenet-v2_1xb4-600i_stamps.py"
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


def check_log(work_dir: Path) -> None:
    """Three finite steps, each taken once, and an evaluation."""
    rows = scalars(work_dir)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in steps)
    assert any("mIoU" in row for row in rows)


@pytest.mark.skipif(not STOCK.is_dir(), reason="this distribution of mmseg ships no tools")
def test_mmsegs_tools_and_inferencer_run_our_config(
    tmp_path: Path, stamps: Path, mobilenet_weights: Path
) -> None:
    work_dir = tmp_path / "work"
    train = [STOCK / "train.py", EMA, "--work-dir", work_dir, "--cfg-options", *SMALL]
    done = run(*train, "train_cfg.max_iters=2")
    assert done.returncode == 0, done.stderr[-3000:]
    # Without mmext's repair this fails on torch >= 2.6.
    done = run(*train, "train_cfg.max_iters=3", "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    check_log(work_dir)

    weights = work_dir / "iter_3.pth"
    done = run(STOCK / "test.py", EMA, weights, "--work-dir", work_dir, "--cfg-options", *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "mIoU:" in done.stdout + done.stderr

    image = sorted((stamps / "val").iterdir())[0]
    script = tmp_path / "infer.py"
    script.write_text(
        "from mmseg.apis import MMSegInferencer\n"
        f"inferencer = MMSegInferencer({str(REPO / EMA)!r}, {str(weights)!r}, device='cpu')\n"
        f"labels = inferencer({str(image)!r}, "
        f"out_dir={str(tmp_path / 'found')!r})['predictions']\n"
        "print(type(inferencer.model.decode_head).__module__, "
        "*labels.shape, int(labels.max()) < 7)\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "mmext.segmentation.emanet 320 320 True"
    written = sorted(
        str(path.relative_to(tmp_path / "found")) for path in (tmp_path / "found").rglob("*.*")
    )
    assert written == ["pred/00000000_pred.png", f"vis/{image.name}"]


def test_our_tools_train_resume_test_and_draw_beside_the_truth(
    tmp_path: Path, stamps: Path, mobilenet_weights: Path
) -> None:
    work_dir = tmp_path / "work"
    flags = ["--work-dir", work_dir, "--amp", "--resume", "--cfg-options", *SMALL]
    done = run_tool("train.py", DNL, *flags, "train_cfg.max_iters=2", **ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    # frozen stages must not stop it
    run_on_ranks("dist_train.sh", DNL, 2, *flags, "train_cfg.max_iters=3", **ENV)
    check_log(work_dir)

    pictures = tmp_path / "pictures"
    command = [
        "test.py",
        work_dir / Path(DNL).name,
        work_dir / "iter_3.pth",
        "--work-dir",
        work_dir,
    ]
    done = run_tool(
        *command, "--show-dir", pictures, "--interval", "1", "--cfg-options", *SMALL, **ENV
    )
    assert done.returncode == 0, done.stderr[-3000:]
    drawn = sorted(pictures.rglob("*.png"))
    assert len(drawn) == 2
    assert {cv2.imread(str(path)).shape for path in drawn} == {(320, 640, 3)}, (
        "truth left, prediction right"
    )
