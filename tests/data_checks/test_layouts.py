"""Files of any layout are accepted, by the data set's class; the evaluator's must belong to it."""

import json
from pathlib import Path

import pytest
from PIL import Image

import mmext  # noqa: F401  repairs the hosts
from mmext.data_checks import layouts, needs, verify
from mmext.data_checks.report import Report


def image(folder: Path, name: str, size: tuple[int, int] = (64, 48)) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(folder / name)


def boxes(categories: list[dict], **image_entry: object) -> dict:
    box = dict(bbox=[4, 4, 20, 16], area=320, iscrowd=0, segmentation=[[4, 4, 24, 4, 24, 20]])
    return dict(
        images=[dict(dict(id=1, file_name="1.jpg", width=64, height=48), **image_entry)],
        categories=list(categories),
        annotations=[
            dict(box, id=index, image_id=1, category_id=one["id"])
            for index, one in enumerate(categories, 1)
        ],
    )


def look(
    folder: Path, content: object, cfg: dict | None = None, split: str = "train", **dataset
) -> list[Report]:
    """Every report of a file under a data set."""
    (folder / "all.json").write_text(json.dumps(content))
    own = dict(data_root=str(folder), ann_file="all.json", data_prefix=dict(img=""))
    return verify.check(
        {f"{split}_dataloader": dict(dataset=dict(own, **dataset)), **(cfg or {})}, (split,)
    )


def errors(*args, **options) -> list[str]:
    return [error for report in look(*args, **options) for error in report.errors]


PETS = [dict(id=3, name="cat"), dict(id=1, name="dog")]


@pytest.mark.parametrize(
    ("kind", "entry", "names", "labels"),
    [
        ("CocoDataset", {}, "1.jpg", ("cat", "dog")),
        ("mmdet.CocoDataset", {}, "1.jpg", ("cat", "dog")),
        (
            "mmdet.LVISV05Dataset",
            dict(file_name="COCO_val2014_000000000001.jpg"),
            "000000000001.jpg",
            ("cat", "dog"),
        ),
        (
            "mmdet.LVISV1Dataset",
            dict(file_name=None, coco_url="http://images.cocodataset.org/val2017/1.jpg"),
            "val2017/1.jpg",
            ("cat", "dog"),
        ),
        ("mmdet.Objects365V1Dataset", {}, "1.jpg", ("dog", "cat")),
        (
            "mmdet.Objects365V2Dataset",
            dict(file_name="images/v1/patch8/1.jpg"),
            "patch8/1.jpg",
            ("dog", "cat"),
        ),
    ],
)
def test_relatives_of_coco_are_read_in_their_own_way(
    tmp_path: Path, kind, entry, names, labels
) -> None:
    image(tmp_path, names)
    content = boxes(PETS, **entry)
    if "coco_url" in entry:
        del content["images"][0]["file_name"]
    metainfo = dict(classes=("dog", "cat") if "LVIS" not in kind else ("cat", "dog"))
    (report,) = (one for one in look(tmp_path, content, type=kind, metainfo=metainfo) if one.images)
    assert (report.errors, report.boxes, report.labels) == ([], 2, labels)


def panoptic() -> dict:
    segment = dict(id=1, category_id=3, area=320, bbox=[4, 4, 20, 16], iscrowd=0)
    return dict(
        images=[dict(id=one, file_name=f"{one}.jpg", width=64, height=48) for one in (1, 2)],
        categories=[dict(id=3, name="cat", isthing=1), dict(id=1, name="sky", isthing=0)],
        annotations=[
            dict(
                image_id=one,
                file_name=f"{one}.png",
                segments_info=[segment, dict(segment, id=2, category_id=1)],
            )
            for one in (1, 2)
        ],
    )


