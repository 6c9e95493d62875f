"""How the contract suite drives landmark detectors: a model of a config, a batch, its loss."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.landmarks.samples import LandmarkSample
from tests.contract.parts import built


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    return built(Config.fromfile(path), MODELS, init=init)


def num_classes(model: nn.Module) -> int:
    """Points that the model finds."""
    return model.net.num_keypoints


def image_size(model: nn.Module) -> tuple[int, int]:
    """The one size that the model takes."""
    return model.codec.input_size


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return ""


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two pictures, one a rank, with which two ranks must equal one process; None if no batch can.

    The loss is a mean over pictures. Statistics of a batch are each rank's own on CPUs.
    """
    if any(isinstance(module, _BatchNorm) and module.training for module in model.modules()):
        return None
    return batch(counts=(5, 1))


def batch(counts, size=(64, 96), *, ignored=False, num_classes=17, seed=0) -> dict:
    """Random pictures with random points, as a data loader gives them.

    Args:
        counts: one entry a picture, how many of its points are visible.
        size: of the pictures; a crop makes all of them one size, which the model is asked for.
        ignored: whether no point counts.
    """
    g = torch.Generator().manual_seed(seed)
    samples, images = [], []
    for number, visible in enumerate(counts):
        sample = LandmarkSample(metainfo=dict(sample_idx=number, ori_shape=(100, 120)))
        sample.set_metainfo(dict(crop_matrix=np.array([[0.5, 0, 1], [0, 0.5, 2]])))
        sample.gt_keypoints = 100 * torch.rand(num_classes, 2, generator=g)
        seen = torch.arange(num_classes) < (0 if ignored else visible)
        sample.gt_visible = seen.float()
        sample.gt_keypoints[~seen] = float("nan")
        samples.append(sample)
        images.append(torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8))
    return dict(inputs=images, data_samples=samples)


def _preprocess(model: nn.Module, data: dict, *, training: bool) -> dict:
    """What the model's own preprocessing makes of the batch, at the size of its crops."""
    height, width = model.codec.input_size
    images = [
        image.repeat(1, height // image.shape[1] + 1, width // image.shape[2] + 1)
        for image in data["inputs"]
    ]
    data = {**data, "inputs": [image[:, :height, :width] for image in images]}
    return model.data_preprocessor(data, training=training)


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on."""
    return model.parse_losses(model(**_preprocess(model, data, training=True), mode="loss"))[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """The points of each picture and their scores."""
    model.eval()
    with torch.no_grad():
        results = model(**_preprocess(model, data, training=False), mode="predict")
    model.train()
    return [x for result in results for x in (result.pred_keypoints, result.pred_scores)]


def check_predictions(model: nn.Module, found: list[Tensor], size: tuple[int, int]) -> None:
    """Each picture has K points inside it, with a score each."""
    count = num_classes(model)
    for points, scores in zip(found[::2], found[1::2], strict=True):
        assert points.shape == (count, 2)
        assert scores.shape == (count,)
        crop = points * 0.5 + torch.tensor([1.0, 2.0])
        assert float(crop.min()) >= 0
        assert float(crop.max()) <= max(model.codec.input_size)
