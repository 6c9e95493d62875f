"""The classifier, its heads and losses against torch's own words, and what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS
from torch.testing import assert_close

from mmext.classification.stack import (
    CrossEntropyLoss,
    ImageClassifier,
    LinearClsHead,
    MLPBackbone,
    PackClsInputs,
    RandomResizedCrop,
    SmallConvNet,
)
from mmext.classification.stack.samples import ClsDataSample, targets

CONVNET = dict(type="mmext.SmallConvNet", in_channels=3, channels=(8, 16))
HEAD = dict(type="mmext.LinearClsHead", in_channels=16, num_classes=4)


def classifier(**head):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type="mmext.ImageClassifier",
            backbone=CONVNET,
            head={**HEAD, **head},
            data_preprocessor=dict(mean=[100.0] * 3, std=[50.0] * 3),
        )
    )
    model.init_weights()
    return model


def batch(labels=(3, 0), sizes=((9, 7), (9, 7))):
    g = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8) for size in sizes]
    return dict(
        inputs=images, data_samples=[ClsDataSample().set_gt_label(label) for label in labels]
    )


def test_three_modes_are_one_computation():
    model = classifier().eval()
    data = model.data_preprocessor(batch(), training=True)
    assert_close(data["inputs"][0], (batch()["inputs"][0].float() - 100) / 50)
    logits = model(**data, mode="tensor")
    by_hand = F.linear(
        model.backbone(data["inputs"])[-1].mean((2, 3)), model.head.fc.weight, model.head.fc.bias
    )
    assert_close(logits, by_hand)
    losses = model(**data, mode="loss")
    assert list(losses) == ["loss_ce"]
    assert_close(losses["loss_ce"], F.cross_entropy(logits, torch.tensor([3, 0])))
    for sample, row in zip(model(**data, mode="predict"), logits, strict=True):
        assert_close(sample.pred_score, row.softmax(0))
        assert sample.pred_label.tolist() == [int(row.argmax())]
        assert sample.gt_label.tolist() in ([3], [0])
    with pytest.raises(ValueError, match="tensor, loss or predict, got 'train'"):
        model(**data, mode="train")


def test_pictures_of_a_batch_are_padded_to_the_largest():
    model = classifier()
    data = model.data_preprocessor(batch(sizes=((9, 7), (5, 11))), training=True)
    assert data["inputs"].shape == (2, 3, 9, 11)
    assert torch.isfinite(model(**data, mode="loss")["loss_ce"])


def test_predictions_need_no_samples():
    model = classifier().eval()
    found = model(model.data_preprocessor(batch())["inputs"], mode="predict")
    assert [one.pred_score.shape for one in found] == [(4,), (4,)]


def test_a_neck_stands_between():
    neck = dict(type="mmext.MLPBackbone", in_shape=(16, 2, 2), widths=(16,))
    model = ImageClassifier(backbone=CONVNET, head=HEAD, neck=neck)

    class Last(torch.nn.Module):
        def forward(self, feats):
            return feats[-1]

    model.neck = torch.nn.Sequential(Last(), model.neck)
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torch_s(smoothing):
    loss = CrossEntropyLoss(label_smoothing=smoothing, loss_weight=2.0)
    z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 4, 2, -100, 1, 1])
    want = F.cross_entropy(z, y, label_smoothing=smoothing)
    assert_close(loss(z, y), 2 * want)
    assert_close(loss(z, y.where(y >= 0, 7), ignore_index=7), 2 * want)
    each = F.cross_entropy(z, y, label_smoothing=smoothing, reduction="none")
    assert_close(loss(z, y, reduction_override="none"), 2 * each)
    weight = torch.arange(6.0)
    assert_close(loss(z, y, weight, avg_factor=10), 2 * (each * weight).sum() / 10)
    soft = torch.softmax(z.flip(0), 1)
    assert_close(loss(z, soft), 2 * F.cross_entropy(z, soft, label_smoothing=smoothing))
    assert_close(loss(z.bfloat16(), y), 2 * want, rtol=2e-2, atol=2e-2)
    assert loss(z.bfloat16(), y).dtype == torch.float32


def test_a_batch_that_counts_for_nothing_has_a_loss_of_zero_and_gradients():
    z = torch.randn(3, 5, requires_grad=True)
    loss = CrossEntropyLoss()(z, torch.full((3,), -100))
    loss.backward()
    assert loss == 0
    assert (z.grad == 0).all()


def test_targets_are_labels_or_scores_and_never_half_of_each():
    labels = [ClsDataSample().set_gt_label(one) for one in (2, 0)]
    assert targets(labels).tolist() == [2, 0]
    scores = [ClsDataSample().set_gt_score([0.5, 0.5]), ClsDataSample().set_gt_score([0, 1])]
    assert targets(scores).tolist() == [[0.5, 0.5], [0, 1]]
    for bad in (
        [labels[0], ClsDataSample()],
        [labels[0], scores[0]],
        [ClsDataSample().set_gt_label([0, 1])],
    ):
        with pytest.raises(ValueError, match="expected one gt_label for each sample"):
            targets(bad)


def test_samples_of_another_class_do_as_well():
    from mmengine.structures import BaseDataElement

    class Foreign(BaseDataElement):
        pass

    model = classifier()
    data = batch()
    data["data_samples"] = [Foreign(gt_label=torch.tensor([one])) for one in (3, 0)]
    ours, theirs = (
        model(**model.data_preprocessor(one, training=True), mode="loss") for one in (batch(), data)
    )
    assert_close(ours, theirs, rtol=0, atol=0)


def test_labels_outside_the_classes_end_in_one_sentence():
    model = classifier()
    with pytest.raises(ValueError, match="labels from 0 to 3, got 4; set num_classes of the head"):
        model(**model.data_preprocessor(batch(labels=(4, 0)), training=True), mode="loss")


def test_a_loss_for_other_classes_is_refused_when_it_is_built():
    @MODELS.register_module(force=True)
    class LossOfSeven(CrossEntropyLoss):
        num_classes = 7

    with pytest.raises(ValueError, match="a loss for its 4 classes, got LossOfSeven for 7"):
        LinearClsHead(4, 8, loss=dict(type="LossOfSeven"))


def test_the_classifier_of_a_base_has_the_parameters_that_its_docstring_implies():
    cfg = Config.fromfile("configs/_base_/models/mlp_28x28.py")
    count = sum(p.numel() for p in MODELS.build(cfg.model).parameters())
    assert count == 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10


def test_an_mlp_averages_other_sizes_and_leaves_its_own():
    net = MLPBackbone((1, 4, 4), (3,))
    x = torch.rand(2, 1, 8, 8)
    (whole,) = net(x)
    (shrunk,) = net(F.avg_pool2d(x, 2))
    assert_close(whole, shrunk)


def test_a_convnet_takes_other_norms():
    norms = [
        one
        for one in SmallConvNet(3, (8, 16), norm_cfg=dict(type="BN")).modules()
        if isinstance(one, torch.nn.BatchNorm2d)
    ]
    assert [one.num_features for one in norms] == [8, 16]


def test_a_convnet_sees_each_picture_alone():
    net = SmallConvNet(3, (8, 16))
    x = torch.rand(3, 3, 10, 12)
    (together,), (alone,) = net(x), net(x[1:2])
    assert together.shape == (3, 16, 5, 6)
    assert_close(together[1:2], alone)


def test_packing_keeps_pixels_label_and_names():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    packed = PackClsInputs().transform(dict(img=image, gt_label=2, img_path="a.png", other=1))
    assert torch.equal(packed["inputs"], torch.from_numpy(image).permute(2, 0, 1))
    assert packed["data_samples"].gt_label.tolist() == [2]
    assert packed["data_samples"].img_path == "a.png"
    assert "other" not in packed["data_samples"]
    grey = PackClsInputs().transform(dict(img=image[..., 0], gt_score=[0.1, 0.9]))
    assert grey["inputs"].shape == (1, 2, 4)
    assert_close(grey["data_samples"].gt_score, torch.tensor([0.1, 0.9]))


def test_a_random_crop_is_a_part_of_allowed_area_and_aspect():
    crop = RandomResizedCrop(8, area=(0.2, 0.5), aspect=(0.5, 2.0))
    seen = []
    for _ in range(300):
        top, left, h, w = crop.window(60, 100)
        assert 0 <= top <= 60 - h
        assert 0 <= left <= 100 - w
        seen.append((h * w / 6000, w / h))
    area, ratio = np.array(seen).T
    assert area.min() > 0.19
    assert area.max() < 0.51
    assert ratio.min() > 0.48
    assert ratio.max() < 2.08
    assert area.std() > 0.05
    assert 0.35 < (ratio < 1).mean() < 0.65  # its logarithm is even
    assert crop.transform(dict(img=np.zeros((60, 100, 3), np.uint8)))["img"].shape == (8, 8, 3)


def test_a_random_crop_of_a_very_long_picture_is_its_middle():
    crop = TRANSFORMS.build(dict(type="mmext.RandomResizedCrop", scale=(4, 6), area=(1.0, 1.0)))
    assert crop.window(10, 1000) == (0, 493, 10, 13)
    assert crop.window(1000, 10) == (493, 0, 13, 10)
    assert crop.transform(dict(img=np.zeros((10, 1000), np.uint8)))["img_shape"] == (4, 6)