def test_panoptic_files_are_accepted_and_damaged_ones_are_not(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        image(tmp_path, name)
    own = dict(type="mmdet.CocoPanopticDataset", metainfo=dict(classes=("cat", "sky")))
    model = dict(model=dict(roi_head=dict(bbox_head=dict(num_classes=1)), panoptic_fusion_head={}))
    (report,) = (one for one in look(tmp_path, panoptic(), model, **own) if one.images)
    assert (report.errors, report.boxes) == ([], 4), "ids of segments repeat from image to image"
    broken = panoptic()
    broken["annotations"][0]["segments_info"] = None
    assert "a list segments_info" in errors(tmp_path, broken, **own)[0]
    broken["annotations"][0]["segments_info"] = [7]
    assert "expected annotations with id" in errors(tmp_path, broken, **own)[0]


def test_other_files_in_json_are_only_looked_for(tmp_path: Path) -> None:
    captions = [dict(image="val2014/COCO_val2014_000000000001.jpg", caption=["a cat"])]
    own = dict(type="mmdet.CocoCaptionDataset", data_prefix=dict(img_path=""))
    (report,) = look(tmp_path, captions, **own)
    assert report.errors == []
    assert "CocoCaptionDataset lists its samples in its own way" in report.warnings[0]


def test_a_subclass_is_read_as_its_parent_unless_it_reads_in_its_own_way(tmp_path: Path) -> None:
    from mmdet.datasets import CocoDataset

    class Pets(CocoDataset):
        METAINFO = dict(classes=("cat", "dog"))  # noqa: RUF012

    class Own(CocoDataset):
        def parse_data_info(self, raw_data_info):
            return {}

    image(tmp_path, "1.jpg")
    assert layouts.layout(dict(type=Pets)) == layouts.COCO
    assert layouts.layout(dict(type=Own)) == layouts.OTHER
    assert errors(tmp_path, boxes([dict(id=1, name="cow")]), type=Pets)[0].endswith(
        "set metainfo=dict(classes=('cow',)) in the datasets of all splits and num_classes=1"
    )


@pytest.mark.parametrize("written", [{}, dict(annotations=[])])
def test_a_test_without_annotations_is_fine_if_nothing_compares_with_them(
    tmp_path: Path, written
) -> None:
    image(tmp_path, "1.jpg")
    content = boxes(PETS)
    del content["annotations"]
    own = dict(type="CocoDataset", metainfo=dict(classes=("cat", "dog")))
    blind = dict(test_evaluator=dict(type="CocoMetric", format_only=True, outfile_prefix="out"))
    assert errors(tmp_path, {**content, **written}, blind, "test", **own) == []
    judged = dict(test_evaluator=dict(type="CocoMetric"))
    assert (
        "list of annotations" in errors(tmp_path, {**content, **written}, judged, "test", **own)[0]
    )


def evaluated(tmp_path: Path, theirs: dict, **metric: object) -> list[Report]:
    """A validation whose evaluator reads another file than its data set."""
    image(tmp_path, "1.jpg")
    (tmp_path / "other.json").write_text(json.dumps(theirs))
    own = dict(type="CocoDataset", metainfo=dict(classes=("cat", "dog")))
    evaluator = dict(type="mmdet.CocoMetric", ann_file=str(tmp_path / "other.json"), **metric)
    return look(tmp_path, boxes(PETS), dict(val_evaluator=evaluator), "val", **own)


def test_the_evaluators_file_is_that_of_the_data_set(tmp_path: Path) -> None:
    def said(theirs: dict, **metric: object) -> str:
        return " ".join(
            error for one in evaluated(tmp_path, theirs, **metric) for error in one.errors
        )

    same = boxes(PETS)
    assert said(same) == ""
    assert said({**same, "images": [dict(same["images"][0], file_name="folder/1.jpg")]}) == ""
    renamed = {**same, "images": [dict(same["images"][0], file_name="2.jpg")]}
    assert "got for id 1 '2.jpg' instead of '1.jpg'" in said(renamed)
    other = json.loads(json.dumps(same).replace('"image_id": 1', '"image_id": 5'))
    other["images"][0]["id"] = 5
    assert "got none of id 1; set ann_file of the evaluator" in said(other)
    for one in same["annotations"]:
        del one["iscrowd"]
    assert "has iscrowd none, expected 0 or 1 since the evaluation reads it" in said(same)
    for one in same["annotations"]:
        one.update(iscrowd=0, segmentation=[])
    assert said(same) == ""
    assert "has no segmentation, expected one" in said(same, metric=["bbox", "segm"])
    fewer = boxes(PETS)
    fewer["categories"].pop()
    assert "got none named dog, so the evaluation fails on predictions of them" in said(fewer)
    zero = boxes(PETS)
    zero["annotations"][0]["id"] = 0
    assert any(
        "annotation 0 can be found by no" in one
        for rep in evaluated(tmp_path, zero)
        for one in rep.warnings
    )
    more = boxes(PETS)
    more["images"].append(dict(more["images"][0], id=2))
    reports = evaluated(tmp_path, more)
    assert not any(one.errors for one in reports)
    assert any("has 1 images more than" in warning for one in reports for warning in one.warnings)


def test_a_label_means_the_same_class_in_training_and_evaluation(tmp_path: Path) -> None:
    image(tmp_path, "1.jpg")
    for name, categories in (("train", PETS), ("val", PETS[::-1])):
        (tmp_path / f"{name}.json").write_text(json.dumps(boxes(categories)))
    own = dict(
        type="CocoDataset",
        data_root=str(tmp_path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=("cat", "dog")),
    )
    cfg = {
        f"{name}_dataloader": dict(dataset=dict(own, ann_file=f"{name}.json"))
        for name in ("train", "val")
    }
    (error,) = [error for report in verify.check(cfg) for error in report.errors]
    assert f"label 0 is cat by {tmp_path}/train.json and dog by {tmp_path}/val.json" in error


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [
        (None, (True, False, False)),
        (dict(type="CocoMetric", ann_file="a.json"), (True, True, False)),
        (dict(type="CocoMetric"), (True, False, False)),
        (dict(type="CocoMetric", ann_file="a.json", metric=["bbox", "segm"]), (True, True, True)),
        (dict(type="CocoMetric", ann_file="a.json", metric="proposal_fast"), (True, False, False)),
        (dict(type="CocoMetric", ann_file="a.json", format_only=True), (False, False, False)),
        (dict(metrics=[dict(type="DumpResults")]), (False, False, False)),
        (
            [dict(type="DumpResults"), dict(type="LVISMetric", ann_file="a.json")],
            (True, False, False),
        ),
    ],
)
def test_needs_follow_the_metrics(evaluator: object, expected: tuple) -> None:
    found = needs.find(dict(val_evaluator=evaluator), "val", {})
    assert (found.truth, found.crowds, found.outlines) == expected
    assert needs.find(dict(val_evaluator=evaluator), "train", {}).truth


def test_a_type_may_be_a_class_wherever_it_may_be_a_name(tmp_path: Path) -> None:
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations
    from mmdet.evaluation import CocoMetric
    from mmengine.model import PretrainedInit

    steps = [dict(type=LoadAnnotations, with_mask=True)]
    found = needs.find(
        dict(val_evaluator=dict(type=CocoMetric, ann_file="a")),
        "val",
        dict(type=CocoDataset, pipeline=steps),
    )
    assert found.masks
    assert found.crowds
    assert layouts.layout(dict(type=CocoDataset)) == layouts.COCO
    weights = verify.check_weights(
        dict(model=dict(init_cfg=dict(type=PretrainedInit, checkpoint="no.pth")))
    )
    assert len(weights.errors) == 1
