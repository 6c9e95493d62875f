"""Rows of Generalized Focal Loss at COCO's size: two images of 800 x 1344, 44,800 places, 80 classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from mmext.registry import MODELS

N, K, BINS = 44_800, 80, 17
HEIGHT, WIDTH, STRIDES = 800, 1344, (8, 16, 32, 64, 128)


@dataclass
class Case:
    """One side of a row: ``forward`` for the bytes it keeps, ``run`` for everything else."""

    forward: Callable[[], Any]
    run: Callable[[], Any]


def _scope(side: str) -> str:
    return {"ours": "mmext", "upstream": "mmdet"}[side]


def _train(loss: Callable[[], Tensor], leaves: list[Tensor]) -> Case:
    """Forward and backward, gradients dropped in between."""

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        loss().backward()

    return Case(loss, run)


def qfl(side: str) -> Case:
    """Quality Focal Loss, forward and backward."""
    loss = MODELS.build(dict(type=f"{_scope(side)}.QualityFocalLoss", use_sigmoid=True))
    pred = (torch.randn(N, K) - 4).requires_grad_()
    label = torch.full((N,), K)
    label[:300] = torch.randint(0, K, (300,))
    quality = torch.rand(N) * (label < K)
    weight = torch.ones(N)
    return _train(lambda: loss(pred, (label, quality), weight=weight, avg_factor=300.0), [pred])


def dfl(side: str) -> Case:
    """Distribution Focal Loss of 4,000 positives, forward and backward."""
    loss = MODELS.build(dict(type=f"{_scope(side)}.DistributionFocalLoss"))
    pred, target = torch.randn(16_000, BINS, requires_grad=True), torch.rand(16_000) * 15.9
    weight = torch.ones(16_000)
    return _train(lambda: loss(pred, target, weight=weight, avg_factor=4.0), [pred])


def _head(side: str) -> Any:
    scope = _scope(side)
    return MODELS.build(
        dict(
            type=f"{scope}.GFLHead",
            num_classes=K,
            in_channels=8,
            feat_channels=8,
            stacked_convs=0,
            loss_cls=dict(type=f"{scope}.QualityFocalLoss", use_sigmoid=True),
            loss_dfl=dict(type=f"{scope}.DistributionFocalLoss", loss_weight=0.25),
            loss_bbox=dict(type="mmdet.GIoULoss", loss_weight=2.0),
            bbox_coder=dict(type="mmdet.DistancePointBBoxCoder"),
            anchor_generator=dict(
                type="mmdet.AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=8,
                scales_per_octave=1,
                strides=STRIDES,
            ),
            train_cfg=ConfigDict(
                assigner=dict(type="mmdet.ATSSAssigner", topk=9),
                allowed_border=-1,
                pos_weight=-1,
                debug=False,
            ),
            test_cfg=ConfigDict(
                nms_pre=1000,
                min_bbox_size=0,
                score_thr=0.05,
                nms=dict(type="nms", iou_threshold=0.6),
                max_per_img=100,
            ),
        )
    )


def _maps(batch: int, channels: int, shift: float) -> list[Tensor]:
    sizes = [(-(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES]
    return [torch.randn(batch, channels, h, w) - shift for h, w in sizes]


def _meta() -> dict:
    shape = (HEIGHT, WIDTH)
    return dict(img_shape=shape, pad_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))


def loss_by_feat(side: str) -> Case:
    """The head's whole loss of two images with seven boxes each, assignment included."""
    head = _head(side)
    scores = [x.requires_grad_() for x in _maps(2, K, 4)]
    boxes = [x.requires_grad_() for x in _maps(2, 4 * BINS, 0)]
    extent = torch.rand(2, 7, 2) * 300 + 16
    corner = torch.rand(2, 7, 2) * (torch.tensor([WIDTH, HEIGHT]) - extent)
    truth = torch.cat([corner, corner + extent], 2)
    labels = torch.randint(0, K, (2, 7))

    def loss() -> Tensor:
        instances = [InstanceData(bboxes=b, labels=y) for b, y in zip(truth, labels, strict=True)]
        out = head.loss_by_feat(scores, boxes, instances, [_meta(), _meta()])
        # mmdet gives a list of one loss a level, ours is one for all
        return torch.stack([torch.stack(v).sum() if isinstance(v, list) else v for v in out.values()]).sum()

    return _train(loss, scores + boxes)


def predict(side: str) -> Case:
    """Boxes of one image, from the maps to the result of non-maximum suppression."""
    head = _head(side)
    scores, boxes = _maps(1, K, 6), _maps(1, 4 * BINS, 0)

    def run() -> Any:
        with torch.no_grad():
            return head.predict_by_feat(scores, boxes, None, [_meta()])

    return Case(run, run)
