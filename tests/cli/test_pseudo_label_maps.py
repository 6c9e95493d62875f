"""mmext pseudo-label with a segmentor: maps, views, comparison; a whole run on real pictures."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmext.cli import pseudo_label
from tests.checkout import REPO, run_script, run_tool
from tests.cli.test_train_and_test import ENV
from tests.contract.parts import forget_files

TEACHER = """
_base_ = [
    "{root}/configs/_base_/models/fcn_mobilenet-v2.py",
    "{root}/configs/_base_/schedules/adamw_600i.py",
    "{root}/configs/_base_/runtime_segmentation_small.py",
]
weights_command = None
model = dict(backbone=dict(init_cfg=None), decode_head=dict(num_classes=3))
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
data = dict(
    type="BaseSegDataset",
    data_prefix=dict(img_path="labelled", seg_map_path="truth"),
    metainfo=dict(classes=("background", "cat", "dog"), palette=[[0, 0, 0], [9, 9, 9], [5, 5, 5]]),
    img_suffix=".png",
    pipeline=pipeline,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=data,
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(data, test_mode=True),
)
test_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
val_cfg = None
"""
SIZE = 64


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with an untrained teacher that sees all classes, pictures and a few maps."""
    root = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(0)
    for folder in ("labelled", "truth", "more"):
        (root / folder).mkdir()
    for number in range(3):
        picture = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "more" / f"{number}.png"), picture)
        cv2.imwrite(str(root / "labelled" / f"{number}.png"), picture)
        cv2.imwrite(str(root / "truth" / f"{number}.png"), rng.integers(0, 3, (SIZE, SIZE)))
    cv2.imwrite(str(root / "more" / "2.png"), cv2.imread(str(root / "more" / "1.png"))[:, ::-1])
    (root / "teacher.py").write_text(TEACHER.format(root=REPO))
    cfg = Config.fromfile(root / "teacher.py")
    forget_files(cfg.model)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(cfg.model)
    model.init_weights()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=0.5)
    torch.save(dict(state_dict=model.state_dict()), root / "teacher.pth")
    model.decode_head.conv_seg.bias.data[0] = 99.0
    torch.save(dict(state_dict=model.state_dict()), root / "blind.pth")
    return root


@pytest.fixture(autouse=True)
def inside(request, monkeypatch):
    if "world" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("world"))


def label(*flags, checkpoint="teacher.pth", out="pseudo"):
    words = ["teacher.py", checkpoint, "--images", "more", "--out", out, "--device", "cpu"]
    pseudo_label.main([*words, *map(str, flags)])


def maps_of(out):
    return [cv2.imread(f"{out}/maps/{one}.png.png", cv2.IMREAD_UNCHANGED) for one in range(3)]


def test_views_are_joined_so_that_a_mirrored_picture_has_a_mirrored_map(world):
    label("--score-thr", 0, out="plain")
    label("--score-thr", 0, "--tta", "--confidence", out="views")
    _, one, mirrored = maps_of("views")
    assert len(np.unique(one)) > 1
    np.testing.assert_array_equal(mirrored, one[:, ::-1])
    assert (maps_of("plain")[1] != one).any()
    scores = np.load("views/confidence/1.png.npy")
    np.testing.assert_array_equal(np.load("views/confidence/2.png.npy"), scores[:, ::-1])
    assert json.loads(Path("views/pseudo.json").read_text())["info"]["tta"] is True


def test_maps_are_compared_with_those_of_people(world, capsys):
    label("--score-thr", 0, out="first")
    capsys.readouterr()
    label("--score-thr", 0, "--labels", "first/maps", out="second")
    report = json.loads(re.search(r"^\{.*?^\}", capsys.readouterr().out, re.S | re.M)[0])
    assert report["pictures"] == 3
    assert report["believed"] == report["accuracy"] == report["accuracy without background"] == 1
    label("--score-thr", 0, "--labels", "truth", out="second")
    report = json.loads(re.search(r"^\{.*?^\}", capsys.readouterr().out, re.S | re.M)[0])
    assert 0.2 < report["accuracy"] < 0.5  # of three classes at random


