"""Quality heads beside their hosts of equal weights, and the losses of each as a loop over rows."""

import copy
import itertools
import math

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead, RetinaHead
from mmengine.config import ConfigDict

from mmext.detection.gfl.quality_atss import QualityATSSHead
from mmext.detection.gfl.quality_fcos import QualityFCOSHead
from mmext.detection.gfl.quality_retina import QualityRetinaHead
from tests.detection.gfl.scenes import STRIDES, ground_truth, host_cfg
from tests.detection.gfl.test_losses import oracle_dfl, oracle_qfl

SIZE = (96, 128)
DFL = dict(type="mmext.DistributionFocalLoss", loss_weight=0.25)
GIOU = dict(type="mmdet.GIoULoss", loss_weight=2.0)
FOCAL = dict(type="mmdet.FocalLoss", use_sigmoid=True)
MAX_IOU = dict(
    type="mmdet.MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1
)
RETINA_TRAIN = ConfigDict(assigner=MAX_IOU, allowed_border=-1, pos_weight=-1, debug=False)
IMPROVED = dict(norm_on_bbox=True, center_sampling=True)

# name: (our class, its own arguments, host, what both share). With few bins some targets lie beyond
# the last.
KINDS = {
    "retina": (QualityRetinaHead, {}, RetinaHead, dict(train_cfg=RETINA_TRAIN)),
    "retina-decoded": (
        QualityRetinaHead,
        {},
        RetinaHead,
        dict(train_cfg=RETINA_TRAIN, reg_decoded_bbox=True, loss_bbox=GIOU),
    ),
    "atss": (QualityATSSHead, {}, ATSSHead, dict(loss_bbox=GIOU)),
    "atss-dfl": (QualityATSSHead, dict(loss_dfl=DFL, reg_max=3), ATSSHead, dict(loss_bbox=GIOU)),
    "fcos": (QualityFCOSHead, {}, FCOSHead, dict(strides=STRIDES, **IMPROVED, loss_bbox=GIOU)),
    "fcos-plain": (QualityFCOSHead, {}, FCOSHead, dict(strides=STRIDES, loss_bbox=GIOU)),
    "fcos-dfl": (
        QualityFCOSHead,
        dict(loss_dfl=DFL, reg_max=12),
        FCOSHead,
        dict(strides=STRIDES, **IMPROVED, loss_bbox=GIOU),
    ),
}
CENTERNESS = [name for name in KINDS if not name.startswith("retina")]
HOST_CODER = {
    ATSSHead: dict(type="mmdet.DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2]),
    FCOSHead: dict(type="mmdet.DistancePointBBoxCoder"),
    RetinaHead: dict(type="mmdet.DeltaXYWHBBoxCoder"),
}
HOST_ANCHORS = {
    ATSSHead: dict(ratios=[1.0], octave_base_scale=8, scales_per_octave=1),
    RetinaHead: dict(ratios=[0.5, 1.0, 2.0], octave_base_scale=4, scales_per_octave=3),
}


def scene(counts, seed=0):
    """Random small boxes, and one box an image that nearly fills it, for the coarser levels."""
    instances, metas = ground_truth(counts, *SIZE, seed=seed)
    for image in instances:
        image.bboxes[:1] = torch.tensor([[6.0, 5.0, 117.0, 88.0]])
    return instances, metas


def build(kind, **changes):
    """Our head, freshly initialised."""
    cls, mine, _, shared = KINDS[kind]
    torch.manual_seed(0)
    head = cls(**{**host_cfg(), **shared, **mine, **changes})
    head.init_weights()
    return head.train()


def build_host(kind, **changes):
    """mmdet's head of the same net, with focal loss unless said otherwise."""
    _, _, host, shared = KINDS[kind]
    cfg = {**host_cfg(), **shared, "loss_cls": FOCAL, "bbox_coder": HOST_CODER[host], **changes}
    if host is not RetinaHead:
        cfg["loss_centerness"] = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)
    else:
        cfg.setdefault("loss_bbox", dict(type="mmdet.SmoothL1Loss", beta=1 / 9))
    if host is not FCOSHead:
        cfg["anchor_generator"] = dict(
            type="mmdet.AnchorGenerator", strides=STRIDES, **HOST_ANCHORS[host]
        )
    torch.manual_seed(1)
    head = host(**cfg)
    head.init_weights()
    return head.train()


