"""Flags change the config as each host's own tools would; ranks are named as torch expects."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS

from mmext.engine import launch
from mmext.errors import BadInputError

CPU = not torch.cuda.is_available()


def train_args(*flags: str):
    parser = launch.parser("test")
    parser.add_argument("--resume", nargs="?", const="auto")
    for flag in ("--amp", "--auto-scale-lr", "--no-validate", "--diff-rank-seed", "--deterministic"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--seed", type=int)
    return parser.parse_args(["configs/some.py", *flags])


def train_cfg(**more: object) -> Config:
    return Config(dict(optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)), **more))


def test_args(*flags: str):
    parser = launch.parser("test")
    for flag in ("--out", "--show-dir"):
        parser.add_argument(flag)
    for flag in ("--show", "--tta"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--interval", type=int)
    parser.add_argument("--wait-time", type=float, default=2)
    args = parser.parse_args(["configs/some.py", *flags])
    args.checkpoint = "some.pth"
    return args


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


def test_resume_with_and_without_a_file() -> None:
    cfg = train_cfg(load_from="pretrained.pth")
    launch.configure_training(cfg, train_args())
    assert (cfg.get("resume"), cfg.load_from) == (None, "pretrained.pth")
    launch.configure_training(cfg, train_args("--resume"))
    assert (cfg.resume, cfg.load_from) == (True, None)
    launch.configure_training(cfg, train_args("--resume", "x.pth"))
    assert (cfg.resume, cfg.load_from) == (True, "x.pth")


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


@pytest.mark.skipif(not CPU, reason="the CPU's way")
def test_mixed_precision_on_a_cpu_is_bfloat16_without_a_loss_scale() -> None:
    cfg = train_cfg(custom_imports=dict(imports="mmext"))
    cfg.optim_wrapper.loss_scale = "dynamic"
    launch.configure_training(cfg, train_args("--amp"))
    assert "loss_scale" not in cfg.optim_wrapper
    assert cfg.custom_imports["imports"] == ["mmext", "mmext.engine.amp"]
    net = torch.nn.Linear(2, 2)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type=cfg.optim_wrapper.type, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    )
    with wrapper.optim_context(net):
        assert net(torch.ones(1, 2)).dtype is torch.bfloat16
    assert net(torch.ones(1, 2)).dtype is torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(CPU, reason="needs a CUDA device")
def test_mixed_precision_on_a_gpu_is_the_hosts() -> None:
    cfg = train_cfg()
    launch.configure_training(cfg, train_args("--amp"))
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ("AmpOptimWrapper", "dynamic")


def test_mixed_precision_refuses_a_wrapper_that_it_does_not_know() -> None:
    cfg = train_cfg()
    cfg.optim_wrapper.type = "DeepSpeedOptimWrapper"
    with pytest.raises(BadInputError, match="DeepSpeedOptimWrapper"):
        launch.configure_training(cfg, train_args("--amp"))


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
                    type="Wrapper", dataset=dict(type="Data", pipeline=[dict(type="Load"), dict(type="Pack")])
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


@pytest.mark.parametrize(
    ("launcher", "given"),
    [
        ("slurm", dict(SLURM_PROCID="3", SLURM_NTASKS="4", SLURM_LOCALID="1", MASTER_ADDR="node7")),
        (
            "mpi",
            dict(
                OMPI_COMM_WORLD_RANK="3",
                OMPI_COMM_WORLD_SIZE="4",
                OMPI_COMM_WORLD_LOCAL_RANK="1",
                MASTER_ADDR="node7",
            ),
        ),
    ],
)
def test_ranks_are_named_as_torch_reads_them(
    monkeypatch: pytest.MonkeyPatch, launcher: str, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert launch.rank() == 3
    launch.name_ranks(launcher)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    assert [os.environ[name] for name in names] == ["3", "4", "1", "node7", "29500"]


def test_slurm_s_first_node_is_the_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[7-8]" ] && printf "node7\\nnode8\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    slurm = dict(SLURM_PROCID="0", SLURM_NTASKS="2", SLURM_LOCALID="0", SLURM_JOB_NODELIST="node[7-8]")
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    launch.name_ranks("slurm")
    assert os.environ["MASTER_ADDR"] == "node7"
