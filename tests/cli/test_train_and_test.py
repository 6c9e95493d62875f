"""tools/train.py, tools/test.py end to end: train, stop, resume, evaluate on a few real tiles."""

import json
import math
import pickle
from pathlib import Path

from tests.checkout import REPO, run_script, run_tool

DEMO = "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
ENV = {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
SMALL = [
    "train_dataloader.batch_size=2",
    "train_dataloader.dataset.indices=6",
    "val_dataloader.dataset.indices=1",
    "test_dataloader.dataset.indices=1",
    *(
        f"{split}_dataloader.{key}"
        for split in ("train", "val", "test")
        for key in ("num_workers=0", "persistent_workers=False")
    ),
    "default_hooks.logger.interval=1",
    "default_hooks.checkpoint.interval=2",
    "train_cfg.val_interval=2",
    "model.test_cfg.score_thr=0.0",  # so that a detector of two iterations finds something
]


def scalars(work_dir: Path) -> list[dict]:
    """Everything that the runs in a work dir have logged, in order of time."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_training_goes_on_where_it_stopped_and_the_result_is_evaluated(
    tmp_path: Path, trees: Path, mobilenet_weights: Path
) -> None:
    work_dir = tmp_path / "work dir"  # with a space, as people have them
    train = ["train.py", DEMO, "--work-dir", work_dir, "--amp", "--seed", "1", "--resume"]

    first = run_script(*train, "--cfg-options", *SMALL, "train_cfg.max_iters=2", **ENV)
    assert first.returncode == 0, first.stderr[-3000:]
    assert (work_dir / "last_checkpoint").read_text().endswith("iter_2.pth")

    second = run_tool(*train, "--cfg-options", *SMALL, "train_cfg.max_iters=4", **ENV)
    assert second.returncode == 0, second.stderr[-3000:]
    rows = scalars(work_dir)
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4], "the second run must not begin again"
    assert all(math.isfinite(row["loss"]) for row in steps)
    order = [
        "train" if "loss" in row else "val"
        for row in rows
        if "loss" in row or "coco/bbox_mAP" in row
    ]
    assert order == ["train", "train", "val"] * 2

    out, pictures = tmp_path / "predictions.pkl", "pictures"
    # The saved config, so that it is proven to hold all that a later run needs.
    command = [
        "test.py",
        work_dir / Path(DEMO).name,
        work_dir / "iter_4.pth",
        "--work-dir",
        work_dir,
    ]
    more = ["--tta", "--out", out, "--show-dir", pictures, "--cfg-options", *SMALL]
    third = run_tool(*command, *more, **ENV)
    assert third.returncode == 0, third.stderr[-3000:]
    (sample,) = pickle.loads(out.read_bytes())
    assert len(sample["pred_instances"]["bboxes"]) == len(sample["pred_instances"]["scores"]) > 0
    assert list(work_dir.glob(f"*/{pictures}/*.png"))
    metrics = [json.loads(file.read_text()) for file in work_dir.glob("*/*.json")]
    assert any("coco/bbox_mAP_50" in one for one in metrics)
