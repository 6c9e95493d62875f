"""How the contract suite drives mmdet: build a model from a config, make a batch, take the loss."""

import copy

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from tests.contract.parts import built

NUM_STUFF = 183  # COCO's things and stuff, as in HTC's semantic branch


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    cfg = Config.fromfile(path)
    lessen(cfg.model)
    return built(cfg, MODELS, init=init)


def lessen(cfg) -> None:
    """Fewer proposals and samples: a second stage takes most of the time, and is the host's own."""
    train, test = cfg.get("train_cfg") or {}, cfg.get("test_cfg") or {}
    stages = train.get("rcnn") or []
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 32
    for proposals in (train.get("rpn_proposal"), test.get("rpn")):
        if proposals:
            proposals.update(nms_pre=64, max_per_img=32)
    if "rcnn" in test:
        test.rcnn.max_per_img = 8


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    head = (model.roi_head if hasattr(model, "roi_head") else model).bbox_head
    return (head[0] if isinstance(head, nn.ModuleList) else head).num_classes


def image_size(model: nn.Module) -> tuple[int, int]:
    """A small size that the model takes; SSD is made for one."""
    head = getattr(model, "bbox_head", None)
    side = getattr(getattr(head, "prior_generator", None), "input_size", None)
    return (side, side) if side else (128, 160)


def why_not_bf16(model: nn.Module) -> str:
    """What keeps the host from training this model in bfloat16; empty if nothing does."""
    return ""


def two_rank_batch(model: nn.Module) -> dict | None:
    """Two images, one a rank, with which two ranks must equal one process; None if no batch can.

    Some of mmdet's heads divide by the objects of all ranks: then the ranks may differ. RetinaHead
    and SSDHead divide by those of their own rank, which is the same only if both see the same
    image. A two-stage detector also draws its samples at random, in another order on two ranks.
    """
    if hasattr(model, "roi_head"):
        return None
    if isinstance(model.bbox_head, ATSSHead | FCOSHead | GFLHead):
        # many: GFL divides by a sum of scores, or by 1 if that is less
        return batch(counts=(60, 30))
    twice = batch(counts=(4,))
    return {key: [*values, *copy.deepcopy(values)] for key, values in twice.items()}


def batch(counts, size=(96, 128), *, ignored=False, num_classes=1, seed=0) -> dict:
    """Random images with that many random boxes each, as a data loader gives them.

    A box's mask is its whole rectangle, and the map of stuff classes is noise; models without such
    branches do not look at them.
    """
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
        boxes.masks = rectangles(boxes.bboxes, size)
        none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        none.masks = rectangles(none.bboxes, size)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=len(samples)
            )
        )
        stuff = torch.randint(0, NUM_STUFF, (1, *size), generator=g)
        sample.gt_sem_seg = PixelData(sem_seg=stuff)
        sample.gt_instances, sample.ignored_instances = (none, boxes) if ignored else (boxes, none)
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), generator=g, dtype=torch.uint8) for _ in counts]
    return dict(inputs=images, data_samples=samples)


def rectangles(boxes: Tensor, size: tuple[int, int]) -> BitmapMasks:
    """A mask for each box: all of it."""
    rows, columns = (torch.arange(length) + 0.5 for length in size)
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    inside_rows = (rows > top) & (rows < bottom)
    inside_columns = (columns > left) & (columns < right)
    masks = inside_rows[:, :, None] & inside_columns[:, None]
    return BitmapMasks(masks.numpy().astype("uint8"), *size)


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
