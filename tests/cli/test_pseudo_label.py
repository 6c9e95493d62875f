"""mmext pseudo-label: a teacher labels generated pictures, a student trains on them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmext.cli import pseudo_label
from mmext.self_training.pseudo_labels import thresholds
from tests.checkout import REPO, run_tool
from tests.cli.test_train_and_test import ENV
from tests.contract.parts import forget_files

TEACHER = """
_base_ = [
    "{root}/configs/_base_/models/retinanet_mobilenet-v2_fpn.py",
    "{root}/configs/_base_/schedules/adamw_400i.py",
    "{root}/configs/_base_/runtime_iters.py",
]
weights_command = None
model = dict(backbone=dict(init_cfg=None), bbox_head=dict(num_classes=2))
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "ori_shape", "img_shape", "scale_factor")),
]
classes = ("cat", "dog")
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="CocoDataset",
        ann_file="labelled.json",
        data_prefix=dict(img="labelled/"),
        metainfo=dict(classes=classes),
        filter_cfg=dict(filter_empty_gt=True, min_size=2),
        pipeline=pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoDataset",
        ann_file="labelled.json",
        data_prefix=dict(img="labelled/"),
        metainfo=dict(classes=classes),
        test_mode=True,
        pipeline=pipeline,
    ),
)
test_evaluator = dict(type="CocoMetric", ann_file="labelled.json", metric="bbox")
train_cfg = dict(max_iters=2, val_interval=9)
val_cfg = None
"""


def draw(folder: Path, number: int) -> list[str]:
    rng = np.random.default_rng(number)
    folder.mkdir()
    names = [f"{one}.png" for one in range(number)]
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    return names


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a teacher whose scores are about a half, and few labelled pictures."""
    root = tmp_path_factory.mktemp("world")
    names = draw(root / "labelled", 3)
    draw(root / "more", 5)
    labels = dict(
        images=[
            dict(id=number, file_name=name, height=48, width=64)
            for number, name in enumerate(names)
        ],
        annotations=[
            dict(
                id=i,
                image_id=i // 2,
                category_id=1 + i % 2,
                bbox=[4, 4, 20, 20],
                area=400,
                iscrowd=0,
            )
            for i in range(6)
        ],
        categories=[dict(id=1, name="cat"), dict(id=2, name="dog")],
    )
    (root / "labelled.json").write_text(json.dumps(labels))
    (root / "teacher.py").write_text(TEACHER.format(root=REPO))
    cfg = Config.fromfile(root / "teacher.py")
    forget_files(cfg.model)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), root / "untrained.pth")
    torch.nn.init.normal_(model.bbox_head.retina_cls.weight, std=0.02)
    torch.nn.init.zeros_(model.bbox_head.retina_cls.bias)
    torch.save(dict(state_dict=model.state_dict()), root / "teacher.pth")
    return root


@pytest.fixture(autouse=True)
def inside(world, monkeypatch):
    monkeypatch.chdir(world)


def label(*flags, checkpoint="teacher.pth", out="pseudo", images="more"):
    words = ["teacher.py", checkpoint, "--images", images, "--out", out, "--device", "cpu"]
    pseudo_label.main([*words, *map(str, flags)])


def refused(capsys, *flags, **kwargs):
    with pytest.raises(SystemExit) as end:
        label(*flags, **kwargs)
    return str(end.value)


def test_a_student_is_trained_on_the_labels_and_tested_with_the_teachers_config(world, capsys):
    label("--score-thr", "auto", "--score-low", 0.2, "--config-out", "student.py")
    said = capsys.readouterr().out
    assert "student will see 6 human and 10 pseudo boxes" in said  # two a picture, as labelled
    assert "AspectRatioBatchSampler is left out" in said
    assert "warning: --score-low 0.2: expected a detector that ignores crowds" in said
    written = json.loads((world / "pseudo" / "pseudo.json").read_text())
    assert written["info"]["counts"]["boxes"] == 10
    assert {one["iscrowd"] for one in written["annotations"]} == {0, 1}
    assert len(written["info"]["sha256"]) == 64

    train = run_tool("train.py", "student.py", "--work-dir", "work", cwd=world, **ENV)
    assert train.returncode == 0, train.stderr[-3000:]
    logged = (next(Path("work").glob("*/vis_data/scalars.json"))).read_text()
    weights = torch.load(world / "work" / "iter_2.pth", weights_only=True)["state_dict"]
    assert (weights["self_training.weights"] > 0).all(), logged
    assert not [key for key in weights if key.startswith("model.")]
    words = ["teacher.py", "work/iter_2.pth", "--work-dir", "work", "--cfg-options"]
    # So that a detector of two iterations finds something.
    test = run_tool("test.py", *words, "model.test_cfg.score_thr=0.0", cwd=world, **ENV)
    assert test.returncode == 0, test.stderr[-3000:]
    assert "bbox_mAP" in test.stdout + test.stderr


