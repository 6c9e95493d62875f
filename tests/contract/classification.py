"""How the contract suite drives our own classifiers: a model of a config, a batch, its loss."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.classification.stack.samples import ClsDataSample
from tests.contract.parts import built


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    return built(Config.fromfile(path), MODELS, init=init)


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return model.head.num_classes


def image_size(model: nn.Module) -> tuple[int, int]:
    """A small size that the model takes."""
    return 64, 96


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return ""


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two pictures, one a rank, with which two ranks must equal one process; None if no batch can.

    The loss is a mean over pictures. Statistics of a batch are each rank's own on CPUs.
    """
    if any(isinstance(module, _BatchNorm) and module.training for module in model.modules()):
        return None
    return batch(counts=(5, 1), size=image_size(model))


def batch(counts, size=(64, 96), *, ignored=False, num_classes=2, seed=0) -> dict:
    """Random pictures with a random label each, as a data loader gives them.

    Args:
        counts: one entry a picture. Objects, and what is ignored of them, have no meaning here.
        size: height and width.
    """
    del ignored
    g = torch.Generator().manual_seed(seed)
    samples = []
    for number, _ in enumerate(counts):
        sample = ClsDataSample(metainfo=dict(img_shape=size, sample_idx=number))
        sample.set_gt_label(int(torch.randint(0, num_classes, (), generator=g)))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8) for _ in counts]
    return dict(inputs=images, data_samples=samples)


def _preprocess(model: nn.Module, data: dict, *, training: bool) -> dict:
    """What the model's own preprocessing makes of the batch; some models take grey pictures."""
    channels = len(model.data_preprocessor.mean)
    data = {**data, "inputs": [image[:channels] for image in data["inputs"]]}
    return model.data_preprocessor(data, training=training)


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on; what is drawn at random is the same in every call."""
    torch.manual_seed(0)
    raw = model(**_preprocess(model, data, training=True), mode="loss")
    return model.parse_losses(raw)[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """The scores of each picture."""
    model.eval()
    with torch.no_grad():
        results = model(**_preprocess(model, data, training=False), mode="predict")
    model.train()
    return [result.pred_score for result in results]


def check_predictions(model: nn.Module, found: list[Tensor], size: tuple[int, int]) -> None:
    """Each picture has one score from 0 to 1 a class."""
    for scores in found:
        assert scores.shape == (num_classes(model),)
        assert float(scores.min()) >= 0
        assert float(scores.max()) <= 1
