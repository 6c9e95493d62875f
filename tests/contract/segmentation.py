"""How the contract suite drives mmseg: build a model from a config, make a batch, take the loss."""

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.contract.parts import built

IGNORED = 255


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    cfg = Config.fromfile(path)
    # small batches would be padded to the full crop
    preprocessor = cfg.model.get("model", cfg.model).data_preprocessor  # a wrapper's is its model's
    if preprocessor.pop("size", None):
        preprocessor.size_divisor = 32
    return built(cfg, MODELS, init=init)


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return model.decode_head.num_classes


def image_size(model: nn.Module) -> tuple[int, int]:
    """A small size that the model takes."""
    return 64, 96


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return ""


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two images, one a rank, with which two ranks must equal one process; None if no batch can.

    The host's loss is a mean over all pixels of a rank, ignored ones too, so images of one size
    weigh the same. Statistics of a batch are each rank's own on CPUs.
    """
    if any(isinstance(module, _BatchNorm) and module.training for module in model.modules()):
        return None
    return batch(counts=(5, 1))


def batch(counts, size=(64, 96), *, ignored=False, num_classes=7, seed=0) -> dict:
    """Random images, each with that many random rectangles on background, as from a data loader."""
    g = torch.Generator().manual_seed(seed)
    height, width = size
    samples = []
    for count in counts:
        labels = torch.full((1, height, width), IGNORED if ignored else 0)
        for _ in range(0 if ignored else count):
            top, left = (int(torch.randint(0, side - 20, (1,), generator=g)) for side in size)
            labels[:, top : top + 20, left : left + 20] = torch.randint(
                1, num_classes, (1,), generator=g
            )
        shape = dict(img_shape=size, ori_shape=size, pad_shape=size)
        sample = SegDataSample(metainfo=dict(shape, img_path=f"{len(samples)}.jpg"))
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8) for _ in counts]
    return dict(inputs=images, data_samples=samples)


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on; what is drawn at random is the same in every call."""
    torch.manual_seed(0)
    raw = model(**model.data_preprocessor(data, training=True), mode="loss")
    return model.parse_losses(raw)[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """Scores and label map of each image."""
    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(data), mode="predict")
    model.train()
    return [x for r in results for x in (r.seg_logits.data, r.pred_sem_seg.data)]


def check_predictions(model: nn.Module, found: list[Tensor], size: tuple[int, int]) -> None:
    """A score a class and pixel, and one class a pixel."""
    scores, labels = found
    assert scores.shape == (num_classes(model), *size)
    assert labels.shape == (1, *size)
    assert torch.equal(labels[0], scores.argmax(0))
