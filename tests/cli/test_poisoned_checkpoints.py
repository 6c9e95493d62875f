"""mmdet's installed tools refuse a checkpoint that wants to run code, and nothing of it runs."""

import os
from pathlib import Path

import pytest
import torch

from tests.cli.test_stock_tools import STOCK, run
from tests.cli.test_train_and_test import DEMO, SMALL

pytestmark = pytest.mark.skipif(
    not STOCK.is_dir(), reason="this distribution of mmdet ships no tools"
)


class Runs:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def poison(tmp_path: Path) -> Path:
    """A checkpoint that would leave a file called canary beside it."""
    file = tmp_path / "poison.pth"
    meta = dict(iter=1, epoch=0, evil=Runs(tmp_path / "canary"))
    torch.save(
        dict(state_dict=dict(a=torch.ones(1)), meta=meta, message_hub={}, optimizer={}), file
    )
    return file


@pytest.mark.parametrize("way", ["test", "resume", "load_from"])
def test_mmdets_tools_refuse_a_poisoned_checkpoint(
    tmp_path: Path, trees: Path, mobilenet_weights: Path, poison: Path, way: str
) -> None:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    common = (DEMO, "--work-dir", work_dir, "--cfg-options", *SMALL)
    if way == "test":
        done = run(STOCK / "test.py", DEMO, poison, *common[1:])
    elif way == "resume":
        (work_dir / "last_checkpoint").write_text(str(poison))
        done = run(STOCK / "train.py", DEMO, "--resume", *common[1:])
    else:
        done = run(STOCK / "train.py", *common, f"load_from={poison}")
    assert done.returncode != 0
    assert f"{poison}: refused before anything of it ran" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "canary").exists()


def test_mmdets_inferencers_refuse_a_poisoned_checkpoint(
    tmp_path: Path, mobilenet_weights: Path, poison: Path
) -> None:
    stored = tmp_path / "stored.pth"
    text = f"open({str(tmp_path / 'canary')!r}, 'w')"
    torch.save(dict(state_dict={}, message_hub=dict(runtime_info=dict(cfg=text))), stored)
    script = tmp_path / "infer.py"
    script.write_text(
        "import mmext\n"
        "from mmdet.apis import DetInferencer, init_detector\n"
        "def attempt(build):\n"
        "    try:\n"
        "        build()\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        f"attempt(lambda: DetInferencer({DEMO!r}, {str(poison)!r}, device='cpu'))\n"
        f"attempt(lambda: init_detector({DEMO!r}, {str(poison)!r}, device='cpu'))\n"
        f"attempt(lambda: DetInferencer(weights={str(stored)!r}, scope='mmdet', device='cpu'))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"{poison}: refused before anything of it ran") == 2
    assert (
        f"{stored}: refused before anything of it ran, expected data, got a config" in done.stdout
    )
    assert not (tmp_path / "canary").exists()
