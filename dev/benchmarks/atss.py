"""Rows of the ATSS assigner at COCO's size: 22,400 priors, few or many boxes.

The priors are those of one image of 800 x 1344.
"""

from typing import Any

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.structures import InstanceData

from mmext.registry import TASK_UTILS

from .cases import HEIGHT, STRIDES, WIDTH, Case, scope


def _assign(side: str, num_boxes: int) -> Case:
    assigner = TASK_UTILS.build(dict(type=f"{scope(side)}.ATSSAssigner", topk=9))
    generator = AnchorGenerator(STRIDES, [1.0], octave_base_scale=8, scales_per_octave=1)
    sizes = [(-(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES]
    levels = generator.grid_priors(sizes, device=torch.get_default_device())
    extent = torch.rand(num_boxes, 2) * 300 + 16
    corner = torch.rand(num_boxes, 2) * (torch.tensor([WIDTH, HEIGHT]) - extent)
    truth = InstanceData(
        bboxes=torch.cat([corner, corner + extent], 1),
        labels=torch.zeros(num_boxes, dtype=torch.long),
    )
    priors, counts = InstanceData(priors=torch.cat(levels)), [len(level) for level in levels]

    def run() -> Any:
        return assigner.assign(priors, counts, truth)

    return Case(run, run)


def one(side: str) -> Case:
    """One box, where there is least to win."""
    return _assign(side, 1)


def few(side: str) -> Case:
    """Ten boxes, an image of COCO."""
    return _assign(side, 10)


def many(side: str) -> Case:
    """500 boxes, a crowd or an aerial photograph."""
    return _assign(side, 500)
