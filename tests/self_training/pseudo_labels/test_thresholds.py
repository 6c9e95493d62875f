"""Thresholds by number of boxes, the band below them, and the gate that stops a bad teacher."""

import numpy as np
import pytest

from mmext.self_training.pseudo_labels.thresholds import (
    auto_thresholds,
    kinds,
    matched,
    why_not_boxes,
    why_not_maps,
)


def found(seed=0, count=3000, classes=3):
    rng = np.random.default_rng(seed)
    return rng.beta(1, 4, count), rng.choice(classes, count, p=[0.7, 0.2, 0.1])


def auto(scores, labels, **kwargs):
    settings = dict(pictures=100, labelled_boxes=np.array([80, 30, 10]), labelled_pictures=20)
    settings |= dict(per_class=False, classes=("a", "b", "c"))
    return auto_thresholds(scores, labels, **{**settings, **kwargs})


@pytest.mark.parametrize("power", [1.0, 0.2, 5.0])
def test_the_number_of_boxes_a_picture_is_the_labelled_one_on_any_scale_of_scores(power):
    """100 pictures at 6 boxes, whether the head's scores are high or low."""
    scores, labels = found()
    chosen = auto(scores**power, labels)
    kept = kinds(scores**power, labels, chosen.scores, None)
    assert abs(int((kept == 1).sum()) - 600) <= 1
    assert chosen.notes == []


def test_each_class_by_itself_and_a_rare_one_by_all():
    scores, labels = found()
    chosen = auto(scores, labels, per_class=True, labelled_boxes=np.array([80, 30, 5]))
    kept = kinds(scores, labels, chosen.scores, None) == 1
    assert [abs(int(kept[labels == one].sum()) - want) <= 1 for one, want in ((0, 400), (1, 150))]
    assert chosen.scores[2] == matched(scores, 575)
    assert chosen.notes == [
        f"c: 5 labelled boxes or fewer, so the threshold of all classes ({chosen.scores[2]:.3f})"
    ]
    assert auto(scores, labels, per_class=True, labelled_boxes=np.array([80, 30, 6])).notes == []


def test_corners_of_matching():
    scores = np.array([0.3, 0.9])
    assert matched(scores, 5) == 0.3  # fewer than wanted: all
    assert matched(scores, 0) == np.inf
    assert matched(np.zeros(0), 5) == 0
    assert kinds(np.zeros(0), np.zeros(0, int), np.array([0.5]), 0.1).tolist() == []


def test_the_band_between_two_thresholds_is_a_crowd():
    scores = np.array([0.9, 0.5, 0.49, 0.2, 0.19, 0.35])
    labels = np.array([0, 0, 0, 0, 0, 1])
    thresholds = np.array([0.5, 0.3])
    assert kinds(scores, labels, thresholds, 0.2).tolist() == [1, 1, 2, 2, 0, 1]
    assert kinds(scores, labels, thresholds, None).tolist() == [1, 1, 0, 0, 0, 1]


def test_the_gate():
    assert why_not_boxes(10, 100) is None
    assert "got them on 9; the student would learn" in why_not_boxes(9, 100)
    assert why_not_maps(0.1, 0.2) is None
    assert "(20.0% of the pixels), got 9.0%" in why_not_maps(0.09, 0.2)