def test_another_teachers_files_and_bad_flags_are_refused(capsys):
    label("--score-thr", 0.3, out="again")
    label("--score-thr", 0.4, out="again")  # another threshold needs no other run
    message = refused(capsys, checkpoint="untrained.pth", out="again")
    assert "expected what this checkpoint gives" in message
    for flags, expected in (
        (["--per-class"], "--per-class: expected --score-thr auto"),
        (["--score-thr", 0.3, "--score-low", 0.4], "expected less than --score-thr 0.3"),
        (["--score-thr", 3.0], "expected a score from 0 to 1"),
        (["--shard-size", 0], "expected 1 or more"),
        (["--labels", "labelled.jsn"], "expected a COCO file of boxes"),
        (["--confidence"], "--confidence: expected a segmentor"),
        (["--tta"], "expected what this tta gives"),
        (["--score-thr", 0.99], "expected boxes of a score of 0.99 or more, got none of"),
    ):
        assert expected in refused(capsys, *flags, out="again")


def boxes_of(out):
    written = json.loads(Path(out, "pseudo.json").read_text())
    found = {one["file_name"]: [] for one in written["images"]}
    names = {one["id"]: one["file_name"] for one in written["images"]}
    for one in written["annotations"]:
        found[names[one["image_id"]]].append([*one["bbox"], one["score"]])
    return {name: np.array(sorted(rows, key=lambda row: row[-1])) for name, rows in found.items()}


def test_views_are_joined_so_that_a_mirrored_picture_has_mirrored_boxes(world):
    folder = world / "mirrored"
    folder.mkdir()
    picture = cv2.imread("more/0.png")
    cv2.imwrite(str(folder / "a.png"), picture)
    cv2.imwrite(str(folder / "b.png"), picture[:, ::-1])
    for out, flags in (("plain", []), ("views", ["--tta"])):
        label("--score-thr", 0.3, *flags, out=out, images="mirrored")

    def same(out):
        found = boxes_of(out)
        left = found["b.png"].copy()
        left[:, 0] = 64 - left[:, 0] - left[:, 2]
        assert len(left) > 5
        return left.shape == found["a.png"].shape and np.allclose(left, found["a.png"], atol=0.02)

    assert same("views")
    assert not same("plain")


def test_an_unhealthy_teacher_is_stopped(capsys, monkeypatch):
    few = thresholds.why_not_boxes(0, 5)
    monkeypatch.setattr(thresholds, "why_not_boxes", lambda *_: few)
    message = refused(capsys, "--score-thr", 0.3, out="unhealthy")
    assert "more: expected boxes on at least 10% of 5 pictures, got them on 0" in message
    assert not Path("unhealthy/pseudo.json").exists()
    label("--score-thr", 0.3, "--force", out="unhealthy")
    assert Path("unhealthy/pseudo.json").exists()


def test_a_teacher_of_other_classes_is_refused(world, capsys):
    saved = torch.load(world / "teacher.pth", weights_only=True)
    torch.save({**saved, "meta": dict(dataset_meta=dict(classes=("dog", "cat")))}, "other.pth")
    message = refused(capsys, checkpoint="other.pth", out="other")
    assert (
        "expected a teacher of the labelled set's classes (cat, dog), got one of dog, cat"
        in message
    )


def test_labels_of_pictures_that_have_another_size_since_are_refused(world, capsys):
    folder = world / "resized"
    folder.mkdir()
    picture = cv2.imread("more/0.png")
    cv2.imwrite(str(folder / "a.png"), picture)
    label("--score-thr", 0.3, out="sized", images="resized")
    cv2.imwrite(str(folder / "a.png"), picture[:40])
    message = refused(
        capsys, "--score-thr", 0.3, "--config-out", "sized.py", out="sized", images="resized"
    )
    assert "expected a.png of 64 x 48 pixels, got 64 x 40; label the pictures anew" in message
    assert not Path("sized.py").exists()


def test_files_that_are_no_pictures_are_refused(world, capsys):
    (world / "more" / "broken.jpg").write_bytes(b"no picture")
    try:
        assert "broken.jpg: expected a" in refused(capsys, out="broken")
    finally:
        (world / "more" / "broken.jpg").unlink()
