"""One interface to five kinds of heads: build ours and the host's, make outputs, take losses."""

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from tests.contract.parts import ROOT

BASES = {
    "RetinaHead": "retinanet_mobilenet-v2_fpn",
    "SSDHead": "ssd_mobilenet-v2",
    "ATSSHead": "atss_mobilenet-v2_fpn",
    "FCOSHead": "fcos_mobilenet-v2_fpn",
    "Shared2FCBBoxHead": "faster_rcnn_mobilenet-v2_fpn",
}
KINDS = list(BASES)
DENSE = KINDS[:4]
K = 6
SIZE = 160
OFF = dict(eta=0, lam=0, w_loc=1)


def build(kind, balance=None, **changes):
    """Ours with that balance, or mmdet's without one; training mode."""
    init_default_scope("mmdet")
    model = Config.fromfile(ROOT / f"configs/_base_/models/{BASES[kind]}.py").model
    if kind in DENSE:
        cfg = dict(model.bbox_head, train_cfg=model.get("train_cfg"), test_cfg=model.test_cfg)
    else:
        cfg = dict(model.roi_head.bbox_head)
    cfg |= dict(num_classes=K, **changes)
    if balance is not None:
        cfg |= dict(type=f"mmext.IoUBalanced{kind}", iou_balance=balance)
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def outputs(kind, num_images=2, seed=0, dtype=torch.float32):
    """Random outputs of a head as leaves: boxes near their anchors, scores around 0.1."""
    g = torch.Generator().manual_seed(seed)
    if kind == "Shared2FCBBoxHead":
        shapes = [(16 * num_images, K + 1), (16 * num_images, 4 * K)]
    else:
        head = build(kind)
        channels = (
            head.in_channels if isinstance(head.in_channels, tuple) else [head.in_channels] * 3
        )
        strides = (16, 32, 64, 107) if kind == "SSDHead" else (8, 16, 32)
        feats = [
            torch.zeros(num_images, c, -(-SIZE // s), -(-SIZE // s))
            for c, s in zip(channels, strides, strict=True)
        ]
        with torch.no_grad():
            shapes = [[x.shape for x in maps] for maps in head(feats)]

    def leaf(shape, shift, scale):
        x = torch.randn(shape, generator=g) * scale + shift
        return x.abs().to(dtype) if kind == "FCOSHead" and shape[1] == 4 else x.to(dtype)

    out = []
    for index, shape in enumerate(shapes):
        shift, scale = [(-2.0, 1.0), (0.0, 0.1), (0.0, 1.0)][index]
        if kind == "FCOSHead" and index == 1:
            shift, scale = 2.5, 0.5  # distances in strides
        one = isinstance(shape, tuple) and isinstance(shape[0], int)
        made = leaf(shape, shift, scale) if one else [leaf(s, shift, scale) for s in shape]
        out.append(made)
    for x in flat(out):
        x.requires_grad_()
    return out


def flat(out):
    return [x for maps in out for x in (maps if isinstance(maps, list) else [maps])]


def truth(counts, seed=0):
    """Random boxes of 24 to 90 pixels."""
    g = torch.Generator().manual_seed(seed)
    instances = []
    for count in counts:
        extent = torch.rand(count, 2, generator=g) * 66 + 24
        corner = torch.rand(count, 2, generator=g) * (SIZE - extent)
        labels = torch.randint(0, K, (count,), generator=g)
        instances.append(
            InstanceData(bboxes=torch.cat([corner, corner + extent], 1), labels=labels)
        )
    return instances


def losses(kind, head, out, gts):
    """Everything that the head returns for these outputs and ground truths."""
    if kind == "Shared2FCBBoxHead":
        return head.loss(*out, *rois(head, gts))
    meta = dict(img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE), batch_input_shape=(SIZE, SIZE))
    return head.loss_by_feat(*out, gts, [meta] * len(gts))


def rois(head, gts, per_image=16):
    """RoIs near ground truths and elsewhere, with their targets, as the sampler would give them."""
    g = torch.Generator().manual_seed(5)
    columns = []
    for i, gt in enumerate(gts):
        P = min(2 * len(gt), per_image // 2)
        near = gt.bboxes.repeat(2, 1)[:P] + torch.randn(P, 4, generator=g) * 4
        far = torch.rand(per_image - P, 2, generator=g) * 100
        boxes = torch.cat([near, torch.cat([far, far + 20], 1)])
        label = torch.full((per_image,), K)
        label[:P] = gt.labels.repeat(2)[:P]
        target = torch.zeros(per_image, 4)
        matched = gt.bboxes.repeat(2, 1)[:P]
        target[:P] = matched if head.reg_decoded_bbox else head.bbox_coder.encode(near, matched)
        weight = torch.zeros(per_image, 4)
        weight[:P] = 1
        index = torch.full((per_image, 1), float(i))
        columns.append((torch.cat([index, boxes], 1), label, torch.ones(per_image), target, weight))
    return [torch.cat(x) for x in zip(*columns, strict=True)]


def total(value):
    """A loss that may be a list of parts."""
    return sum(x.sum() for x in value) if isinstance(value, list | tuple) else value.sum()


def step(kind, head, out, gts):
    """Losses by name and gradients of their sum with respect to the outputs."""
    found = losses(kind, head, out, gts)
    sums = {key: total(value) for key, value in found.items() if "loss" in key}
    grads = torch.autograd.grad(sum(sums.values()), flat(out), allow_unused=True)
    return found, {key: value.detach() for key, value in sums.items()}, grads
