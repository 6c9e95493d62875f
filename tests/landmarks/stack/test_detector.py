"""The detector learns, predicts in pixels of the picture, and refuses what does not fit."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.testing import assert_close

from mmext.functional import reduce_loss
from mmext.landmarks.heatmaps import heatmap_loss
from mmext.landmarks.samples import LandmarkSample
from tests.landmarks.stack.files import write_json

PAIRS = [[0, 1], [3, 4]]


def detector(kind="VGGCPM", **changed):
    stride = dict(VGGCPM=8, StackedHourglass=4)[kind]
    kaiming = dict(init_cfg=dict(type="Kaiming", layer="Conv2d")) if stride == 8 else {}
    cfg = dict(
        type="mmext.LandmarkDetector",
        net=dict(type=f"mmext.{kind}", num_keypoints=5, width_mult=0.125, **kaiming),
        codec=dict(type="mmext.GaussianHeatmapCodec", input_size=64, stride=stride, sigma=6),
    )
    torch.manual_seed(0)
    model = MODELS.build(cfg | changed)
    model.init_weights()
    return model


def batch(count=2, **fields):
    g = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(count):
        sample = LandmarkSample(
            metainfo=dict(crop_matrix=np.array([[2.0, 0, 6], [0, 2.0, 8]]), flip_pairs=PAIRS)
        )
        sample.gt_keypoints = 10 + 40 * torch.rand(5, 2, generator=g)
        sample.gt_visible = torch.ones(5)
        for name, value in fields.items():
            setattr(sample, name, value)
        samples.append(sample)
    inputs = [torch.randint(0, 255, (3, 64, 64), generator=g, dtype=torch.uint8) for _ in samples]
    return dict(inputs=inputs, data_samples=samples)


def total(model, data):
    return model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))[0]


@pytest.mark.parametrize("loss", ["sum", "mean"])
def test_the_loss_is_that_of_each_stage(loss):
    model = detector(loss=loss)
    data = model.data_preprocessor(batch(), True)
    found = model(**data, mode="loss")
    points = torch.stack([sample.gt_keypoints for sample in data["data_samples"]])
    target = model.codec.encode(points, torch.ones(2, 5))
    assert list(found) == ["loss_stage1", "loss_stage2", "loss_stage3"]
    for maps, value in zip(model.maps(data["inputs"]), found.values(), strict=True):
        by_hand = ((maps - target) ** 2).sum() / 2
        if loss == "mean":
            by_hand = ((maps - target) ** 2).mean()
        assert_close(value, by_hand, rtol=1e-4, atol=1e-6)
        assert_close(
            value, reduce_loss(heatmap_loss(maps, target, torch.ones(2, 5), average=loss == "mean"))
        )


SHORT = dict(VGGCPM=dict(num_stages=1), StackedHourglass=dict(num_stacks=1, blocks=1))


@pytest.mark.parametrize("kind", SHORT)
def test_two_pictures_are_learnt_by_heart(kind):
    """Predictions lie in pixels of the picture, behind the crop's map."""
    net = dict(type=f"mmext.{kind}", num_keypoints=5, width_mult=0.125, **SHORT[kind])
    if kind == "VGGCPM":
        net["init_cfg"] = dict(type="Kaiming", layer="Conv2d")
    model = detector(kind, loss="mean", net=net).train()
    data = batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60 if kind == "VGGCPM" else 40):
        loss = total(model, copy.deepcopy(data))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model(**model.data_preprocessor(copy.deepcopy(data)), mode="predict")
    truth = torch.stack([sample.gt_keypoints for sample in found])
    expected = (truth - torch.tensor([6.0, 8.0])) / 2
    predicted = torch.stack([sample.pred_keypoints for sample in found])
    error = (predicted - expected).norm(dim=-1).mean()
    at_a_loss = (expected - expected.mean((0, 1))).norm(dim=-1).mean()
    assert error < 0.35 * at_a_loss
    assert found[0].pred_scores.shape == (5,)


def test_a_batch_without_a_visible_point_has_no_loss_and_a_gradient_of_zero():
    model = detector(loss="mean")
    nothing = batch(gt_visible=torch.zeros(5), gt_keypoints=torch.full((5, 2), float("nan")))
    loss = total(model, nothing)
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_soft_weights_count_instead_of_visibility():
    model = detector()
    half = total(model, batch(keypoint_weights=torch.full((5,), 0.5)))
    assert_close(half, 0.5 * total(model, batch()))
    none = total(model, batch(keypoint_weights=torch.zeros(5)))
    assert none == 0


