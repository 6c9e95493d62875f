"""What rows share: the sizes of COCO's images, maps of a head, and the two sides of a row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor

K = 80  # classes
HEIGHT, WIDTH, STRIDES = 800, 1344, (8, 16, 32, 64, 128)


@dataclass
class Case:
    """One side of a row: ``forward`` for the bytes it keeps, ``run`` for everything else.

    With ``in_turn`` the bytes are the most that ``run`` keeps at one time, besides those tensors.
    """

    forward: Callable[[], Any]
    run: Callable[[], Any]
    in_turn: list[Tensor] | None = field(default=None, kw_only=True)


def scope(side: str) -> str:
    """Where the parts of a side are registered."""
    return {"ours": "mmext", "upstream": "mmdet"}[side]


def train(loss: Callable[[], Tensor], leaves: list[Tensor]) -> Case:
    """Forward and backward, gradients dropped in between."""

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        loss().backward()

    return Case(loss, run)


def maps(batch: int, channels: int, shift: float) -> list[Tensor]:
    """Random maps of five levels."""
    sizes = [(-(-HEIGHT // s), -(-WIDTH // s)) for s in STRIDES]
    return [torch.randn(batch, channels, h, w) - shift for h, w in sizes]


def meta() -> dict:
    """What an image says about itself."""
    shape = (HEIGHT, WIDTH)
    return dict(img_shape=shape, pad_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))


def seven_boxes(images: int) -> Callable[[], list[InstanceData]]:
    """Makes ground truth of images with seven boxes each, anew in each call, the same each time."""
    extent = torch.rand(images, 7, 2) * 300 + 16
    corner = torch.rand(images, 7, 2) * (torch.tensor([WIDTH, HEIGHT]) - extent)
    truth = torch.cat([corner, corner + extent], 2)
    labels = torch.randint(0, K, (images, 7))
    return lambda: [InstanceData(bboxes=b, labels=y) for b, y in zip(truth, labels, strict=True)]


def total(losses: dict[str, Any]) -> Tensor:
    """The sum of a head's losses, each a tensor or a list of one a level."""
    return torch.stack(
        [
            torch.stack(list(v)).sum() if isinstance(v, list) else v
            for k, v in losses.items()
            if "loss" in k
        ]
    ).sum()
