"""What a segmentor's teacher writes: maps, unsure pixels, scores, counts."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from mmext.errors import BadInputError
from mmext.inference.teacher import MapTeacher, probabilities
from mmext.self_training.pseudo_labels import maps

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="mmext.PackClsInputs"),
]
CLASSES = ("background", "cat", "dog")
LOGITS = torch.tensor([[[4.0, 0.0, 0.1]], [[0.0, 0.0, 0.0]], [[0.0, 3.0, 0.0]]])  # (K, 1, 3)


class Model:
    """Says the same of every picture."""

    def __init__(self):
        self.dataset_meta = dict(classes=CLASSES)
        self.cfg = SimpleNamespace(test_pipeline=PIPELINE, filename="teacher.py")

    def test_step(self, data):
        sample = BaseDataElement()
        sample.set_data(dict(seg_logits=PixelData(data=LOGITS)))
        return [sample]


def test_probabilities_of_classes_and_of_a_single_logit():
    torch.testing.assert_close(probabilities(LOGITS), LOGITS.softmax(0))
    single = torch.tensor([[[2.0, -1.0]]])
    both = probabilities(single)
    torch.testing.assert_close(both[1:], single.sigmoid())
    torch.testing.assert_close(both.sum(0), torch.ones(1, 2))
    assert both.argmax(0).tolist() == [[1, 0]]


def test_maps_are_written_with_unsure_pixels_ignored(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "in" / "deep" / "a.png"), np.zeros((1, 3, 3), np.uint8))
    teacher = MapTeacher(
        Model(), tmp_path / "in", tmp_path / "maps", score_thr=0.5, confidence=tmp_path / "scores"
    )
    record = teacher("deep/a.png")
    assert record == dict(file="deep/a.png", width=3, height=1, pixels=[1, 0, 1])
    written = cv2.imread(str(tmp_path / "maps" / "deep" / "a.png.png"), cv2.IMREAD_UNCHANGED)
    assert written.tolist() == [[0, 2, 255]]
    scores = np.load(tmp_path / "scores" / "deep" / "a.png.npy")
    assert scores.dtype == np.float16
    np.testing.assert_allclose(scores, LOGITS.softmax(0).amax(0), atol=1e-3)
    assert not list(tmp_path.rglob("*.part*"))
    found = maps.pixels_of([record])
    assert maps.foreground(found, CLASSES) == pytest.approx(1 / 3)
    assert maps.foreground(found, ("a", "b", "c")) == pytest.approx(2 / 3)
    assert maps.counts(found) == dict(pixels=3, ignored=1, classes=[1, 0, 1])


def test_a_model_without_logits_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 3, 3), np.uint8))
    model = Model()
    model.test_step = lambda _: [BaseDataElement()]
    teacher = MapTeacher(model, tmp_path, tmp_path / "maps", score_thr=0.5, confidence=None)
    with pytest.raises(BadInputError, match=r"expected a segmentor, .* got samples with nothing"):
        teacher("a.png")


def test_labelled_pixels_are_those_of_the_training_pipeline():
    shown = [torch.tensor([[0, 1], [1, 255]]), torch.tensor([[2, 2], [2, 2]])]
    samples = [
        dict(data_samples=SimpleNamespace(gt_sem_seg=SimpleNamespace(data=one))) for one in shown
    ]
    found = maps.labelled_pixels(samples, 3)
    assert (found.classes.tolist(), found.all) == ([1, 2, 4], 8)
