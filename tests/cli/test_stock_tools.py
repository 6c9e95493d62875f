"""mmdet's own installed tools and its inferencer run our config unchanged."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import REPO
from tests.cli.test_train_and_test import DEMO, ENV, SMALL, scalars

spec = importlib.util.find_spec("mmdet")
STOCK = Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "tools"


def run(*command: str | Path) -> subprocess.CompletedProcess:
    line = [sys.executable, *map(str, command)]
    return subprocess.run(line, cwd=REPO, env={**os.environ, **ENV}, capture_output=True, text=True)


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
        STOCK / "test.py", DEMO, work_dir / "iter_3.pth", "--work-dir", work_dir, "--cfg-options", *SMALL
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "coco/bbox_mAP_50:" in done.stdout + done.stderr

    image = next((trees / "test").iterdir())
    script = tmp_path / "infer.py"
    script.write_text(
        "import json\n"
        "from mmdet.apis import DetInferencer\n"
        f"inferencer = DetInferencer({str(REPO / DEMO)!r}, {str(work_dir / 'iter_3.pth')!r}, device='cpu')\n"
        f"(found,) = inferencer({str(image)!r}, no_save_vis=True)['predictions']\n"
        "print(json.dumps([type(inferencer.model.bbox_head).__module__, found]))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-3000:]
    module, found = json.loads(done.stdout.splitlines()[-1])
    assert module == "mmext.detection.gfl.head"
    assert len(found["bboxes"]) == len(found["scores"]) == len(found["labels"])
