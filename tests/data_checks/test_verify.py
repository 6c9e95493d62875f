from pathlib import Path

import pytest

from mmext.data_checks import verify
from mmext.errors import BadInputError


def errors(cfg: dict, *splits: str) -> list[str]:
    return [
        error for report in verify.check(cfg, splits or verify.SPLITS) for error in report.errors
    ]


def test_datasets_are_found_inside_wrappers() -> None:
    leaves = [dict(type="CocoDataset", ann_file=name) for name in "ab"]
    nested = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=leaves))
    cfg = dict(train_dataloader=dict(dataset=nested), val_dataloader=None)
    assert list(verify.datasets(cfg, "train")) == leaves
    assert list(verify.datasets(cfg, "val")) == list(verify.datasets(cfg, "test")) == []


def test_a_path_is_joined_as_mmengine_joins_it(tmp_path: Path) -> None:
    from mmengine.dataset import BaseDataset

    for root in ("", str(tmp_path)):
        for ann_file in ("a.json", "/x/a.json"):
            for prefix in ("img", "/x/img", ""):
                theirs = BaseDataset(
                    ann_file, data_root=root, data_prefix=dict(img=prefix), lazy_init=True
                )
                cfg = dict(train_dataloader=dict(dataset=dict(data_root=root, ann_file=ann_file)))
                assert errors(cfg)[0].startswith(f"{theirs.ann_file}: not found")
                cfg = dict(
                    train_dataloader=dict(
                        dataset=dict(data_root=root, data_prefix=dict(img=prefix and f"{prefix}x"))
                    )
                )
                found = errors(cfg)
                expected = f"{theirs.data_prefix['img']}x" if prefix else ""
                assert found == [] if not prefix else found[0].startswith(f"{expected}: not found")


def test_what_is_missing_is_named_once_with_the_command_that_fetches_it() -> None:
    dataset = dict(
        type="CocoDataset", data_root="no", ann_file="all.json", data_prefix=dict(img="images")
    )
    cfg = dict(
        train_dataloader=dict(dataset=dataset),
        val_dataloader=dict(dataset=dataset),
        val_evaluator=dict(ann_file="no/all.json"),
        test_evaluator=[dict(ann_file="no/test.json")],
        model=dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="no/weights.pth"))),
        data_command="make data",
        weights_command="make weights",
    )
    found = errors(cfg)
    assert [error.split(":")[0] for error in found] == [
        "no/weights.pth",
        "no/all.json",
        "no/images",
        "no/test.json",
    ]
    assert "model.backbone.init_cfg" in found[0]
    assert "run make weights" in found[0]
    assert all("run make data" in error for error in found[1:])
    with pytest.raises(BadInputError, match=r"no/weights\.pth: not found.*3 more: mmext verify"):
        verify.refuse_errors(verify.check(cfg))


def test_what_cannot_be_checked_is_said(tmp_path: Path) -> None:
    (tmp_path / "clips.txt").touch()
    remote = dict(ann_file="s3://bucket/all.json")
    text = dict(data_root=str(tmp_path), ann_file="clips.txt", data_prefix=dict(video=""))
    cfg = dict(train_dataloader=dict(dataset=remote), val_dataloader=dict(dataset=text))
    first, second = verify.check(cfg)
    assert "remote" in first.warnings[0]
    assert "only the presence of files and folders was checked" in second.warnings[0]


def test_a_test_does_not_ask_for_weights_to_start_from() -> None:
    cfg = dict(model=dict(init_cfg=dict(type="Pretrained", checkpoint="no/weights.pth")))
    assert [report.errors for report in verify.check(cfg, ("test",))] == []
    assert len(verify.check(cfg, ("train",))[0].errors) == 1


def test_weights_from_a_server_are_left_to_it() -> None:
    cfg = dict(model=dict(init_cfg=[dict(type="Pretrained", checkpoint="torchvision://resnet50")]))
    assert errors(cfg) == []


def test_the_wanted_classes_come_from_config_then_file_then_host(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("oak\nash\n")
    assert verify.wanted_classes(dict(metainfo=dict(classes=("a",)))) == ("a",)
    assert verify.wanted_classes(dict(metainfo=dict(classes=str(names)))) == ["oak", "ash"]
    assert len(verify.wanted_classes(dict(type="mmdet.CocoDataset"))) == 80
    assert verify.wanted_classes(dict(type="NobodyKnowsThisDataset")) == ()
