"""How the contract suite drives mmaction2: build a config's model, make a batch, take the loss."""

import copy

import torch
from mmaction.models import Recognizer3D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from torch import Tensor, nn

from tests.contract.parts import built

T = 8  # frames of a clip unless the size says otherwise


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    return built(Config.fromfile(path), MODELS, init=init)


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return model.cls_head.num_classes


def image_size(model: nn.Module) -> tuple[int, int, int]:
    """A small size that the model takes: frames, height, width."""
    return getattr(model.cls_head, "num_segments", None) or T, 48, 64


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return "mmaction2's heads hand scores to numpy, which knows no bfloat16"


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two clips, one a rank, with which two ranks must equal one process; None if no batch can.

    Batch statistics are those of the rank, which are the joined batch's only if both see the same
    clip.
    """
    twice = batch(counts=(4,))
    return {key: [*values, *copy.deepcopy(values)] for key, values in twice.items()}


def batch(counts, size=(40, 56), *, ignored=False, num_classes=2, seed=0) -> dict:
    """Random clips with a random label each, as a data loader gives them.

    Args:
        counts: one entry a clip. Objects, and what is ignored of them, have no meaning here.
        size: height and width, or frames, height and width.
    """
    del ignored
    g = torch.Generator().manual_seed(seed)
    T_, H, W = size if len(size) == 3 else (T, *size)
    samples = []
    for number, _ in enumerate(counts):
        sample = ActionDataSample(metainfo=dict(img_shape=(H, W), img_id=number))
        sample.set_gt_label(int(torch.randint(0, num_classes, (), generator=g)))
        samples.append(sample)
    clips = [torch.randint(0, 256, (T_, 3, H, W), generator=g, dtype=torch.uint8) for _ in counts]
    return dict(inputs=clips, data_samples=samples)


def _preprocess(model: nn.Module, data: dict, *, training: bool) -> dict:
    """What the model's own preprocessing makes of the batch; 3D models want (views, C, T, H, W)."""
    if isinstance(model, Recognizer3D):
        data = {**data, "inputs": [clip.transpose(0, 1)[None] for clip in data["inputs"]]}
    return model.data_preprocessor(data, training=training)


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on; what is drawn at random is the same in every call."""
    torch.manual_seed(0)
    raw = model(**_preprocess(model, data, training=True), mode="loss")
    return model.parse_losses(raw)[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """The scores of each clip."""
    model.eval()
    with torch.no_grad():
        results = model(**_preprocess(model, data, training=False), mode="predict")
    model.train()
    return [result.pred_score for result in results]


def check_predictions(model: nn.Module, found: list[Tensor], size: tuple[int, int, int]) -> None:
    """Each clip has one probability a class."""
    for scores in found:
        assert scores.shape == (num_classes(model),)
        assert abs(float(scores.sum()) - 1) < 1e-5
