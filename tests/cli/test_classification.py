"""Our tools on a classifier: verify, train, two ranks, test, demo, the search for wrong labels."""

import csv
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmext.classification.real_labels import out_of_fold
from mmext.cli import clean_labels
from mmext.errors import BadInputError
from tests.checkout import REPO, run_on_ranks, run_tool
from tests.classification.stack.files import write_idx
from tests.cli.test_train_and_test import ENV, scalars

CONFIG = f"""
_base_ = [
    "{REPO}/configs/_base_/models/convnet_28x28.py",
    "{REPO}/configs/_base_/schedules/sgd-cosine_300i.py",
    "{REPO}/configs/_base_/runtime_classification_iters.py",
]
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
model = dict(
    data_preprocessor=dict(mean=[120.0], std=[60.0]),
    backbone=dict(channels=(8, 16)),
    head=dict(in_channels=16, num_classes=3),
)
pipeline = [
    dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale"),
    dict(type="mmext.PackClsInputs"),
]
"""
FOLDERS = """
dataset = dict(
    type="mmext.FolderClsDataset",
    data_root="pictures",
    data_prefix=dict(img_path=""),
    pipeline=pipeline,
)
"""
IDX = """
dataset = dict(
    type="mmext.IdxClsDataset", data_root="files", ann_file="labels",
    data_prefix=dict(img_path="images.gz"), pipeline=pipeline,
    metainfo=dict(classes=("a", "b", "c")),
)
"""
LOADERS = """
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type="InfiniteSampler", shuffle=True), dataset=dataset
)
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(test_mode=True, **dataset),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="mmext.TopKAccuracy", topk=(1, 2)), dict(type="mmext.CalibrationMetric")]
test_evaluator = [
    *val_evaluator,
    dict(type="mmext.ReaLAccuracy", labels=[[0, 1]] * 9, by="index", num_classes=3, topk=1),
]
"""


def grey(label: int, number: int, side: int = 12) -> np.ndarray:
    """A picture whose brightness tells its class."""
    rng = np.random.default_rng(number)
    return (60 * label + 40 + rng.integers(-20, 20, (side, side))).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of each of three classes, and a config."""
    for label, name in enumerate("abc"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            file = tmp_path / "pictures" / name / f"{number}.png"
            Image.fromarray(grey(label, 3 * label + number)).save(file)
    (tmp_path / "config.py").write_text(CONFIG + FOLDERS + LOADERS)
    return tmp_path


def ran(name: str, *arguments: object, cwd: Path) -> str:
    done = run_tool(name, *map(str, arguments), cwd=cwd, **ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_tools_run_a_classifier(folder: Path) -> None:
    assert "9 pictures, 9 of them opened; 0 errors" in ran("verify.py", "config.py", cwd=folder)
    flags = ["--work-dir", folder / "work", "--amp", "--resume"]
    ran("train.py", "config.py", *flags, cwd=folder)
    root = f"dataset.data_root={folder}/pictures"
    roots = [f"{split}_dataloader.{root}" for split in ("train", "val", "test")]
    resumed = ["--cfg-options", "train_cfg.max_iters=3", "train_cfg.val_interval=1", *roots]
    run_on_ranks("dist_train.sh", folder / "config.py", 2, *flags, *resumed, **ENV)
    rows = scalars(folder / "work")
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in steps)
    assert {"accuracy/top1", "accuracy/top2", "calibration/nll", "calibration/ece"} <= set(rows[-1])

    best = folder / "work" / "iter_3.pth"
    command = ["test.py", "config.py", best, "--work-dir", folder / "work"]
    said = ran(*command, "--out", folder / "found.pkl", cwd=folder)
    assert "real/top1:" in said
    assert "original/top1:" in said
    found = pickle.loads((folder / "found.pkl").read_bytes())
    assert len(found) == 9
    assert all(abs(float(one["pred_score"].sum()) - 1) < 1e-5 for one in found)

    ran("demo.py", "config.py", best, folder / "pictures" / "b", "--out", "drawn", cwd=folder)
    shown = json.loads((folder / "drawn" / "1.png.json").read_text())
    assert (shown["width"], shown["height"]) == (12, 12)
    assert {one["class"] for one in shown["classes"]} == {"a", "b", "c"}
    own = next(one for one in found if one["img_path"].endswith("b/1.png"))
    scores = [one["score"] for one in shown["classes"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(sorted(own["pred_score"].tolist(), reverse=True), abs=1e-4)
    assert min(Image.open(folder / "drawn" / "1.png").size) >= 240  # enlarged to write on


def test_stock_mmengine_runs_it(folder: Path) -> None:
    script = folder / "stock.py"
    script.write_text(
        "from mmengine.config import Config\n"
        "from mmengine.runner import Runner\n"
        "cfg = Config.fromfile('config.py')\n"
        "cfg.work_dir = 'stock'\n"
        "Runner.from_cfg(cfg).train()\n"
    )
    done = run_tool(script, cwd=folder, **ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "stock" / "iter_2.pth").is_file()


class Folds:
    """A config on 30 pictures of which three bear a wrong label, and its tool."""

    def __init__(self, folder: Path) -> None:
        labels = np.arange(30) % 3
        pictures = np.stack([grey(label, number) for number, label in enumerate(labels)])
        self.wrong = [4, 11, 21]
        labels[self.wrong] = (labels[self.wrong] + 1) % 3
        (folder / "files").mkdir()
        write_idx(folder / "files", pictures, labels)
        (folder / "config.py").write_text(CONFIG + IDX + LOADERS)
        self.labels = labels

    def run(self, *more: str) -> None:
        words = ["config.py", "--folds", "2", "--out", "clean.txt", "--report", "doubts.csv", *more]
        clean_labels.run(clean_labels.parse_args(words))


@pytest.fixture
def folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folds:
    monkeypatch.chdir(tmp_path)
    return Folds(tmp_path)


def scores_of_brightness(cfg: Config, file: Path) -> np.ndarray:
    """In place of a net's: which of 40, 100 and 160 the mean is nearest to."""
    held_out = DATASETS.build(cfg.test_dataloader.dataset)
    means = [held_out[place]["inputs"].float().mean() for place in range(len(held_out))]
    distance = (torch.stack(means)[:, None] - torch.tensor([40.0, 100.0, 160.0])).abs()
    return (-distance / 10).softmax(1).numpy()


