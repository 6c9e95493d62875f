"""How the contract suite drives a detector with keypoints and identities: mmdet's way, and more."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from tests.contract import detection
from tests.contract.detection import (  # noqa: F401  the same for both
    check_predictions,
    image_size,
    loss,
    predictions,
    two_rank_batch,
    why_not_bf16,
)


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    return detection.build(path, init=init)


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return detection.num_classes(model)


def batch(
    counts, size=(96, 128), *, ignored=False, num_classes=1, seed=0, num_keypoints=17
) -> dict:
    """Boxes as in detection, each with random points inside it and an identity."""
    data = detection.batch(counts, size, ignored=ignored, num_classes=num_classes, seed=seed)
    g = torch.Generator().manual_seed(seed + 1)
    for sample in data["data_samples"]:
        for instances in (sample.gt_instances, sample.ignored_instances):
            add_points(instances, num_keypoints, g)
    return data


def add_points(instances: InstanceData, num_keypoints: int, g: torch.Generator) -> None:
    """Give each box points, their visibility (0, 1, 2) and an identity, 0 among them."""
    corner, extent = instances.bboxes[:, None, :2], _extent(instances.bboxes)
    places = torch.rand(len(instances), num_keypoints, 2, generator=g)
    instances.keypoints = corner + places * extent
    instances.keypoints_visible = torch.randint(0, 3, places.shape[:2], generator=g)
    instances.instances_ids = torch.arange(len(instances))


def _extent(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2])[:, None]