def test_under_autocast_the_loss_is_in_single_precision():
    model = detector()
    exact = total(model, batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = total(model, batch())
        predicted = model(**model.data_preprocessor(batch()), mode="predict")
    assert loss.dtype == torch.float32
    assert_close(loss, exact, rtol=0.05, atol=0)
    assert predicted[0].pred_keypoints.dtype == torch.float32


def test_the_mirror_image_gives_mirrored_maps():
    model = detector(flip_test=True).eval()
    data = model.data_preprocessor(batch())
    mirrored = dict(data, inputs=data["inputs"].flip(-1))
    with torch.no_grad():
        first = model(**copy.deepcopy(data), mode="predict")
        second = model(**copy.deepcopy(mirrored), mode="predict")
    order = [1, 0, 2, 4, 3]
    for one, other in zip(first, second, strict=True):
        x = 2 * one.pred_keypoints[:, 0] + 6  # in the crop
        assert_close((2 * other.pred_keypoints[:, 0] + 6)[order], 63 - x, rtol=0, atol=1e-2)
        assert_close(other.pred_scores[order], one.pred_scores, rtol=1e-3, atol=1e-4)


def test_pictures_come_with_blue_first_and_leave_normalised():
    blue = torch.zeros(3, 8, 8, dtype=torch.uint8)
    blue[0] = 200
    prepare = MODELS.build(dict(type="mmext.LandmarkDataPreprocessor"))
    found = prepare(dict(inputs=[blue], data_samples=[LandmarkSample()]))["inputs"][0, :, 0, 0]
    assert found[2] == pytest.approx((200 - 103.53) / 57.375)
    assert found[0] == pytest.approx(-123.675 / 58.395)


def test_without_samples_it_answers_in_pixels_of_the_crop():
    model = detector().eval()
    data = model.data_preprocessor(batch())
    with torch.no_grad():
        (alone, _) = model(data["inputs"], mode="predict")
        (sample, _) = model(**data, mode="predict")
        assert len(model(data["inputs"])) == 3
    assert_close(2 * sample.pred_keypoints + torch.tensor([6.0, 8.0]), alone.pred_keypoints)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="loss must be 'sum' or 'mean', got 'max'"):
        detector(loss="max")
    with pytest.raises(ValueError, match=r"the stride of VGGCPM, 8, got 4; set codec.stride=8"):
        detector(codec=dict(type="mmext.GaussianHeatmapCodec", input_size=64, stride=4))
    model = detector(flip_test=True)
    data = model.data_preprocessor(batch())
    with pytest.raises(ValueError, match="mode must be tensor, loss or predict, got 'train'"):
        model(**data, mode="train")
    with pytest.raises(ValueError, match=r"input_size \(64, 64\), got 32 x 64"):
        model(data["inputs"][:, :, :32], mode="tensor")
    for sample in data["data_samples"]:
        sample.set_metainfo(dict(flip_pairs=None))
    with pytest.raises(ValueError, match="flip_test: expected samples that say which points"):
        model(**data, mode="predict")
    three = model.data_preprocessor(batch(gt_keypoints=torch.zeros(3, 2), gt_visible=torch.ones(3)))
    with pytest.raises(ValueError, match="the 5 points of the net, got 3; set num_keypoints"):
        model(**three, mode="loss")


def run(folder, name, *, checkpoint=None):
    """Train for two epochs on four pictures, perhaps from a checkpoint on; weights and rates."""
    crop = [dict(type="mmext.LoadFace"), dict(type="mmext.FaceCrop", size=64)]

    def loader(*, shuffle):
        return dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=shuffle),
            dataset=dict(
                write_json(folder),
                pipeline=[*crop, dict(type="mmext.PackLandmark")],
                serialize_data=True,
            ),
        )

    cfg = dict(
        default_scope="mmengine",
        work_dir=str(folder / name),
        resume=checkpoint is not None,
        load_from=checkpoint,
        model=dict(
            type="mmext.LandmarkDetector",
            net=dict(
                type="mmext.VGGCPM",
                num_keypoints=5,
                width_mult=0.0625,
                num_stages=2,
                init_cfg=dict(type="Kaiming", layer="Conv2d"),
            ),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=64, stride=8, sigma=8),
        ),
        train_dataloader=loader(shuffle=True),
        val_dataloader=loader(shuffle=False),
        val_evaluator=dict(type="mmext.LandmarkNME", norm="side"),
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=2),
        val_cfg=dict(type="ValLoop"),
        optim_wrapper=dict(
            constructor="mmext.CPMOptimWrapperConstructor",
            optimizer=dict(type="SGD", lr=1e-5, momentum=0.9),
        ),
        param_scheduler=dict(type="MultiStepLR", milestones=[1], gamma=0.5),
        randomness=dict(seed=0),
        log_level="WARNING",
    )
    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    rates = [group["lr"] for group in runner.optim_wrapper.optimizer.param_groups]
    return runner.model.state_dict(), rates


def test_a_run_that_is_cut_off_ends_as_one_that_is_not(tmp_path):
    whole, rates = run(tmp_path, "whole")
    whole = {name: value.clone() for name, value in whole.items()}
    half = str(tmp_path / "whole" / "epoch_1.pth")
    resumed, again = run(tmp_path, "parts", checkpoint=half)
    assert rates == again == pytest.approx([5e-6, 1e-5, 2e-5, 4e-5])
    assert_close(dict(resumed), whole, rtol=0, atol=0)
    before = torch.load(half, weights_only=False)["state_dict"]
    assert any((before[name] != value).any() for name, value in whole.items())
