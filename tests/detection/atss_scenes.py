"""Scenes for the ATSS assigner, the paper's algorithm as a loop, and a call's largest tensor."""

import math
import statistics
from collections import defaultdict

import torch
from mmengine.structures import InstanceData
from torch.utils._python_dispatch import TorchDispatchMode

from mmext.registry import TASK_UTILS
from tests.detection.gfl.scenes import ground_truth

ONE_ANCHOR = dict(
    type="mmdet.AnchorGenerator",
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
NINE_ANCHORS = dict(
    type="mmdet.AnchorGenerator",
    ratios=[0.5, 1.0, 2.0],
    octave_base_scale=4,
    scales_per_octave=3,
    strides=[8, 16, 32, 64, 128],
)


def anchors(height, width, cfg=ONE_ANCHOR):
    """Anchors of every level."""
    generator = TASK_UTILS.build(cfg)
    return generator.grid_priors(
        [(-(-height // s), -(-width // s)) for s, _ in generator.strides], device="cpu"
    )


def scene(num_boxes, height=256, width=320, seed=0, cfg=ONE_ANCHOR):
    """Arguments of assign(): anchors and random boxes, whose distances are all different."""
    levels = anchors(height, width, cfg)
    (truth,), _ = ground_truth((num_boxes,), height, width, seed=seed)
    return InstanceData(priors=torch.cat(levels)), [len(level) for level in levels], truth


def instances(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)) + 5)


def assert_same(ours, host):
    assert ours.num_gts == host.num_gts
    assert torch.equal(ours.gt_inds, host.gt_inds)
    assert torch.equal(ours.labels, host.labels)
    assert torch.equal(ours.max_overlaps, host.max_overlaps)


def overlap(a, b):
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    areas = ((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
    return shared / max(sum(areas) - shared, 1e-6)


def oracle(priors, sizes, boxes, topk):
    """Algorithm 1 of the paper as a loop over boxes and levels, in Python floats.

    ``topk`` holds a number for each level. Returns the box of each prior, from 1 on, and 0 for
    none.
    """
    priors, boxes = priors.tolist(), boxes.tolist()
    center = [((p[0] + p[2]) / 2, (p[1] + p[3]) / 2) for p in priors]
    claims = defaultdict(list)
    for g, box in enumerate(boxes):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        candidates, start = [], 0
        for size, k in zip(sizes, topk, strict=True):
            level = range(start, start + size)
            candidates += sorted(level, key=lambda i: (math.dist(center[i], middle), i))[:k]
            start += size
        iou = {i: overlap(priors[i], box) for i in candidates}
        spread = statistics.stdev(iou.values()) if len(iou) > 1 else 0.0
        threshold = statistics.mean(iou.values()) + spread
        for i in candidates:
            x, y = center[i]
            if iou[i] >= threshold and min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01:
                claims[i].append((-iou[i], g))
    return torch.tensor([min(claims[i])[1] + 1 if i in claims else 0 for i in range(len(priors))])


class LargestTensor(TorchDispatchMode):
    """Bytes of the largest storage that any operator returns."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, torch.Tensor):
                self.bytes = max(self.bytes, x.untyped_storage().nbytes())
        return out
