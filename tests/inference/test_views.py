"""Several views of a picture: whose config they are of, and how a segmentor's are joined."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.structures import BaseDataElement, PixelData

from mmext.errors import BadInputError
from mmext.inference import views
from mmext.inference.teacher import MapTeacher

STEPS = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale=(8, 8)), dict(type="Resize", scale=(4, 4))],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]


def config(**keys):
    plain = dict(type="BaseSegDataset", pipeline=STEPS[:1])
    return Config(dict(model=dict(type="Any"), test_dataloader=dict(dataset=plain), **keys))


def test_labels_are_not_read_inside_the_views_either():
    cfg = Config(dict(tta_pipeline=[*STEPS, dict(type="LoadAnnotations")]))
    kept = views.pipeline_of(cfg)
    assert [step["type"] for step in kept] == ["LoadImageFromFile", "TestTimeAug"]
    kinds = [[step["type"] for step in branch] for branch in kept[1]["transforms"]]
    assert kinds == [["Resize", "Resize"], ["PackSegInputs"]]
    assert len(cfg.tta_pipeline[1].transforms) == 3  # the config keeps them


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (dict(default_scope="mmseg"), "--tta expected tta_model and tta_pipeline there"),
        (
            dict(default_scope="mmseg", tta_model=dict(type="Odd"), tta_pipeline=STEPS),
            "expected tta_model of the type SegTTAModel, got Odd",
        ),
    ],
)
def test_a_segmentor_without_views_or_with_others_is_refused(keys, expected):
    with pytest.raises(BadInputError, match=expected):
        views.augmented(config(**keys))


def test_the_config_itself_stays_as_it_is():
    cfg = config(
        default_scope="mmseg", tta_model=dict(type="mmseg.SegTTAModel"), tta_pipeline=STEPS
    )
    seen = views.augmented(cfg)
    assert seen.model.module.type == "Any"
    assert cfg.model == ConfigDict(type="Any")


def test_masks_cannot_be_joined():
    with pytest.raises(BadInputError, match="expected a detector of boxes, got SimpleNamespace"):
        views.joined(SimpleNamespace(with_mask=True), config())


class Segmentor:
    """Has logits for each view by turns."""

    def __init__(self, *logits):
        self.logits, self.asked = logits, 0
        self.dataset_meta = dict(classes=("background", "cat", "dog"))
        self.cfg = SimpleNamespace(
            test_pipeline=[dict(type="LoadImageFromFile"), dict(type="mmext.PackClsInputs")],
            filename="teacher.py",
        )

    def test_step(self, data):
        assert len(data["inputs"]) == 1
        sample = BaseDataElement()
        sample.set_data(dict(seg_logits=PixelData(data=self.logits[self.asked])))
        self.asked += 1
        return [sample]


def test_a_pixels_probability_is_the_mean_over_the_views(tmp_path):
    one, two = torch.randn(2, 3, 4, 5) * 3
    teacher = MapTeacher(Segmentor(one, two), tmp_path, tmp_path, score_thr=0.5, confidence=None)
    classes, scores = teacher.best(dict(inputs=[0, 0], data_samples=[None, None]))
    mean = (one.softmax(0) + two.softmax(0)) / 2
    np.testing.assert_array_equal(classes, mean.argmax(0))
    np.testing.assert_allclose(scores, mean.amax(0), rtol=1e-6)
    assert (mean.argmax(0) != two.argmax(0)).any()  # so that the last view alone would be noticed


def test_mmsegs_wrapper_finds_the_same_classes(tmp_path):
    wrapper = pytest.importorskip("mmseg.models").SegTTAModel
    logits = torch.randn(2, 3, 4, 5) * 3
    inner = torch.nn.Module()
    inner.test_step, inner.out_channels = None, 3
    samples = []
    for one in logits:
        sample = BaseDataElement(metainfo=dict(img_path="a.jpg"))
        sample.set_data(dict(seg_logits=PixelData(data=one)))
        samples.append(sample)
    joined = wrapper(module=inner).merge_preds([samples])[0].pred_sem_seg.data[0]
    teacher = MapTeacher(Segmentor(*logits), tmp_path, tmp_path, score_thr=0.5, confidence=None)
    classes, _ = teacher.best(dict(inputs=[0, 0], data_samples=[None, None]))
    np.testing.assert_array_equal(classes, joined)
