"""Points of the mouse: what the arms learn, the mean pose, and the numbers of the pairs."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dev.evidence.points import study
from dev.evidence.results import RESULTS
from tests.checkout import REPO


def test_each_network_learns_its_part():
    both, boxes, points = (
        study.config_of(role, 3, 7, "there").model.roi_head for role in ("both", "boxes", "points")
    )
    assert boxes.keypoint_head is None
    assert boxes.bbox_head == both.bbox_head
    assert points.keypoint_head == both.keypoint_head
    for name in ("loss_cls", "loss_bbox"):
        assert both.bbox_head[name].get("loss_weight", 1.0) > 0
        assert points.bbox_head[name].loss_weight == 0
        assert points.bbox_head[name].type == both.bbox_head[name].type
    cfg = study.config_of("both", 3, 7, "there")
    assert (cfg.train_cfg.max_iters, cfg.randomness.seed) == (7, 3)


def test_the_mean_pose_leaves_out_what_is_not_labelled():
    annotations = [
        dict(bbox=[10, 20, 100, 50], keypoints=[60, 45, 2, 0, 0, 0]),
        dict(bbox=[0, 0, 10, 10], keypoints=[1, 1, 2, 5, 10, 1]),
    ]
    mean = study.mean_pose(dict(annotations=annotations))
    np.testing.assert_allclose(mean, [[0.3, 0.3], [0.5, 1.0]])
    found = SimpleNamespace(bboxes=torch.tensor([[0.0, 0, 10, 20]]))
    study.with_mean_pose([SimpleNamespace(pred_instances=found)], mean)
    torch.testing.assert_close(found.keypoints, torch.tensor([[[3.0, 6.0], [5.0, 20.0]]]))


def test_pairs_are_of_one_seed():
    runs = {
        study.MEAN: {"0": 1.0, "1": 2.0},
        study.ONE: {"0": 5.0, "1": 8.0},
        study.TWO: {"0": 6.0, "1": 9.0},
    }
    rows = study.summarise(runs)
    assert [one["mean"] for one in rows] == [-1.0, 5.0]
    assert study.table(dict(AP=runs, pairs=rows)).count("\n| ") == 6


def test_what_is_published_is_what_is_stated():
    file = REPO / RESULTS / "points.json"
    if not file.exists():
        pytest.skip("not run yet")
    assert json.loads(file.read_text())["statement"] == json.loads(json.dumps(study.statement()))
