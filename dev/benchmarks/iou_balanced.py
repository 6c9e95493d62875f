"""Rows of IoU-balanced losses at COCO's size: 403,200 anchors, seven boxes an image.

The anchors are those of two images of 800 x 1344.
"""

from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from torch import Tensor

from mmext.detection.iou_balanced.losses import iou_balanced_weight
from mmext.detection.iou_balanced.positives import compared_and_iou
from mmext.functional import foreground
from mmext.registry import MODELS

from .cases import STRIDES, Case, K, maps, meta, seven_boxes, total, train


def _head(kind: str, **more: Any) -> Any:
    return MODELS.build(
        dict(
            type=kind,
            num_classes=K,
            in_channels=8,
            feat_channels=8,
            stacked_convs=0,
            anchor_generator=dict(
                type="mmdet.AnchorGenerator",
                octave_base_scale=4,
                scales_per_octave=3,
                ratios=[0.5, 1.0, 2.0],
                strides=STRIDES,
            ),
            loss_cls=dict(type="mmdet.FocalLoss", use_sigmoid=True),
            loss_bbox=dict(type="mmdet.SmoothL1Loss", beta=0.11),
            train_cfg=ConfigDict(
                assigner=dict(
                    type="mmdet.MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0
                ),
                sampler=dict(type="mmdet.PseudoSampler"),
                allowed_border=-1,
                pos_weight=-1,
            ),
            **more,
        )
    )


def loss_by_feat(side: str) -> Case:
    """RetinaHead's whole loss, assignment included, against mmdet's without weights."""
    head = {
        "ours": lambda: _head("mmext.IoUBalancedRetinaHead", iou_balance=dict(w_loc=3.049)),
        "upstream": lambda: _head("mmdet.RetinaHead"),
    }[side]()
    scores = [x.requires_grad_() for x in maps(2, 9 * K, 4)]
    boxes = [(x * 0.1).requires_grad_() for x in maps(2, 36, 0)]
    truth = seven_boxes(2)
    return train(
        lambda: total(head.loss_by_feat(scores, boxes, truth(), [meta(), meta()])), scores + boxes
    )


def weights(side: str) -> Case:
    """Both weights from predictions and targets; "upstream": of every anchor, as the authors do."""
    head = _head("mmext.IoUBalancedRetinaHead", iou_balance=dict(w_loc=3.049))
    M = 403_200
    corner, extent = torch.rand(M, 2) * 800, torch.rand(M, 2) * 300 + 16
    prior = torch.cat([corner, corner + extent], 1)
    pred, target = torch.randn(M, 4) * 0.1, torch.randn(M, 4) * 0.1
    label = torch.full((M,), K)
    label[torch.randperm(M)[:600]] = 0
    loss = torch.rand(M)

    def of_positives() -> tuple[Tensor, Tensor]:
        at = foreground(label, K)
        _, iou = compared_and_iou(head, prior[at], pred[at], target[at])
        return iou_balanced_weight(loss[at], iou, exponent=1.5), 3.049 * iou**1.5

    def of_all() -> tuple[Tensor, Tensor]:
        boxes, truth = head.bbox_coder.decode(prior, pred), head.bbox_coder.decode(prior, target)
        iou = bbox_overlaps(boxes, truth, is_aligned=True)
        positive = (label < K).float()
        power = iou**1.5 * positive
        Z = (loss * positive).sum() / ((power * loss).sum() + 1e-6)
        return power * Z + (1 - positive), 3.049 * power

    run = {"ours": of_positives, "upstream": of_all}[side]
    return Case(run, run)
