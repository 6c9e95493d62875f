"""A teacher's maps against people's: pixels counted, shares of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmext.self_training.pseudo_labels import maps

CLASSES = ("background", "cat", "dog")


def test_pixels_by_true_class_and_by_the_teachers_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    found, real = (rng.choice([0, 1, 30, 255], (9, 7)).astype(np.uint8) for _ in range(2))
    by_hand = np.zeros((31, 32), int)  # more than a byte counts
    for own, true in zip(found.ravel().tolist(), real.ravel().tolist(), strict=True):
        if true != 255:
            by_hand[true, 31 if own == 255 else own] += 1
    assert maps.confusion(found, real, 31).tolist() == by_hand.tolist()


def test_the_report_of_six_pixels_counted_by_hand():
    real = np.array([[0, 0, 1, 1, 2, 255]])
    found = np.array([[0, 1, 1, 255, 1, 0]])
    report = maps.compare(maps.confusion(found, real, 3), CLASSES)
    assert report["believed"] == pytest.approx(4 / 5)
    assert report["accuracy"] == pytest.approx(2 / 4)
    assert report["accuracy without background"] == pytest.approx(1 / 2)
    assert report["cat"] == pytest.approx(dict(precision=1 / 3, recall=1 / 2, IoU=1 / 4))
    assert report["dog"] == dict(precision=None, recall=0.0, IoU=0.0)


def test_a_teacher_that_is_always_right_and_one_that_believes_nothing():
    real = np.array([[0, 1, 2]])
    right = maps.compare(maps.confusion(real, real, 3), CLASSES)
    assert right.pop("believed") == right.pop("accuracy") == 1
    assert right.pop("accuracy without background") == 1
    assert all(set(one.values()) == {1.0} for one in right.values())
    unsure = maps.compare(maps.confusion(np.full((1, 3), 255), real, 3), CLASSES)
    assert unsure["believed"] == 0
    assert unsure["accuracy"] is None


def test_peoples_maps_are_read_as_the_labelled_set_reads_them():
    stored = np.array([[0, 1, 2, 255]], np.uint8)
    plain = SimpleNamespace(reduce_zero_label=False, label_map=None)
    assert maps.true_classes(stored, plain).tolist() == [[0, 1, 2, 255]]
    shifted = SimpleNamespace(reduce_zero_label=True, label_map=None)
    repeated = SimpleNamespace(datasets=[SimpleNamespace(dataset=shifted)])
    assert maps.true_classes(stored, repeated).tolist() == [[255, 0, 1, 255]]
    turned = SimpleNamespace(reduce_zero_label=False, label_map={0: 1, 1: 0})
    assert maps.true_classes(stored, turned).tolist() == [[1, 0, 2, 255]]


def test_mmseg_reads_them_likewise(tmp_path):
    import cv2

    loading = pytest.importorskip("mmseg.datasets.transforms").LoadAnnotations
    stored = np.array([[0, 1, 2, 255], [2, 2, 1, 0]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), stored)
    for shift in (False, True):
        results = dict(seg_map_path=str(tmp_path / "a.png"), seg_fields=[], label_map={0: 1, 1: 0})
        read = loading()({**results, "reduce_zero_label": shift})["gt_seg_map"]
        one = SimpleNamespace(reduce_zero_label=shift, label_map={0: 1, 1: 0})
        assert maps.true_classes(stored, one).tolist() == read.tolist()