def maps(head, batch, height, width, seed=0, dtype=torch.float32):
    """Leaves as from the head's forward: scores around 0.1, boxes that overlap their targets."""
    g = torch.Generator().manual_seed(seed)
    bins, per_place = getattr(head, "reg_max", 0) + 1, head.num_base_priors
    sizes = [(-(-height // s), -(-width // s)) for s in STRIDES]
    scores = [
        torch.randn(batch, per_place * head.num_classes, h, w, generator=g) - 2.5 for h, w in sizes
    ]
    boxes = [torch.randn(batch, per_place * 4 * bins, h, w, generator=g) for h, w in sizes]
    if isinstance(head, FCOSHead) and bins == 1:  # distances, in strides or in pixels
        boxes = [
            b.abs() * (3 if head.norm_on_bbox else 3 * s)
            for b, s in zip(boxes, STRIDES, strict=True)
        ]
    elif bins == 1:
        boxes = [b * 0.3 for b in boxes]
    return tuple([x.to(dtype).requires_grad_() for x in level] for level in (scores, boxes))


def box_overlap(a, b):
    """IoU and GIoU of two boxes of four floats each."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return both / union, both / union - (hull - union) / hull


def decode(head, prior, pred, stride):
    """The predicted box in pixels from an anchor or a point and the channels of one row."""
    if isinstance(head, ATSSHead | RetinaHead) and not getattr(head, "reg_max", 0):
        stds = (0.1, 0.1, 0.2, 0.2) if isinstance(head, ATSSHead) else (1, 1, 1, 1)
        dx, dy, dw, dh = (p * s for p, s in zip(pred, stds, strict=True))
        w, h = prior[2] - prior[0], prior[3] - prior[1]
        x, y = prior[0] + w / 2 + dx * w, prior[1] + h / 2 + dy * h
        w, h = w * math.exp(dw), h * math.exp(dh)
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    x, y = center(prior)
    if head.reg_max:
        R = head.reg_max + 1
        sides = [pred[i * R : (i + 1) * R] for i in range(4)]
        pred = [
            sum(j * math.exp(v) for j, v in enumerate(s)) / sum(map(math.exp, s)) for s in sides
        ]
    unit = stride if head.reg_max or head.norm_on_bbox else 1
    left, top, right, bottom = (unit * p for p in pred)
    return x - left, y - top, x + right, y + bottom


def targets_of(head, sizes, instances, metas):
    """Priors, labels, label weights, ground-truth boxes in pixels of each level, as (B, n, ...)."""
    B = len(metas)
    if isinstance(head, FCOSHead):
        points = head.prior_generator.grid_priors(sizes, device="cpu")
        labels, reach = head.get_targets(points, instances)
        for at, y, distance, stride in zip(points, labels, reach, STRIDES, strict=True):
            d = distance.reshape(B, -1, 4) * (stride if head.norm_on_bbox else 1)
            gt = torch.cat([at - d[..., :2], at + d[..., 2:]], -1)
            yield at.expand(B, -1, 2), y.reshape(B, -1), torch.ones(B, len(at)), gt
        return
    anchors, flags = head.get_anchors(sizes, metas, device="cpu")
    flat = [[level.clone() for level in image] for image in anchors]
    targets = head.get_targets(anchors, flags, instances, metas)
    labels, weights, gts = targets[1:4] if isinstance(head, ATSSHead) else targets[:3]
    for i, (y, w, gt) in enumerate(zip(labels, weights, gts, strict=True)):
        at = torch.stack([image[i] for image in flat])
        if isinstance(head, RetinaHead) and not head.reg_decoded_bbox:
            gt = head.bbox_coder.decode(at, gt)
        yield at, y, w, gt


def center(prior):
    """The point from which distances count: a point itself, or the middle of an anchor."""
    return prior if len(prior) == 2 else [(prior[0] + prior[2]) / 2, (prior[1] + prior[3]) / 2]


def oracle_side_loss(head, prior, pred, gt, stride):
    """Distribution Focal Loss of one row, averaged over its sides, with the loss weight of DFL."""
    x, y = center(prior)
    reach = torch.tensor([x - gt[0], y - gt[1], gt[2] - x, gt[3] - y]).double() / stride
    return 0.25 * oracle_dfl(pred.reshape(4, -1), reach.clamp(0, head.reg_max - 0.1)).mean().item()


def level_rows(head, score, box):
    """Logits and predictions of each image, place and anchor of a level: (b, n, (K,), (C,))."""
    A, K = head.num_base_priors, head.num_classes
    C = box.shape[1] // A
    B, _, H, W = score.shape
    for b, y, x, a in itertools.product(range(B), range(H), range(W), range(A)):
        at = (b, y, x)
        logits, pred = (m.detach().double().permute(0, 2, 3, 1)[at] for m in (score, box))
        yield b, (y * W + x) * A + a, logits[a * K : (a + 1) * K], pred[a * C : (a + 1) * C]


def oracle(head, scores, boxes, instances, metas):
    """The losses of a head, row by row: Eq. 2 with the IoU, and the box losses of Eq. 8."""
    qfl, giou, dfl, weight, num_pos = 0.0, 0.0, 0.0, 0.0, [0] * len(metas)
    levels = targets_of(head, [s.shape[-2:] for s in scores], instances, metas)
    for score, box, stride, targets in zip(scores, boxes, STRIDES, levels, strict=True):
        for b, n, logits, pred in level_rows(head, score, box):
            prior, label, label_weight, gt = (x[b, n] for x in targets)
            iou = 0.0
            if label < head.num_classes:
                prior, gt, q = prior.tolist(), gt.tolist(), logits.max().sigmoid().item()
                iou, generalised = box_overlap(decode(head, prior, pred.tolist(), stride), gt)
                num_pos[b] += 1
                weight += q
                giou += q * 2 * (1 - generalised)
                if getattr(head, "reg_max", 0):
                    dfl += q * oracle_side_loss(head, prior, pred, gt, stride)
            row = oracle_qfl(logits[None], label[None], torch.tensor([iou]), 2.0)
            qfl += label_weight.item() * row.item()
    # mmdet counts at least one positive an image, FCOS at least one a batch.
    total = max(sum(num_pos), 1) if isinstance(head, FCOSHead) else sum(max(n, 1) for n in num_pos)
    losses = dict(loss_cls=qfl / total, loss_bbox=giou / weight, loss_dfl=dfl / weight)
    if isinstance(head, RetinaHead):
        return dict(loss_cls=losses["loss_cls"])  # its box loss is the host's
    return (
        losses if head.reg_max else dict(loss_cls=losses["loss_cls"], loss_bbox=losses["loss_bbox"])
    )


def losses_of(head, scores, boxes, instances, metas, ignore=None):
    """Losses, those given per level added up."""
    out = head.loss_by_feat(scores, boxes, copy.deepcopy(instances), metas, copy.deepcopy(ignore))
    return {name: sum(loss) if isinstance(loss, list) else loss for name, loss in out.items()}


def host_losses(host, scores, boxes, instances, metas):
    """The host's losses; its centerness, where it has one, is a constant."""
    extra = [] if hasattr(host, "retina_cls") else [[torch.zeros_like(b[:, :1]) for b in boxes]]
    out = host.loss_by_feat(scores, boxes, *extra, copy.deepcopy(instances), metas)
    return {name: sum(loss) if isinstance(loss, list) else loss for name, loss in out.items()}
