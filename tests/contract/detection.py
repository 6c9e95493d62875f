"""How the contract suite drives mmdet: build a model from a config, make a batch, take the loss."""

import copy

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from tests.contract.parts import forget_files


def build(path) -> nn.Module:
    """The model of a config with the weights it is initialised with, but no file of pretrained ones."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    forget_files(cfg.model)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return (model.roi_head if hasattr(model, "roi_head") else model).bbox_head.num_classes


def image_size(model: nn.Module) -> tuple[int, int]:
    """A small size that the model takes; SSD is made for one."""
    head = getattr(model, "bbox_head", None)
    side = getattr(getattr(head, "prior_generator", None), "input_size", None)
    return (side, side) if side else (128, 160)


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return "mmcv's nms and RoIAlign know no bfloat16" if hasattr(model, "roi_head") else ""


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two images, one a rank, with which two ranks must equal one process; None if no batch can.

    Some of mmdet's heads divide by the objects of all ranks: then the ranks may differ. RetinaHead and
    SSDHead divide by those of their own rank, which is the same only if both see the same image. A
    two-stage detector also draws its samples at random, in another order on two ranks.
    """
    if hasattr(model, "roi_head"):
        return None
    if isinstance(model.bbox_head, ATSSHead | FCOSHead | GFLHead):
        return batch(counts=(5, 1))
    twice = batch(counts=(4,))
    return {key: [*values, *copy.deepcopy(values)] for key, values in twice.items()}


def batch(counts, size=(96, 128), *, ignored=False, num_classes=1, seed=0) -> dict:
    """Random images with that many random boxes each, as a data loader gives them."""
    g = torch.Generator().manual_seed(seed)
    height, width = size
    samples = []
    for count in counts:
        extent = torch.rand(count, 2, generator=g) * 30 + 10
        corner = torch.rand(count, 2, generator=g) * (torch.tensor([width, height]) - extent)
        boxes = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1),
            labels=torch.randint(0, num_classes, (count,), generator=g),
        )
        none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        sample = DetDataSample(
            metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=len(samples))
        )
        sample.gt_instances, sample.ignored_instances = (none, boxes) if ignored else (boxes, none)
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8) for _ in counts]
    return dict(inputs=images, data_samples=samples)


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on; what is drawn at random is the same in every call."""
    torch.manual_seed(0)
    raw = model(**model.data_preprocessor(data, training=True), mode="loss")
    return model.parse_losses(raw)[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """Boxes and scores of each image."""
    model.eval()
    with torch.no_grad():
        results = model(**model.data_preprocessor(data), mode="predict")
    model.train()
    return [x for r in results for x in (r.pred_instances.bboxes, r.pred_instances.scores)]


def check_predictions(model: nn.Module, found: list[Tensor], size: tuple[int, int]) -> None:
    """One box of four numbers a score."""
    boxes, scores = found
    assert boxes.shape == (len(scores), 4)
