"""A check that found nothing wrong is remembered until something has changed."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from mmext.data_checks import memory, verify
from mmext.data_checks.report import Report


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own, where every check is worth to be remembered."""
    monkeypatch.setenv("MMEXT_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(memory, "WORTH_S", 0)
    return tmp_path / "kept"


@pytest.fixture
def cfg(tmp_path: Path) -> dict:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "1.png")
    coco = dict(
        images=[dict(id=1, file_name="1.png", width=64, height=48)],
        categories=[dict(id=1, name="tree")],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81)],
    )
    (tmp_path / "all.json").write_text(json.dumps(coco))
    dataset = dict(
        type="CocoDataset",
        data_root=str(tmp_path),
        ann_file="all.json",
        data_prefix=dict(img="images"),
        metainfo=dict(classes=("tree",)),
    )
    return dict(train_dataloader=dict(dataset=dataset))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were read by a check."""
    from mmext.data_checks import data_sets

    read, seen = data_sets.read_coco, []
    monkeypatch.setattr(
        data_sets,
        "read_coco",
        lambda file, *args, **more: (seen.append(file), read(file, *args, **more))[1],
    )
    return seen


def test_an_unchanged_set_is_read_once(kept: Path, cfg: dict, readings: list) -> None:
    first, second = verify.check(cfg, ("train",)), verify.check(cfg, ("train",))
    assert len(readings) == len(list(kept.iterdir())) == 1
    assert [str(one) for one in first] == [str(one) for one in second]
    assert second[0].labels == ("tree",), "what follows from the labels is concluded again"
    verify.check(cfg, ("train",), anew=True)
    assert len(readings) == 2


def edit(tmp_path: Path) -> None:
    text = (tmp_path / "all.json").read_text()
    (tmp_path / "all.json").write_text(text.replace("81", "82"))


def touch(tmp_path: Path) -> None:
    os.utime(tmp_path / "all.json", ns=(1, 1))


def remove(tmp_path: Path) -> None:
    (tmp_path / "images" / "1.png").unlink()


def cut(tmp_path: Path) -> None:
    path = tmp_path / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(("change", "errors"), [(edit, 0), (touch, 0), (remove, 1), (cut, 1)])
def test_what_has_changed_is_checked_again(
    tmp_path: Path, kept: Path, cfg: dict, readings: list, change, errors: int
) -> None:
    verify.check(cfg, ("train",))
    change(tmp_path)
    found = verify.check(cfg, ("train",))
    assert len(readings) == 2
    assert sum(len(one.errors) for one in found) == errors


def test_another_question_is_another_memory(kept: Path, cfg: dict, readings: list) -> None:
    verify.check(cfg, ("train",))
    cfg["verify"] = dict(allow_odd_boxes=True)
    verify.check(cfg, ("train",))
    cfg["train_dataloader"]["dataset"]["metainfo"] = dict(classes=("tree", "car"))
    verify.check(cfg, ("train",))
    verify.check(cfg, ("train",), decode=True)
    assert len(readings) == 4


def test_errors_are_not_remembered(tmp_path: Path, kept: Path, cfg: dict, readings: list) -> None:
    remove(tmp_path)
    for _ in range(2):
        assert verify.check(cfg, ("train",))[0].errors
    assert len(readings) == 2
    assert not kept.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"key": 1}', '{"key": "", "stamp": "", "report": []}']
)
def test_a_damaged_memory_is_none(kept: Path, cfg: dict, readings: list, content: str) -> None:
    verify.check(cfg, ("train",))
    (record,) = kept.iterdir()
    record.write_text(content)
    assert verify.check(cfg, ("train",))[0].images == 1
    assert len(readings) == 2


def test_a_place_that_cannot_be_written_is_no_trouble(
    kept: Path, cfg: dict, readings: list
) -> None:
    kept.write_text("a file where a folder should be")
    for _ in range(2):
        assert verify.check(cfg, ("train",))[0].errors == []
    assert len(readings) == 2


def test_checks_that_take_no_time_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMEXT_CACHE", str(tmp_path / "kept"))
    memory.remembered("a", [], lambda: Report("train", "a"))
    assert not (tmp_path / "kept").exists()