def test_wrong_labels_are_found_and_named_with_what_they_should_be(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []

    def train(self: out_of_fold.OutOfFold, config: Path, folder: Path) -> Path:
        trained.append(folder)
        if len(trained) == 2:
            raise BadInputError("killed")
        return folder / "iter_2.pth"

    monkeypatch.setattr(out_of_fold.OutOfFold, "train", train)
    monkeypatch.setattr(out_of_fold, "scores_by", scores_of_brightness)
    with pytest.raises(BadInputError, match="killed"):
        folds.run()
    assert not Path("clean.txt").exists()
    folds.run("--control", "control.txt")
    assert [one.name for one in trained] == ["fold_0", "fold_1", "fold_1"], "a fold was lost"
    kept = Path("clean.txt").read_text().split()
    assert kept == [str(one) for one in range(30) if one not in folds.wrong]
    control = Path("control.txt").read_text().split()
    assert len(control) == 27
    assert control != kept
    with open("doubts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["name"]) for row in rows) == folds.wrong
    for row in rows:
        assert row["label"] == "abc"[folds.labels[int(row["name"])]]
        assert row["suggested"] == "abc"[int(row["name"]) % 3]
        assert float(row["score"]) < float(row["suggested_score"])

    # Each fold trains on the other, and tests on its own, prepared as the config tests.
    names = [
        set(Path(f"clean_folds/fold_{one}/{part}.txt").read_text().split())
        for one in (0, 1)
        for part in ("train", "held_out")
    ]
    assert names[0] == names[3]
    assert names[1] == names[2]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 30

    with pytest.raises(BadInputError, match="got those of another run; choose another --work-dir"):
        folds.run("--seed", "1")
    with pytest.raises(BadInputError, match="--k 0: expected 1 or more"):
        folds.run("--k", "0")
    with pytest.raises(BadInputError, match=r"--min-share 10.0: expected 0 to 1"):
        folds.run("--min-share", "10")


def test_a_fold_is_trained_by_the_stock_tool_and_scored_by_its_net(folds: Folds) -> None:
    cfg = Config.fromfile("config.py")
    cfg.default_hooks.checkpoint.interval = 2
    samples = out_of_fold.read_samples(cfg)
    assert samples.classes == ("a", "b", "c")
    assert np.array_equal(samples.labels, folds.labels)
    one = out_of_fold.OutOfFold(cfg, samples, 3, Path("work"))
    Path("work").mkdir()
    rows = np.array([0, 7, 9, 20])
    scores = one.scores_of(0, rows)
    assert scores.shape == (4, 3)
    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    assert not list(Path("work/fold_0").glob("*.pth"))
    assert np.array_equal(one.scores_of(0, rows), scores)  # read, not trained again


def test_a_training_that_fails_is_told_with_its_last_words(folds: Folds) -> None:
    cfg = Config.fromfile("config.py")
    samples = out_of_fold.read_samples(cfg)
    cfg.model.backbone.type = "mmext.NoSuchNet"
    one = out_of_fold.OutOfFold(cfg, samples, 3, Path("work"))
    Path("work").mkdir()
    with pytest.raises(BadInputError, match=r"fold.py: expected its training .*NoSuchNet.*goes on"):
        one.scores_of(0, np.arange(10))


def test_what_is_no_classifier_is_refused() -> None:
    cfg = Config(dict(default_scope="mmdet", model=dict(bbox_head=dict(num_classes=3))))
    with pytest.raises(BadInputError, match="boxes and label maps cannot be cleaned in this vers"):
        out_of_fold.read_samples(cfg)
