"""Rows of GFL at COCO's size: two images of 800 x 1344, 44,800 places, 80 classes."""

from typing import Any

import torch
from mmengine.config import ConfigDict

from mmext.registry import MODELS

from .cases import STRIDES, Case, K, maps, meta, scope, seven_boxes, total, train

N, BINS = 44_800, 17


def qfl(side: str) -> Case:
    """Quality Focal Loss, forward and backward."""
    loss = MODELS.build(dict(type=f"{scope(side)}.QualityFocalLoss", use_sigmoid=True))
    pred = (torch.randn(N, K) - 4).requires_grad_()
    label = torch.full((N,), K)
    label[:300] = torch.randint(0, K, (300,))
    quality = torch.rand(N) * (label < K)
    weight = torch.ones(N)
    return train(lambda: loss(pred, (label, quality), weight=weight, avg_factor=300.0), [pred])


def dfl(side: str) -> Case:
    """Distribution Focal Loss of 4,000 positives, forward and backward."""
    loss = MODELS.build(dict(type=f"{scope(side)}.DistributionFocalLoss"))
    pred, target = torch.randn(16_000, BINS, requires_grad=True), torch.rand(16_000) * 15.9
    weight = torch.ones(16_000)
    return train(lambda: loss(pred, target, weight=weight, avg_factor=4.0), [pred])


def _head(side: str) -> Any:
    owner = scope(side)
    return MODELS.build(
        dict(
            type=f"{owner}.GFLHead",
            num_classes=K,
            in_channels=8,
            feat_channels=8,
            stacked_convs=0,
            loss_cls=dict(type=f"{owner}.QualityFocalLoss", use_sigmoid=True),
            loss_dfl=dict(type=f"{owner}.DistributionFocalLoss", loss_weight=0.25),
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


def loss_by_feat(side: str) -> Case:
    """The head's whole loss of two images with seven boxes each, assignment included."""
    head = _head(side)
    scores = [x.requires_grad_() for x in maps(2, K, 4)]
    boxes = [x.requires_grad_() for x in maps(2, 4 * BINS, 0)]
    truth = seven_boxes(2)
    return train(
        lambda: total(head.loss_by_feat(scores, boxes, truth(), [meta(), meta()])), scores + boxes
    )


def predict(side: str) -> Case:
    """Boxes of one image, from the maps to the result of non-maximum suppression."""
    head = _head(side)
    scores, boxes = maps(1, K, 6), maps(1, 4 * BINS, 0)

    def run() -> Any:
        with torch.no_grad():
            return head.predict_by_feat(scores, boxes, None, [meta()])

    return Case(run, run)
