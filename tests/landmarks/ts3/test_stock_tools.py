"""The hosts' own train and test tools run a config of TS3 as it is: they only build a Runner."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests import fresh_process
from tests.checkout import REPO
from tests.landmarks.ts3 import rig


def tools_of(host):
    spec = importlib.util.find_spec(host)
    return Path(spec.origin if spec and spec.origin else ".").parent / ".mim" / "tools"


@pytest.mark.slow
@pytest.mark.parametrize("host", ["mmdet", "mmseg"])
def test_stock_tools_train_resume_and_test(host, tmp_path):
    tools = tools_of(host)
    if not tools.is_dir():
        pytest.skip(f"this distribution of {host} ships no tools")
    rig.write_faces(tmp_path)
    judge = rig.loader(tmp_path, "unlabeled", chance=False)
    judge["dataset"]["test_mode"] = True
    cfg = rig.run_config(
        tmp_path,
        tmp_path / "work",
        val_dataloader=judge,
        val_cfg={},
        val_evaluator=dict(type="mmext.LandmarkNME", norm="side"),
        test_dataloader=judge,
        test_cfg={},
        test_evaluator=dict(type="mmext.LandmarkNME", norm="side"),
    )
    cfg.dump(tmp_path / "config.py")
    work = ["--work-dir", tmp_path / "work"]

    def run(name, *more):
        done = fresh_process.run_script(tools / name, tmp_path / "config.py", *more, cwd=REPO)
        assert done.returncode == 0, done.stderr[-3000:]

    run("train.py", *work)
    first = (tmp_path / "work/round_2/pseudo.json").read_bytes()
    for number in (7, 8, 9):
        (tmp_path / f"work/iter_{number}.pth").unlink()
    (tmp_path / "work/last_checkpoint").write_text(str(tmp_path / "work/iter_5.pth"))
    run("train.py", *work, "--resume")
    assert (tmp_path / "work/round_2/pseudo.json").read_bytes() == first
    run("test.py", tmp_path / "work/iter_9.pth", *work)
    (found,) = (tmp_path / "work").glob("2*/*.json")  # of the test; the log is off
    assert 0 < json.loads(found.read_text())["landmarks/NME"] < 100
    assert json.loads(first)["round"] == 2
