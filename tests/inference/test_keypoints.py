"""Keypoints of detected objects: drawn where they are found with confidence, and written down."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmext.inference import tasks
from mmext.inference.drawing import Found, draw_objects

GROUND = np.full((120, 160, 3), 100, np.uint8)
GREEN = (0, 255, 0)
POINTS = [(60.0, 40.0, 0.9), (100.0, 40.0, 0.8), (60.0, 90.0, 0.1)]


def drawn(points, skeleton=()):
    found = Found((40.0, 20.0, 120.0, 110.0), 0, "a", 1.0, None, points)
    return draw_objects(GROUND, [found], [GREEN], skeleton)


def test_points_and_bones_are_drawn_where_they_are_sure():
    shown = drawn(POINTS, [(0, 1), (0, 2)])
    assert shown[40, 60].tolist() == shown[40, 100].tolist() == list(GREEN)
    assert shown[40, 80, 1] > 200, "the bone between both, softened at its sides"
    assert shown[90, 60].tolist() == shown[65, 60].tolist() == [100] * 3, "the third is unsure"
    assert drawn(POINTS)[40, 80].tolist() == [100] * 3
    np.testing.assert_array_equal(drawn(None), drawn([]))


def detector(**meta):
    names = dict(classes=("mouse",), palette=[GREEN]) | meta
    model = SimpleNamespace(
        dataset_meta=names, cfg=SimpleNamespace(test_pipeline=[], filename="a.py")
    )
    own = tasks.Detector.__new__(tasks.Detector)
    own.model, own.score_thr, own.names = model, 0.3, names["classes"]
    return own


def sample(number, **more):
    one = DetDataSample()
    one.pred_instances = InstanceData(
        bboxes=torch.arange(4.0).repeat(number, 1),
        labels=torch.zeros(number, dtype=torch.long),
        scores=torch.linspace(0.9, 0.1, number),
        **more,
    )
    return one


def test_the_kept_objects_keep_their_points():
    keypoints = torch.arange(12.0).view(3, 2, 2)
    found = detector().objects(
        sample(3, keypoints=keypoints, keypoint_scores=torch.tensor([[0.5, 0.25]]).repeat(3, 1))
    )
    assert [one.score for one in found] == pytest.approx([0.5, 0.9])
    assert found[1].points == [(0, 1, 0.5), (2, 3, 0.25)]
    assert found[0].points == [(4, 5, 0.5), (6, 7, 0.25)]
    facts = tasks.facts_of(found[1])
    assert facts["keypoints"] == [[0, 1, 0.5], [2, 3, 0.25]]


def test_models_without_points_give_none():
    (found,) = detector().objects(sample(1))
    assert found.points is None
    assert "keypoints" not in tasks.facts_of(found)
    assert detector().objects(sample(0)) == []


def test_bones_are_places_or_names():
    names = ("nose", "tail", "paw")
    assert tasks.bones(dict(keypoint_names=names, skeleton=[(0, 2), ("tail", "paw")])) == [
        (0, 2),
        (1, 2),
    ]
    assert tasks.bones(dict(skeleton=[("tail", "paw")])) == []
    assert tasks.bones({}) == tasks.bones(dict(skeleton=None, keypoint_names=None)) == []
