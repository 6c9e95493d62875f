"""What a run starts from under each flag: a job started again loses neither start nor work."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmext.cli import train
from mmext.engine import launch, start
from mmext.errors import BadInputError
from tests.compat.test_resuming import cut, save


def configured(folder: Path, *flags: str, **more: object) -> Config:
    cfg = Config(
        dict(
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)),
            auto_scale_lr=dict(base_batch_size=16, enable=False),
            work_dir=str(folder),
            load_from="pretrained.pth",
            **more,
        )
    )
    launch.configure_training(cfg, train.parse_args(["configs/some.py", *flags]))
    return cfg


FLAGS = [
    "--amp",
    "--auto-scale-lr",
    "--no-validate",
    "--seed 1",
    "--deterministic",
    "--resume",
    "--resume auto",
]


@pytest.mark.parametrize("flag", FLAGS)
def test_the_first_start_keeps_the_config_s_under_each_flag(tmp_path: Path, flag: str) -> None:
    for folder in (tmp_path, tmp_path / "not there yet"):
        cfg = configured(folder, *flag.split())
        assert (cfg.get("resume") or False, cfg.load_from) == (False, "pretrained.pth")
        assert start.file_to_check(cfg) == "pretrained.pth"


@pytest.mark.parametrize("flag", ["--resume", "--resume auto"])
def test_the_second_start_goes_on(tmp_path: Path, flag: str) -> None:
    file = save(tmp_path, "iter_3.pth", 3)
    cfg = configured(tmp_path, *flag.split())
    assert (cfg.resume, cfg.load_from) == (True, None)
    assert start.file_to_check(cfg) == str(file)


def test_a_named_checkpoint_wins(tmp_path: Path) -> None:
    save(tmp_path, "iter_3.pth", 3)
    cfg = configured(tmp_path, "--resume", "other.pth")
    assert (cfg.resume, cfg.load_from) == (True, "other.pth")


def test_a_damaged_one_stops_the_run(tmp_path: Path) -> None:
    cut(save(tmp_path, "iter_3.pth", 3))
    with pytest.raises(BadInputError, match="expected a checkpoint to resume from"):
        configured(tmp_path, "--resume")


def test_weights_from_elsewhere_and_folders_are_not_looked_into(tmp_path: Path) -> None:
    for file in ("https://example.com/x.pth", str(tmp_path)):
        assert start.file_to_check(Config(dict(load_from=file))) is None
    assert start.file_to_check(Config(dict(resume=True, work_dir=str(tmp_path)))) is None


class FakeRunner:
    def __init__(self, resume: bool, load_from: str | None) -> None:
        self._resume, self._load_from = resume, load_from


def in_ranks(rank: int) -> list:
    """The second rank's machine does not see the folder with the checkpoints."""
    runner = FakeRunner(True, None) if rank == 0 else FakeRunner(False, "pretrained.pth")
    start.agree(runner)
    return [runner._resume, runner._load_from]


def test_ranks_agree_with_the_first(two_ranks) -> None:
    assert two_ranks(in_ranks) == [[True, None]] * 2
