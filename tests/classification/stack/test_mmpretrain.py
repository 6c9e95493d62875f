"""Our losses, backbones and metrics among mmpretrain's parts, by what its heads and samples do.

mmpretrain imports torchvision, so a stand-in plays its head where it cannot be imported.
"""

import importlib.util

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import nn
from torch.testing import assert_close

import mmext  # noqa: F401

CLASSES = 6
LOSSES = ("CrossEntropyLoss", "SigmoidCELoss", "ResidualLabelLoss", "UniformResidualLoss")
HERE = all(map(importlib.util.find_spec, ("mmpretrain", "torchvision")))


class Sample(BaseDataElement):
    """What mmpretrain's samples have: fields of these names and shapes."""

    def set_pred_score(self, score):
        self.pred_score = score
        return self

    def set_pred_label(self, label):
        self.pred_label = label
        return self


class Head(nn.Module):
    """What mmpretrain 1.2's ``ClsHead`` asks of a loss, and leaves in a sample."""

    def __init__(self, loss):
        super().__init__()
        self.loss_module = MODELS.build(loss)

    def loss(self, feats, data_samples):
        field = "gt_score" if "gt_score" in data_samples[0] else "gt_label"
        join = torch.stack if field == "gt_score" else torch.cat
        target = join([getattr(one, field) for one in data_samples])
        return {"loss": self.loss_module(feats[-1], target, avg_factor=len(target))}

    def predict(self, feats, data_samples):
        scores = feats[-1].softmax(1)
        rows = zip(data_samples, scores, scores.argmax(1, keepdim=True), strict=True)
        return [one.set_pred_score(score).set_pred_label(label) for one, score, label in rows]


def theirs(loss):
    """The head, and the class of samples."""
    if not HERE:
        return Head(loss), Sample
    from mmpretrain.models.heads import ClsHead
    from mmpretrain.structures import DataSample

    return ClsHead(loss=loss), DataSample


def config(name):
    cfg = dict(type=f"mmext.{name}")
    return cfg | (dict(num_classes=CLASSES) if "Residual" in name else {})


def feats(batch=4):
    torch.manual_seed(0)
    return torch.randn(batch, CLASSES, requires_grad=True)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_under_their_head_is_the_mean_over_the_batch(name):
    head, sample = theirs(config(name))
    scores, labels = feats(), torch.tensor([3, 0, 5, 5])
    found = head.loss((scores,), [sample(gt_label=one[None]) for one in labels])
    assert_close(found["loss"], MODELS.build(config(name))(scores, labels), rtol=0, atol=1e-6)
    found["loss"].backward()
    assert scores.grad.abs().sum() > 0
    assert all(one.grad is not None for one in head.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_labels_that_their_mixup_mixes_give_the_mixture_of_losses(name):
    head, sample = theirs(config(name))
    scores, (first, second) = feats(1), ([1], [4])
    mixed = torch.tensor([0.0, 0.7, 0.0, 0.0, 0.3, 0.0])
    found = head.loss((scores,), [sample(gt_score=mixed)])["loss"]
    one, other = (
        head.loss((scores,), [sample(gt_label=torch.tensor(label))])["loss"]
        for label in (first, second)
    )
    assert_close(found, 0.7 * one + 0.3 * other)


def test_metrics_judge_their_samples():
    head, sample = theirs(config("CrossEntropyLoss"))
    lists = [[0], [1, 2], [], [5]]
    scores = torch.eye(CLASSES)[[0, 2, 3, 4]] * 9
    samples = [
        sample(gt_label=torch.tensor([label]), metainfo=dict(img_path=f"val_{n + 1:08}.JPEG"))
        for n, label in enumerate((0, 1, 3, 4))
    ]
    evaluator = Evaluator(
        [
            dict(type="mmext.TopKAccuracy", topk=1),
            dict(type="mmext.CalibrationMetric"),
            dict(type="mmext.ReaLAccuracy", labels=lists, topk=1, num_classes=CLASSES),
        ]
    )
    evaluator.process(head.predict((scores,), samples))
    found = evaluator.evaluate(4)
    assert found["accuracy/top1"] == found["original/top1"] == 75
    assert found["real/top1"] == pytest.approx(200 / 3)
    assert found["real/forgiven"] == 100  # picture 1; 3 of the originals are right
    assert 0 < found["calibration/nll"] < 3


def test_a_backbone_gives_what_their_necks_and_heads_take():
    for cfg in (
        dict(type="mmext.FBNetV3", arch="a0", out_indices=(4,)),
        dict(type="mmext.SmallConvNet", in_channels=3, channels=(8, 16)),
    ):
        found = MODELS.build(cfg).eval()(torch.rand(2, 3, 64, 64))
        assert isinstance(found, tuple)
        assert found[-1].dim() == 4
