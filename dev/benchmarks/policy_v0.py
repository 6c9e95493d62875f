"""Row of self-training: policy v0 on a picture of 640 x 480 with seven boxes and their masks.

Upstream is mmdet's AutoAugment with the same five pairs, as far as mmdet has their operations: its
translation, shear and colour with the nearest magnitude that they take, its CutOut, and nothing in
place of what moves the content of boxes. One run takes each pair once, with every operation
certain.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import torch

from mmext.self_training.pseudo_labels import policy

from .cases import Case

HEIGHT, WIDTH, BOXES = 480, 640, 7
CERTAIN = 3.0  # of an operation on boxes: each is drawn with a third
UPSTREAM: tuple[Sequence[dict[str, Any]], ...] = (
    (dict(type="mmdet.TranslateX", level=10, max_mag=0.2), dict(type="mmdet.Equalize")),
    (dict(type="mmdet.CutOut", n_holes=1, cutout_shape=(160, 160), fill_in=(128, 128, 128)),),
    (dict(type="mmdet.ShearX", level=0),),
    (dict(type="mmdet.ShearY", level=10, max_mag=3.4),),
    (dict(type="mmdet.Rotate", level=10), dict(type="mmdet.Color", level=6)),
)


def picture() -> dict[str, Any]:
    """What mmdet's loading gives."""
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, [WIDTH - 200, HEIGHT - 200], (BOXES, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(40, 200, (BOXES, 2))], 1)
    bits = np.zeros((BOXES, HEIGHT, WIDTH), np.uint8)
    for layer, (x0, y0, x1, y1) in zip(bits, boxes.astype(int), strict=True):
        layer[y0:y1, x0:x1] = 1
    return dict(
        img=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        img_shape=(HEIGHT, WIDTH),
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32)),
        gt_bboxes_labels=np.zeros(BOXES, int),
        gt_ignore_flags=np.zeros(BOXES, bool),
        gt_masks=BitmapMasks(bits, HEIGHT, WIDTH),
    )


def certain(step: dict[str, Any]) -> dict[str, Any]:
    """An operation that happens, unless its probability is 0."""
    if not step.get("prob", 1.0):
        return step
    return step | dict(prob=CERTAIN if step["type"].endswith("OnlyBoxes") else 1.0)


def policy_v0(side: str) -> Case:
    """All five pairs, once each; the goal: upstream's time."""
    from mmcv.transforms import Compose

    pairs = {
        "ours": [[certain(step) for step in pair] for pair in policy.policy_v0()],
        "upstream": [list(pair) for pair in UPSTREAM],
    }[side]
    built = [Compose(pair) for pair in pairs]
    cpu = torch.device("cpu")  # where data are prepared, whichever device trains
    with cpu:
        given = picture()

    def run() -> list[dict[str, Any]]:
        with cpu:
            return [pair(given | dict(gt_bboxes=copy(given["gt_bboxes"]))) for pair in built]

    return Case(run, run)
