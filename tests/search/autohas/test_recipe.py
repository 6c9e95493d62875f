"""best_recipe.py: the smallest change of a config, which mmengine reads back."""

import json
from pathlib import Path

from mmengine.config import Config

from mmext.search.autohas.recipe import changes
from tests.search.autohas.small_run import LR, loop_of

CHOICE = dict(type="mmext.Choice", choices=[dict(type="A"), dict(type="B", width=2)])


def test_a_value_a_module_and_an_entry_of_a_list():
    config = dict(
        model=dict(backbone=CHOICE, heads=[dict(weight=1.0), dict(weight=1.0)], other=3),
        optim_wrapper=dict(optimizer=dict(lr=0.1)),
    )
    found = changes(
        config,
        {
            "optim_wrapper.optimizer.weight_decay": 0.5,
            "model.backbone": 1,
            "model.heads.1.weight": 2.0,
        },
    )
    assert found == dict(
        optim_wrapper=dict(optimizer=dict(weight_decay=0.5)),
        model=dict(
            backbone=dict(_delete_=True, type="B", width=2),
            heads=[dict(weight=1.0), dict(weight=2.0)],
        ),
    )
    assert config["model"]["heads"][1]["weight"] == 1.0


def test_the_file_is_a_config_on_top_of_the_runs_own(tmp_path: Path):
    folder = tmp_path / "work dir"
    folder.mkdir()
    loop = loop_of(folder, steps=3)
    loop.run()
    own = dict(
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        train_cfg=dict(type="mmext.AutoHASLoop", max_iters=3),
    )
    Config(own).dump(folder / "config.py")
    read = Config.fromfile(folder / "best_recipe.py")
    found = json.loads((folder / "autohas.json").read_text())
    assert read.optim_wrapper.optimizer == dict(type="SGD", lr=found["values"][LR], momentum=0.9)
    assert read.train_cfg == dict(type="IterBasedTrainLoop", max_iters=15, val_interval=15)
    assert read.autohas["probabilities"][LR] == found["probabilities"][LR]
    assert [row["step"] for row in read.autohas["curve"]] == [0, 1, 2]
    assert 1e-4 < found["mix"][LR] < 10
    assert (folder / "autohas.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "best_recipe.py").read_text().startswith('"""Found by AutoHAS in 3 steps.')