def test_what_cannot_be_is_one_sentence(world, capsys):
    Path("odd").mkdir()
    cv2.imwrite("odd/0.png", np.zeros((3, 3), np.uint8))
    Path("none").mkdir()
    for flags, expected in (
        (["--labels", "none"], "expected a folder with a PNG map for some of the pictures"),
        (["--labels", "odd"], "odd/0.png: expected a map of 64 x 64 pixels"),
        (["--score-low", 0.1], "--score-low: expected a detector"),
        (["--score-thr", "auto"], "auto: expected a detector"),
        (["--out", "more/pseudo"], "--out more/pseudo: expected a folder outside --images more"),
        (["--images", "none"], "none: expected pictures"),
    ):
        with pytest.raises(SystemExit) as end:
            label("--score-thr", 0, *flags, out="refused")
        assert expected in str(end.value)
        assert str(end.value).count("\n") == 0
    with pytest.raises(SystemExit, match=r"expected pixels of a score of 1.0 or more, got none"):
        label("--score-thr", 1, out="sure")


def test_a_teacher_that_sees_background_alone_is_stopped(world):
    with pytest.raises(SystemExit, match="expected at least half of the labelled foreground"):
        label("--score-thr", 0, checkpoint="blind.pth", out="blind")
    assert not Path("blind/pseudo.json").exists()
    label("--score-thr", 0, "--force", checkpoint="blind.pth", out="blind")
    assert Path("blind/pseudo.json").exists()


@pytest.mark.slow
def test_a_hasty_teacher_of_photographs_is_stopped_and_its_student_is_tested_as_it_is(
    tmp_path, mobilenet_weights
):
    """30 steps on 20 labelled photographs, 10 of the student: the parts, not what they bring."""
    made = run_script("data/photo_digits.py")
    assert made.returncode == 0, made.stderr
    own = (
        REPO / "configs/segmentation/pseudo_labels/fcn-s1_mobilenet-v2_1xb4-600i_20-photo-digits.py"
    )
    steps = "train_cfg = dict(max_iters={0}, val_interval={0})\n"
    teacher, student = tmp_path / "teacher.py", tmp_path / "student.py"
    teacher.write_text(f'_base_ = "{own}"\n{steps.format(30)}')
    (tmp_path / "some").mkdir()
    for file in sorted((REPO / "data/photo_digits/train").iterdir())[:40]:
        (tmp_path / "some" / file.name).symlink_to(file)

    def run(tool, *words):
        done = run_tool(tool, *words, **ENV)
        return done.returncode, done.stdout + done.stderr

    ended, said = run(
        "train.py", teacher, "--work-dir", tmp_path / "a", "--seed", 0, "--no-validate"
    )
    assert ended == 0, said[-3000:]
    weights = tmp_path / "a" / "iter_30.pth"
    flags = ["--images", tmp_path / "some", "--out", tmp_path / "pseudo", "--config-out", student]
    flags += ["--labels", REPO / "data/photo_digits/semantic/train"]
    ended, said = run("pseudo_label.py", teacher, weights, *flags)
    assert ended != 0
    assert "expected at least half of the labelled foreground" in said
    ended, said = run("pseudo_label.py", teacher, weights, *flags, "--force")
    assert ended == 0, said[-3000:]
    report = json.loads(re.search(r"^\{.*?^\}", said, re.S | re.M)[0])
    assert report["pictures"] == 40
    assert report["background"]["recall"] > 0.5

    with student.open("a") as more:
        more.write(steps.format(10))
    flags = ["--work-dir", tmp_path / "b", "--seed", 0, "--no-validate"]
    ended, said = run("train.py", student, *flags, "--no-verify")  # which wants all classes
    assert ended == 0, said[-3000:]
    few = ["--cfg-options", "test_dataloader.dataset.indices=20"]
    words = [teacher, tmp_path / "b" / "iter_10.pth", "--work-dir", tmp_path / "c", *few]
    ended, said = run("test.py", *words)
    assert ended == 0, said[-3000:]
    assert float(re.search(r"mIoU: ([0-9.]+)", said)[1]) > 5  # background alone is 8
