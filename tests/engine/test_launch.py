"""Flags change the config as each host's own tools would."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmext.cli import test, train
from mmext.engine import launch
from mmext.errors import BadInputError


def train_args(*flags: str):
    return train.parse_args(["configs/some.py", *flags])


def train_cfg(**more: object) -> Config:
    return Config(
        dict(optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)), **more)
    )


def test_args(*flags: str):
    return test.parse_args(["configs/some.py", "some.pth", *flags])


test_args.__test__ = False


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what launch sets
        monkeypatch.delenv(name)


def test_the_work_dir_comes_from_the_flag_then_the_config_then_the_name() -> None:
    for flags, given, expected in (
        (("--work-dir", "a"), "b", "a"),
        ((), "b", "b"),
        ((), None, "work_dirs/some"),
    ):
        cfg = train_cfg(work_dir=given)
        launch.configure_training(cfg, train_args(*flags))
        assert cfg.work_dir == expected


def test_seed_flags_win_over_the_config_and_leave_the_rest() -> None:
    cfg = train_cfg(randomness=dict(seed=1, deterministic=True))
    launch.configure_training(cfg, train_args())
    assert cfg.randomness == dict(seed=1, deterministic=True)
    launch.configure_training(cfg, train_args("--seed", "0", "--diff-rank-seed"))
    assert cfg.randomness == dict(seed=0, deterministic=True, diff_rank_seed=True)


def test_validation_can_be_left_out_and_the_rate_scaled() -> None:
    cfg = train_cfg(val_cfg={}, val_dataloader={}, val_evaluator={})
    with pytest.raises(BadInputError, match="base_batch_size"):
        launch.configure_training(cfg, train_args("--auto-scale-lr"))
    cfg.auto_scale_lr = dict(base_batch_size=16, enable=False)
    launch.configure_training(cfg, train_args("--auto-scale-lr", "--no-validate"))
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.auto_scale_lr.enable is True


def eval_cfg(scope: str | None, **more: object) -> Config:
    return Config(
        dict(
            default_scope=scope,
            default_hooks=dict(visualization=dict(type="Vis")),
            visualizer=dict(type="Local"),
            model=dict(type="Net"),
            test_evaluator=dict(type="Metric"),
            test_dataloader=dict(
                dataset=dict(
                    type="Wrapper",
                    dataset=dict(type="Data", pipeline=[dict(type="Load"), dict(type="Pack")]),
                )
            ),
            **more,
        )
    )


@pytest.mark.parametrize(
    ("scope", "place"),
    [
        ("mmdet", "default_hooks.visualization.test_out_dir"),
        ("mmseg", "visualizer.save_dir"),
        ("mmaction", "default_hooks.visualization.out_dir"),
    ],
)
def test_pictures_go_where_the_host_looks(scope: str, place: str) -> None:
    cfg = eval_cfg(scope)
    launch.configure_testing(cfg, test_args("--show-dir", "pictures", "--interval", "7"))
    value = cfg
    for key in place.split("."):
        value = value[key]
    hook = cfg.default_hooks.visualization
    assert value == "pictures"
    assert hook["enable" if scope == "mmaction" else "draw"] is True
    assert (hook.show, hook.interval) == (False, 7)


def test_predictions_are_saved_in_the_host_s_way(tmp_path: Path) -> None:
    for scope, kind in (
        ("mmdet", "mmdet.DumpDetResults"),
        ("mmaction", "DumpResults"),
        (None, "DumpResults"),
    ):
        cfg = eval_cfg(scope)
        launch.configure_testing(cfg, test_args("--out", "x.pkl"))
        assert [metric.type for metric in cfg.test_evaluator] == ["Metric", kind]
        assert cfg.test_evaluator[1].out_file_path == "x.pkl"
    cfg = eval_cfg("mmseg")
    launch.configure_testing(cfg, test_args("--out", "folder"))
    assert (cfg.test_evaluator.output_dir, cfg.test_evaluator.keep_results) == ("folder", True)


def test_test_time_augmentation_flips_by_default_in_detection_only() -> None:
    cfg = eval_cfg("mmdet")
    launch.configure_testing(cfg, test_args("--tta"))
    assert cfg.model.type == "DetTTAModel"
    assert cfg.model.module.type == "Net"
    pipeline = cfg.test_dataloader.dataset.dataset.pipeline
    assert [step["type"] for step in pipeline] == ["Load", "TestTimeAug"]
    with pytest.raises(
        BadInputError, match="--tta expected tta_model and tta_pipeline there, got no tta_model"
    ):
        launch.configure_testing(eval_cfg("mmseg"), test_args("--tta"))
    cfg = eval_cfg("mmseg", tta_model=dict(type="SegTTAModel"), tta_pipeline=[dict(type="Flips")])
    launch.configure_testing(cfg, test_args("--tta"))
    assert cfg.model == dict(type="SegTTAModel", module=dict(type="Net"))
    assert cfg.test_dataloader.dataset.dataset.pipeline == [dict(type="Flips")]
