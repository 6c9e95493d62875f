"""What metrics fail on only after the first epoch, by their arguments, pipelines and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmext.data_checks.evaluators import (
    other_images,
    panoptic_troubles,
    unpacked,
    voc_troubles,
)
from mmext.data_checks.report import Report

TABLE = tuple("abcdefghijklmnopqrst")
"""Twenty names."""


@pytest.mark.parametrize(
    ("metric", "word"),
    [
        ({}, ""),
        (dict(iou_thrs=0.5), ""),
        (dict(iou_thrs=[0.5, 0.75]), ""),
        (dict(metric="recall", iou_thrs=(0.5, 0.75)), ""),
        (dict(metric=["mAP"], iou_thrs=[0.5]), ""),
        (dict(iou_thrs=(0.5, 0.75)), "write [0.5, 0.75]"),
        (dict(iou_thrs=1), "expected a float or a list"),
        (dict(iou_thrs=None), "expected a float or a list"),
        (dict(metric="recall", iou_thrs=None), "expected a float or a list"),
        (dict(iou_thrs="0.5"), "expected a float or a list"),
        (dict(iou_thrs=[]), "above 0 and up to 1"),
        (dict(iou_thrs=["0.5"]), "above 0 and up to 1"),
        (dict(iou_thrs=50.0), "above 0 and up to 1"),
        (dict(scale_ranges=[(0, 32)]), "expected no scale_ranges"),
        (dict(metric="recall", proposal_nums=100), "write [100]"),
        (dict(metric=["recall"], proposal_nums=(100, 300)), ""),
    ],
)
def test_arguments_of_voc(metric: dict, word: str) -> None:
    said = [told for _, told in voc_troubles(metric, ["cat"], "")]
    assert len(said) == bool(word)
    assert word in "".join(said)


@pytest.mark.parametrize(
    ("names", "year", "expected"),
    [
        (TABLE, "VOC2007", []),
        (TABLE[:3], "VOC2012", []),
        ((*TABLE, "u"), "", []),
        ((*TABLE, "u"), "VOC2007", [True]),
        (("cat",), "VOC2007", [False]),
        (("cat",), "", []),
    ],
)
def test_the_table_of_voc_has_names_of_its_own(
    names: tuple, year: str, expected: list[bool]
) -> None:
    assert [error for error, _ in voc_troubles({}, names, year, TABLE)] == expected
    assert list(voc_troubles(dict(metric="recall"), names, year, TABLE)) == []


@pytest.mark.parametrize(
    ("metric", "things", "word"),
    [
        (dict(ann_file="a.json", seg_prefix="."), None, ""),
        (dict(ann_file="a.json"), None, "as seg_prefix, got None"),
        (dict(ann_file="a.json", seg_prefix="./none"), None, "./none: not found"),
        (dict(ann_file="a.json", seg_prefix="s3://none"), None, ""),
        (dict(ann_file="a.json", format_only=True, outfile_prefix="out"), None, ""),
        (dict(outfile_prefix="out"), ("cat",), ""),
        (dict(seg_prefix="."), ("cat",), ""),
        (dict(seg_prefix="."), None, "expected thing_classes"),
        (dict(seg_prefix="."), ("tree",), "got ('tree',) for the classes"),
        (dict(seg_prefix="."), ("cat", "sky"), "give ann_file, or correct thing_classes"),
    ],
)
def test_arguments_of_the_panoptic_metric(metric: dict, things: Any, word: str) -> None:
    said = [told for _, told in panoptic_troubles(metric, ("cat", "sky"), things)]
    assert len(said) == bool(word)
    assert word in "".join(said)


PACK = dict(type="PackDetInputs")
SHORT = dict(PACK, meta_keys=("img_id", "ori_shape"))


@pytest.mark.parametrize(
    ("metric", "steps", "expected"),
    [
        (dict(type="CocoMetric", ann_file="a"), [SHORT], []),
        (dict(type="mmdet.CocoMetric"), [PACK], ["instances"]),
        (dict(type="CocoMetric"), [dict(PACK, meta_keys=("img_id", "ori_shape", "instances"))], []),
        (dict(type="CocoMetric", ann_file="a"), [dict(PACK, meta_keys=("img_id",))], ["ori_shape"]),
        (dict(type="CocoPanopticMetric", ann_file="a"), [PACK], []),
        (dict(type="CocoPanopticMetric", ann_file="a"), [SHORT], ["img_path"]),
        (dict(type="CocoPanopticMetric"), [PACK], ["segments_info"]),
        (
            dict(type="CocoPanopticMetric", outfile_prefix="o"),
            [PACK],
            ["segments_info", "seg_map_path"],
        ),
        (dict(type="VOCMetric"), [SHORT], []),
        (dict(type="CocoMetric"), [], []),
        (dict(type="CocoMetric"), [dict(type="MyPack")], []),
    ],
)
def test_a_sample_hands_on_what_a_metric_reads(metric: dict, steps: list, expected: list) -> None:
    assert unpacked(metric, steps) == expected


def test_ids_of_names_and_of_numbers_are_no_match() -> None:
    theirs = dict(images=[dict(id="1", file_name="x.png"), dict(id="2", file_name="y.png")])
    listed = dict(images=[dict(id="1"), dict(id="2")])
    assert other_images(listed, theirs, file="val.txt") == ("", "")
    numbers = dict(images=[dict(one, id=int(one["id"])) for one in theirs["images"]])
    assert "write ids of one kind" in other_images(listed, numbers, file="val.txt")[0]
    others = dict(images=[dict(id=5, file_name="x.png")])
    assert "set ann_file of the evaluator" in other_images(listed, others, file="val.txt")[0]


LOAD, SIZE = dict(type="LoadAnnotations", with_bbox=True), dict(type="Resize", scale=(64, 64))
IMAGE = dict(type="LoadImageFromFile")


@pytest.fixture(scope="module")
def hosts() -> None:
    """The check of a whole config looks data sets and transforms up in the hosts."""
    import mmext

    assert mmext


def judged(tmp_path: Path, cfg: dict, split: str = "val") -> list[Report]:
    from mmext.data_checks import verify

    with verify.DefaultScope.overwrite_default_scope("mmdet"):
        sets = list(verify.datasets(cfg, split))
        return [
            verify.check_judges(cfg, split, sets),
            verify.check_evaluator(cfg, split, sets),
        ]


def voc(tmp_path: Path, steps: list, evaluator: dict, **more: object) -> dict:
    (tmp_path / "val.txt").write_text("a\nb\n")
    own = dict(type="VOCDataset", data_root=str(tmp_path), ann_file="val.txt", pipeline=steps)
    return dict(val_dataloader=dict(dataset={**own, **more}), val_evaluator=evaluator)


@pytest.mark.parametrize(
    ("steps", "errors", "warnings"),
    [
        ([IMAGE, SIZE, LOAD, PACK], "", ""),
        ([], "", ""),
        ([IMAGE, SIZE, PACK], "expected LoadAnnotations in the pipeline", ""),
        ([IMAGE, SIZE, dict(LOAD, with_label=False), PACK], "expected with_bbox=True", ""),
        ([IMAGE, dict(type="LoadAnnotations", with_bbox=False), PACK], "expected with_bbox", ""),
        ([IMAGE, LOAD, SIZE, PACK], "", "move LoadAnnotations behind it"),
        ([IMAGE, dict(type="MyBoxes"), PACK], "", ""),
    ],
)
def test_voc_reads_boxes_of_the_pipeline(
    hosts: None, tmp_path: Path, steps: list, errors: str, warnings: str
) -> None:
    cfg = voc(tmp_path, steps, dict(type="VOCMetric"))
    for kind, word in (("errors", errors), ("warnings", warnings)):
        said = [one for report in judged(tmp_path, cfg) for one in getattr(report, kind)]
        assert len(said) == bool(word)
        assert word in "".join(said)


def test_a_folder_named_voc2007_brings_its_names(hosts: None, tmp_path: Path) -> None:
    many = dict(metainfo=dict(classes=tuple(f"class {one}" for one in range(21))))
    inside = dict(data_prefix=dict(sub_data_root="VOC2007/"))

    def said(**more: object) -> str:
        cfg = voc(tmp_path, [], dict(type="VOCMetric"), **more)
        return "".join(one for report in judged(tmp_path, cfg) for one in report.errors)

    assert said(**inside) == ""
    assert "expected at most 20 classes in a folder VOC2007" in said(**inside, **many)
    assert said(**many) == said(type="XMLDataset", **inside, **many) == ""


def test_cocos_evaluation_looks_up_names_of_xml_files(hosts: None, tmp_path: Path) -> None:
    def said(ids: tuple) -> str:
        box = dict(category_id=1, bbox=[0, 0, 4, 4], area=16, iscrowd=0)
        (tmp_path / "val.json").write_text(
            json.dumps(
                dict(
                    images=[dict(id=one, file_name=f"{one}.jpg", width=8, height=8) for one in ids],
                    categories=[dict(id=1, name="cat")],
                    annotations=[
                        dict(box, id=place, image_id=one) for place, one in enumerate(ids, 1)
                    ],
                )
            )
        )
        metric = dict(type="CocoMetric", ann_file=str(tmp_path / "val.json"))
        cfg = voc(tmp_path, [], metric, metainfo=dict(classes=("cat",)))
        return "".join(one for report in judged(tmp_path, cfg) for one in report.errors)

    assert said(("a", "b")) == ""
    assert "got none of id 'a', 'b'" in said((1, 2))


def test_mmdets_own_configs_are_accepted(hosts: None, tmp_path: Path, monkeypatch) -> None:
    import mmdet
    from mmengine.config import Config

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/coco/annotations/panoptic_val2017").mkdir(parents=True)
    for name in ("panoptic", "instances"):
        (tmp_path / f"data/coco/annotations/{name}_val2017.json").write_text("{}")
    folder = Path(mmdet.__file__).parent / ".mim" / "configs"
    for name in (
        "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py",
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
        "pascal_voc/ssd300_voc0712.py",
        "pascal_voc/faster-rcnn_r50_fpn_1x_voc0712-cocofmt.py",
    ):
        cfg = Config.fromfile(folder / name).to_dict()
        report = judged(tmp_path, cfg)[0]
        assert (report.errors, report.warnings) == ([], []), name
