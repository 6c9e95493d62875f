"""Rounds: files, resumption in the middle, exchange, corners, two ranks."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mmext.errors import BadInputError
from mmext.landmarks.ts3.loop import TS3TrainLoop
from mmext.registry import MODELS
from tests.landmarks.ts3 import rig


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return rig.write_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """A run from the first iteration to the last."""
    folder = tmp_path_factory.mktemp("whole")
    runner = rig.runner(root, folder)
    runner.train()
    return runner, folder


def labels(folder, number):
    return json.loads((folder / f"round_{number}" / "pseudo.json").read_text())


def test_each_round_writes_its_labels_and_a_report(whole):
    runner, folder = whole
    assert runner.iter == 9
    assert sorted(path.name for path in folder.glob("round_*")) == ["round_1", "round_2"]
    for number in (1, 2):
        found = labels(folder, number)
        assert found["round"] == number
        assert len(found["labels"]) == rig.HIDDEN
        report = json.loads((folder / f"round_{number}" / "report.json").read_text())
        assert report["error"] > 0
        assert -1 <= report["spearman_score"] <= 1
        listed = (folder / f"round_{number}" / "label_next.txt").read_text().split()
        assert sorted(listed) == sorted(row["name"] for row in found["labels"])
    assert labels(folder, 1)["labels"] != labels(folder, 2)["labels"]


def test_a_run_that_goes_on_in_the_middle_of_a_round_is_the_run_that_was_not_stopped(
    whole, root, tmp_path
):
    runner, folder = whole
    shutil.copytree(folder / "round_1", tmp_path / "round_1")
    checkpoint = folder / "iter_5.pth"  # round 1 has the iterations 3, 4 and 5
    again = rig.runner(root, tmp_path, resume=True, load_from=str(checkpoint))
    again.train()
    assert labels(tmp_path, 2) == labels(folder, 2)
    assert_close(again.model.state_dict(), runner.model.state_dict(), rtol=0, atol=0)


def test_a_bank_of_another_split_or_config_is_refused(whole, root, tmp_path):
    _, folder = whole
    shutil.copytree(folder / "round_1", tmp_path / "round_1")
    start = dict(resume=True, load_from=str(folder / "iter_5.pth"))
    with pytest.raises(BadInputError, match=r"pseudo.json: expected .* of these settings"):
        rig.runner(root, tmp_path, loop=dict(filter="hard"), **start).train()
    other = tmp_path / "other"
    other.mkdir()
    rig.write_faces(other, labelled=rig.LABELLED - 1, hidden=rig.HIDDEN + 1)
    with pytest.raises(BadInputError, match=r"pseudo.json: expected .* of these pictures"):
        rig.runner(other, tmp_path, **start).train()
    shutil.rmtree(tmp_path / "round_1")
    with pytest.raises(BadInputError, match=r"found no such file; give the work dir of that run"):
        rig.runner(root, tmp_path, **start).train()


def batches_of(runner, monkeypatch):
    """The samples of each step of a run that trains nothing."""
    seen = []
    model = runner.model

    def train_step(data, optim_wrapper):
        seen.append(data["data_samples"])
        return dict(loss=torch.zeros(()))

    monkeypatch.setattr(model, "train_step", train_step)
    runner.train()
    return seen


@pytest.mark.parametrize("exchange", ["self", "cross", "fused"])
def test_students_see_the_labels_of_the_bank_and_no_hidden_truth(
    exchange, root, tmp_path, monkeypatch
):
    runner = rig.runner(
        root,
        tmp_path,
        loop=dict(pseudo_share=0.5),
        model=dict(exchange=exchange),
        default_hooks=dict(checkpoint=None),
    )
    steps = batches_of(runner, monkeypatch)
    assert all("student_keypoints" not in one for batch in steps[:3] for one in batch)
    bank = {row["name"].split("/")[-1]: row for row in labels(tmp_path, 1)["labels"]}
    for batch in steps[3:6]:
        kinds = ["student_keypoints" in one for one in batch]
        assert kinds == [False, False, True, True]
        assert all(one.labeled and one.gt_visible.any() for one in batch[:2])
        for one in batch[2:]:
            assert not one.gt_visible.any()
            row = bank[one.img_path.split("/")[-1]]
            points = np.array(row["points"])
            points = dict(self=points, cross=points[::-1], fused=points.mean(0)[None].repeat(2, 0))
            matrix = one.crop_matrix
            expected = points[exchange] @ matrix[:, :2].T + matrix[:, 2]
            if np.linalg.det(matrix[:, :2]) < 0:
                for left, right in one.flip_pairs:
                    expected[:, [left, right]] = expected[:, [right, left]]
            assert_close(
                one.student_keypoints.numpy(), expected.astype(np.float32), atol=1e-3, rtol=0
            )
    flips = [np.linalg.det(one.crop_matrix[:, :2]) < 0 for batch in steps[3:] for one in batch[2:]]
    assert any(flips)
    assert not all(flips)


def test_the_hard_filter_accepts_more_faces_in_each_round(root, tmp_path, monkeypatch):
    runner = rig.runner(
        root, tmp_path, loop=dict(filter="hard", step=0.4), default_hooks=dict(checkpoint=None)
    )
    batches_of(runner, monkeypatch)
    for number, count in ((1, 2), (2, 4)):
        accepted = np.array([row["accepted"] for row in labels(tmp_path, number)["labels"]])
        weights = np.array([row["weights"] for row in labels(tmp_path, number)["labels"]])
        assert accepted.sum(0).tolist() == [count, count]
        assert (weights == accepted[..., None]).all()


@pytest.mark.parametrize("why", ["none in the config", "all are labelled"])
def test_without_unlabelled_pictures_it_trains_on_the_labels(why, root, tmp_path, monkeypatch):
    changes = dict(unlabeled_dataloader=None)
    if why == "all are labelled":
        rig.write_faces(tmp_path, labelled=rig.LABELLED, hidden=0)
        root, changes = tmp_path, {}
    said = []
    monkeypatch.setattr("mmext.landmarks.ts3.loop.print_log", lambda text, **_: said.append(text))
    runner = rig.runner(root, tmp_path / "work", default_hooks=dict(checkpoint=None), **changes)
    steps = batches_of(runner, monkeypatch)
    assert len(steps) == 9
    assert all("student_keypoints" not in one for batch in steps for one in batch)
    assert len(said) == 1
    assert "training is on the labels alone" in said[0]
    assert not list((tmp_path / "work").glob("round_*"))


def test_an_empty_folder_of_unlabelled_pictures_is_refused(root, tmp_path):
    frames = rig.loader(root, "all", chance=False)
    (tmp_path / "empty").mkdir()
    frames["dataset"] |= dict(
        type="mmext.VideoFrames",
        data_root=str(tmp_path),
        ann_file="",
        data_prefix=dict(img_path="empty"),
        num_keypoints=9,
    )
    frames["dataset"].pop("take")
    with pytest.raises(BadInputError, match=r"empty: expected pictures, got an empty folder"):
        rig.runner(root, tmp_path / "work", unlabeled_dataloader=frames).train()


def test_no_labelled_picture_is_refused_when_the_run_is_built(tmp_path):
    rig.write_faces(tmp_path, labelled=0, hidden=3)
    with pytest.raises(BadInputError, match=r"expected a sample with a labelled point"):
        rig.runner(tmp_path, tmp_path / "work").train()


def test_another_model_is_refused(root, tmp_path):
    student = rig.config()["students"][0]
    runner = rig.runner(
        root,
        tmp_path,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
    )
    runner.model = MODELS.build(student)
    with pytest.raises(BadInputError, match=r"a model of type mmext.TS3, got LandmarkDetector"):
        runner.train()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict(warmup_iters=0), "warmup_iters expected a positive number, got 0"),
        (dict(pseudo_share=1.0), "pseudo_share expected a share of the batch above 0 and below 1"),
        (dict(filter="middle"), "filter must be one of .* got 'middle'; give one of these"),
        (dict(reach=0.0), "reach must be above 0 and step in .* change them"),
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong, told, root, tmp_path):
    runner = rig.runner(root, tmp_path)
    with pytest.raises(ValueError, match=told):
        TS3TrainLoop(runner, runner.train_dataloader, **wrong)


def test_a_batch_of_one_has_no_place_for_a_pseudo_label(root, tmp_path):
    single = rig.loader(root, "labeled", chance=True) | dict(batch_size=1)
    with pytest.raises(BadInputError, match=r"expected a batch_size of 2 or more, .* got 1; raise"):
        rig.runner(root, tmp_path, train_dataloader=single).train()


def run_of_rank(rank, root, folder):
    os.environ["LOCAL_RANK"] = str(rank)
    runner = rig.runner(
        root,
        folder,
        launcher="pytorch",
        model_wrapper_cfg=dict(type="MMSeparateDistributedDataParallel", device_ids=None),
        default_hooks=dict(checkpoint=None),
    )
    runner.train()
    loop = runner.train_loop
    weights = {name: value.clone() for name, value in loop.model.named_parameters()}
    return dict(
        points=torch.tensor(loop.bank.points), score=torch.tensor(loop.bank.score), **weights
    )


def test_two_ranks_have_one_bank_and_one_set_of_weights(root, tmp_path, two_ranks):
    first, second = two_ranks(run_of_rank, root, tmp_path)
    assert_close(first, second, rtol=0, atol=0)
    written = np.array([row["points"] for row in labels(tmp_path, 2)["labels"]], dtype=np.float32)
    assert_close(written, first["points"].numpy(), rtol=0, atol=0)
