"""A teacher's boxes as a COCO file, and compared with people's."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmext.self_training.pseudo_labels import boxes
from tests.checkout import REPO

RECORDS = [
    dict(
        file="a.jpg",
        width=40,
        height=30,
        objects=[
            dict(label=0, bbox=[1.0, 2.0, 11.0, 12.0], score=0.3),
            dict(label=1, bbox=[5.0, 5.0, 25.0, 15.0], score=0.9),
        ],
    ),
    dict(file="b.jpg", width=40, height=30, objects=[]),
    dict(
        file="c.jpg",
        width=40,
        height=30,
        objects=[dict(label=0, bbox=[0.0, 0.0, 4.0, 4.0], score=0.1)],
    ),
]


def file(low=0.2):
    return boxes.coco_file(RECORDS, ("x", "y"), np.array([0.5, 0.5]), low, dict(sha256="12"))


def test_pictures_boxes_and_crowds():
    made = file()
    assert [one["file_name"] for one in made["images"]] == ["a.jpg", "b.jpg", "c.jpg"]
    crowd, box = made["annotations"]
    assert (crowd["iscrowd"], crowd["bbox"], crowd["category_id"]) == (1, [1, 2, 10, 10], 1)
    assert (box["iscrowd"], box["bbox"], box["area"], box["category_id"]) == (
        0,
        [5, 5, 20, 10],
        200,
        2,
    )
    assert made["info"] == {
        "sha256": "12",
        "counts": {"pictures": 3, "crowds": 1, "boxes": 1, "pictures_with_boxes": 1},
        "without_boxes": ["b.jpg", "c.jpg"],
    }
    assert [one["iscrowd"] for one in file(low=None)["annotations"]] == [0]


def test_mmdet_reads_it_with_crowds_ignored_masks_whole_and_empty_pictures_kept(tmp_path):
    mmdet = pytest.importorskip("mmdet.datasets")
    masks = pytest.importorskip("pycocotools.mask")
    from mmdet.datasets.transforms import LoadAnnotations

    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[5:15, 5:25] = 1
    code = masks.encode(mask)
    records = json.loads(json.dumps(RECORDS))
    records[0]["objects"][1]["mask"] = dict(size=code["size"], counts=code["counts"].decode())
    path = tmp_path / "pseudo.json"
    path.write_text(json.dumps(boxes.coco_file(records, ("x", "y"), np.full(2, 0.5), 0.2, {})))
    data = mmdet.CocoDataset(
        ann_file=str(path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=("x", "y")),
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=[],
    )
    assert len(data) == 3
    first, second = data.get_data_info(0)["instances"]
    assert (first["ignore_flag"], second["ignore_flag"]) == (1, 0)
    assert (second["bbox"], second["bbox_label"]) == ([5, 5, 25, 15], 1)
    info = dict(data.get_data_info(0), ori_shape=(30, 40), instances=[second])
    loaded = LoadAnnotations(with_bbox=True, with_mask=True)(info)["gt_masks"]
    assert np.array_equal(loaded.masks[0], mask)
    assert boxes.labelled_boxes(data, 2).boxes.tolist() == [0, 1]


def test_labelled_boxes_leave_out_what_is_ignored():
    infos = [
        dict(instances=[dict(bbox_label=0), dict(bbox_label=0, ignore_flag=1)]),
        dict(instances=[dict(bbox_label=2, ignore_flag=0)]),
    ]
    data = type("Data", (), dict(__len__=lambda self: 2, get_data_info=lambda _, i: infos[i]))()
    assert boxes.labelled_boxes(data, 3).boxes.tolist() == [1, 0, 1]
    assert boxes.labelled_boxes(data, 3).pictures == 2


def truth(*found):
    """A COCO file of boxes (picture, class, xywh)."""
    names = sorted({one[0] for one in found})
    return dict(
        images=[dict(id=7 + i, file_name=name) for i, name in enumerate(names)],
        categories=[dict(id=3, name="x"), dict(id=4, name="y")],
        annotations=[
            dict(image_id=7 + names.index(name), category_id={"x": 3, "y": 4}[kind], bbox=box)
            for name, kind, box in found
        ],
    )


def test_precision_and_recall_by_class_and_score():
    pytest.importorskip("pycocotools.mask")
    real = truth(
        ("a.jpg", "y", [5, 5, 20, 12]),  # IoU 200/240 with the box that is believed
        ("a.jpg", "y", [0, 0, 3, 3]),
        ("a.jpg", "x", [1, 2, 10, 10]),  # a crowd is not believed
        ("other.jpg", "x", [1, 2, 10, 10]),
    )
    report = boxes.compare(file(), real)
    assert report["pictures"] == 1
    assert report["boxes a picture"] == {"expected": 3, "found": 1}
    for iou in ("IoU 0.5", "IoU 0.75"):
        assert report[iou]["all"] == {"precision": 1, "recall": 1 / 3}
        assert report[iou]["x"] == {"precision": None, "recall": 0}
        assert report[iou]["y"] == {"precision": 1, "recall": 1 / 2}
        assert report[iou]["score 0.8-1.0"]["precision"] == 1
    assert boxes.compare(file(), truth(("z.jpg", "x", [0, 0, 1, 1]))) == {"pictures": 0}


def test_a_real_box_is_met_once():
    pytest.importorskip("pycocotools.mask")
    one = dict(bbox=[0, 0, 10, 10])
    assert boxes.matches([one, one], [one], 0.5) == [True, False]
    assert boxes.matches([one], [], 0.5) == [False]


class Detector(nn.Module):
    """Heads with assigners, known by one number alone."""

    def __init__(self, **heads):
        super().__init__()
        for name, numbers in heads.items():
            head = type(name, (nn.Module,), {})()
            head.assigner = [SimpleNamespace(ignore_iof_thr=one) for one in numbers]
            setattr(self, name, head)


def test_who_ignores_crowds_is_known_by_the_assigners():
    assert boxes.band_trouble(Detector(RPN=[0.5], Cascade=[0.5, 0.5]), 0.2) is None
    trouble = boxes.band_trouble(Detector(RPN=[0.5], Cascade=[0.5, -1]), 0.2)
    assert "--score-low 0.2: expected a detector that ignores crowds" in trouble
    assert "got Cascade, to which they are background" in trouble
    assert "got Detector, to which" in boxes.band_trouble(Detector(), 0.2)  # no assigner at all


def test_the_hosts_own_detectors_are_seen_through():
    pytest.importorskip("mmdet")
    model = Config.fromfile(REPO / "configs/_base_/models/retinanet_mobilenet-v2_fpn.py").model
    model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope("mmdet"):
        assert "got RetinaHead" in boxes.band_trouble(MODELS.build(model), 0.2)
        model.train_cfg.assigner.ignore_iof_thr = 0.5
        assert boxes.band_trouble(MODELS.build(model), 0.2) is None
