"""Keys that nothing reads are warned of, with the nearest that is read."""

import logging
from pathlib import Path

import pytest

from mmext.engine import keys
from mmext.engine.config import load_config


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("optim_wraper", "optim_wrapper"),
        ("train_dataloder", "train_dataloader"),
        ("defualt_hooks", "default_hooks"),
        ("custom_hook", "custom_hooks"),
        ("param_schedulers", "param_scheduler"),
        ("loadfrom", "load_from"),
        ("Model", "model"),
        ("crop_size", None),
        ("data_root", None),
        ("test_pipeline", None),
        ("pipeline", None),
        ("train_dataset", None),
        ("max_iters", None),
        ("model", None),
        ("_base_", None),
    ],
)
def test_misspelt_keys_are_doubted_and_variables_are_not(key: str, meant: str | None) -> None:
    said = list(keys.doubtful([key]))
    assert [one.endswith(f"did you mean {meant}?") for one in said] == [True] * (meant is not None)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("optim_wraper.type", "did you mean optim_wrapper?"),
        ("optim_wrapper.optimizer.lrs", "there was no lrs"),
        ("train_dataloader.batchsize", "did you mean batch_size?"),
        ("train_dataloader.dataset.pipeline.0.typ", "did you mean type?"),
        ("nonsense", "nothing reads it"),
        ("optim_wrapper.clip_grad.max_norm", None),
        ("resume", None),
        ("model.bbox_head.loss_weight", None),
        ("train_dataloader.dataset.pipeline.0.type", None),
        ("crop_size", None),
    ],
)
def test_options_that_add_what_nothing_reads_are_doubted(option: str, word: str | None) -> None:
    cfg = dict(
        crop_size=3,
        optim_wrapper=dict(optimizer=dict(lr=1.0)),
        train_dataloader=dict(batch_size=2, dataset=dict(pipeline=[dict(type="Load")])),
        model=dict(bbox_head=dict(type="GFLHead")),
    )
    said = list(keys.doubtful_options({option: 1}, cfg))
    if option == "optim_wrapper.optimizer.lrs":
        word = "did you mean lr?"
    assert [word in one for one in said] == ([True] if word else [])


def test_the_first_rank_warns_when_a_config_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("optim_wraper = dict(type='OptimWrapper')\n")
    with caplog.at_level(logging.WARNING, "mmext"):
        cfg = load_config(str(tmp_path / "a.py"), {"trian_cfg.max_epochs": 3})
    assert cfg.trian_cfg.max_epochs == 3, "a warning changes nothing"
    assert [one.rpartition("; ")[2] for one in caplog.messages] == [
        "did you mean optim_wrapper?",
        "did you mean train_cfg?",
    ]
    caplog.clear()
    monkeypatch.setenv("RANK", "1")
    load_config(str(tmp_path / "a.py"))
    assert caplog.messages == []
