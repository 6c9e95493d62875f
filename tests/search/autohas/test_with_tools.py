"""Under tools/train.py: a run that is killed and resumed, and a recipe that trains."""

import json

import pytest
from mmengine.config import Config

from tests.checkout import REPO
from tests.fresh_process import run_script

CONFIG = REPO / "configs/search/autohas/autohas-lr_mlp_1xb64-400i_digits.py"
KILLER = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Killer(Hook):
    priority = "LOWEST"
    def after_train_iter(self, runner, **given):
        if runner.iter == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def write_config(folder, name, **changes):
    """The small config on six steps, without processes that load data."""
    loader = dict(num_workers=0, persistent_workers=False)
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(
        dict(
            train_dataloader=loader,
            val_dataloader=loader,
            test_dataloader=loader,
            default_hooks=dict(checkpoint=dict(interval=2)),
            train_cfg=dict(
                max_iters=6, val_interval=6, finalists=2, updates=2, reward="accuracy/top1"
            ),
            randomness=dict(seed=100),
        )
    )
    config.merge_from_dict(changes)
    config.dump(folder / name)
    return folder / name


def train(config, work_dir, *more, folder):
    return run_script(
        REPO / "tools/train.py",
        config,
        "--work-dir",
        work_dir,
        *more,
        cwd=REPO,
        PYTHONPATH=f"{REPO}:{folder}",
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_and_its_recipe_trains(tmp_path):
    (tmp_path / "killer.py").write_text(KILLER)
    whole = train(write_config(tmp_path, "run.py"), tmp_path / "whole", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr[-3000:]
    killed = write_config(
        tmp_path,
        "killed.py",
        custom_hooks=[dict(type="Killer")],
        custom_imports=dict(imports=["mmext", "killer"]),
    )
    assert train(killed, tmp_path / "broken", folder=tmp_path).returncode == -9
    assert not (tmp_path / "broken/autohas.json").exists()
    done = train(tmp_path / "run.py", tmp_path / "broken", "--resume", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        json.loads((tmp_path / name / "autohas.json").read_text()) for name in ("whole", "broken")
    )
    assert first == second
    assert [row["step"] for row in first["curve"]] == list(range(6))
    assert all(0 <= row["reward"] <= 100 for row in first["curve"])  # of accuracy, in percent
    assert any(row["reward"] > 0 for row in first["curve"])

    recipe = tmp_path / "whole/best_recipe.py"
    trained = train(recipe, tmp_path / "recipe", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr[-3000:]
    assert (tmp_path / "recipe/iter_12.pth").is_file()
