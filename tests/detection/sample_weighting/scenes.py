"""Random samples, and a network whose log variances are parameters: what the tests share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmext.detection.sample_weighting.samples import Samples


def samples(
    positives=6, negatives=18, ignored=0, *, mask=False, seed=0, dtype=torch.float32
) -> Samples:
    """Positives, then negatives, then ignored ones; losses of the size that a detector has."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=g, dtype=dtype)

    total = positives + negatives + ignored
    iou = 0.4 + 0.6 * draw(positives)
    return Samples(
        positive=torch.arange(positives),
        negative=(torch.arange(total) >= positives) & (torch.arange(total) < positives + negatives),
        cls=draw(total) * 2 + 0.01,
        box=(1 - iou)[:, None] * draw(positives, 4) + 0.01,
        iou=iou,
        prob=draw(positives),
        cls_divisor=positives + negatives,
        box_divisor=positives + negatives,
        mask=draw(positives) + 0.1 if mask else None,
    )


class FreeLogVariances(nn.Module):
    """Instead of the network: each log variance is its own parameter, negatives after positives."""

    def __init__(self, positives: Tensor, negatives: Tensor) -> None:
        super().__init__()
        self.pos, self.neg = nn.Parameter(positives), nn.Parameter(negatives)

    def forward(self, features, cls_loss):
        P, M = len(self.pos), len(self.neg)
        return self.pos, F.pad(self.neg, (P, len(cls_loss) - P - M))


def objective(weighting, x: Samples, weights=None) -> Tensor:
    """What is trained on: the host's sums of weighted losses, and the regularisers."""
    w = weighting(x) if weights is None else weights
    total = (x.cls * w.cls).sum() / x.cls_divisor + (x.box.sum(1) * w.box).sum() / x.box_divisor
    if x.mask is not None:
        total = total + (x.mask * w.mask).sum() / max(len(x.positive), 1)
    return total + sum(value for key, value in w.more.items() if "loss" in key)
