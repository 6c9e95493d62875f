"""RoIs with targets as mmdet's box heads get them, and heads of ours beside the host's."""

from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor

K = 5
GIOU = dict(type="GIoULoss", loss_weight=2.0)
CIOU = dict(type="CIoULoss", loss_weight=2.0)


class Scene(NamedTuple):
    """The arguments of ``BBoxHead.loss``, in its order."""

    cls_score: Tensor
    bbox_pred: Tensor
    rois: Tensor
    labels: Tensor
    label_weights: Tensor
    bbox_targets: Tensor
    bbox_weights: Tensor


def build(type_="SWNShared2FCBBoxHead", swn=None, **changes):
    """A head of ours with ``swn``, or mmdet's; the same weights but for the network's."""
    init_default_scope("mmdet")
    cfg = (
        dict(type=type_, num_classes=K, in_channels=4, fc_out_channels=8, roi_feat_size=3) | changes
    )
    if type_.startswith("SWN"):
        cfg |= dict(type=f"mmext.{type_}", swn=swn)
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def scene(positives=7, negatives=12, ignored=0, *, agnostic=False, decoded=False, seed=0) -> Scene:
    """Random outputs as leaves; the positives come first."""
    g = torch.Generator().manual_seed(seed)
    total = positives + negatives + ignored
    corner = torch.rand(total, 2, generator=g) * 100
    extent = torch.rand(total, 2, generator=g) * 40 + 20
    rois = torch.cat([torch.arange(total)[:, None] % 2, corner, corner + extent], 1)
    labels = torch.full((total,), K)
    labels[:positives] = torch.randint(0, K, (positives,), generator=g)
    weights = torch.ones(total)
    weights[positives + negatives :] = 0
    targets = torch.zeros(total, 4)
    shift = torch.randn(positives, 4, generator=g)
    targets[:positives] = rois[:positives, 1:] + 5 * shift if decoded else shift
    box_weights = torch.zeros(total, 4)
    box_weights[:positives] = 1
    width = 4 if agnostic else 4 * K
    return Scene(
        torch.randn(total, K + 1, generator=g).requires_grad_(),
        (0.5 * torch.randn(total, width, generator=g)).requires_grad_(),
        rois,
        labels,
        weights,
        targets,
        box_weights,
    )


def losses_of(head, x: Scene, **more) -> dict[str, Tensor]:
    return head.loss(*x, **more)


def gradients(head, x: Scene) -> dict[str, Tensor]:
    """Losses, and the gradients of scores and boxes."""
    found = losses_of(head, x)
    total = sum(value for key, value in found.items() if "loss" in key)
    scores, boxes = torch.autograd.grad(total, [x.cls_score, x.bbox_pred], allow_unused=True)
    return dict(
        loss_cls=found["loss_cls"].detach(),
        loss_bbox=found["loss_bbox"].detach(),
        scores=scores,
        boxes=boxes,
    )
