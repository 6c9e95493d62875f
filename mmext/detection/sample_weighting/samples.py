"""What sample weighting takes and gives: the samples of a step, their groups, their weights.

Paper     Learning a unified sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
Letters   N samples, P positives, M negatives
"""

from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmext.detection.sample_weighting.predictor import WIDTHS
from mmext.functional import at_least_float32


@dataclass(frozen=True)
class Samples:
    """The samples of a step and their losses as the host would sum them up. Only values are used.

    Args:
        positive: indices of the positives among the samples, (P,).
        negative: indices of the negatives, (M,); ignored samples are in neither.
        cls: classification loss of each sample, (N,).
        box: box loss of each positive and coordinate, (P, 4).
        iou: IoU of each positive's predicted box with its ground truth, (P,).
        prob: predicted probability of each positive's class, (P,).
        cls_divisor: what the host divides the sum of classification losses by.
        box_divisor: what it divides the sum of box losses by.
        mask: mean mask loss of each positive, (P,), where there are masks; the host takes their mean.
    """

    positive: Tensor
    negative: Tensor
    cls: Tensor
    box: Tensor
    iou: Tensor
    prob: Tensor
    cls_divisor: Tensor | int | float
    box_divisor: Tensor | int | float
    mask: Tensor | None = None

    @property
    def classified(self) -> Tensor:
        """Indices of positives and negatives, in this order, (P + M,)."""
        return torch.cat([self.positive, self.negative])

    def groups(self, *, joint: bool) -> dict[str, Tensor]:
        """Losses by group: ``cls_pos`` and ``cls_neg``, or ``cls`` if ``joint``; ``reg``; ``mask``."""
        if joint:
            found = dict(cls=self.cls[self.classified])
        else:
            found = dict(cls_pos=self.cls[self.positive], cls_neg=self.cls[self.negative])
        found["reg"] = self.box.sum(1)
        return found if self.mask is None else found | dict(mask=self.mask)

    def features(self) -> dict[str, Tensor]:
        """What the network sees of the positives, each (P, width)."""
        found = dict(iou=self.iou, prob=self.prob, cls=self.cls[self.positive], box=self.box, mask=self.mask)
        return {name: x.reshape(-1, WIDTHS[name]) for name, x in found.items() if x is not None}

    def as_constants(self) -> "Samples":
        """Without graph, in float32 or better."""
        values = {
            name: at_least_float32(x.detach()) if isinstance(x, Tensor) and x.is_floating_point() else x
            for name, x in vars(self).items()
        }
        return Samples(**values)

    @torch.no_grad()
    def totals(self, *, joint: bool) -> "dict[str, Total]":
        """How many samples each group has, their summed loss, and the host's divisor: means over the ranks.

        DEVIATION: the authors count on each GPU by itself, so the optimum depends on who got which image.
        """
        groups = self.groups(joint=joint)
        divisors = dict(reg=self.box_divisor, mask=max(len(self.positive), 1))
        table = self.cls.new_zeros(len(groups), 3)
        for row, (name, loss) in zip(table, groups.items(), strict=True):
            row[0], row[1], row[2] = len(loss), loss.sum(), divisors.get(name, self.cls_divisor)
        all_reduce(table, op="mean")
        return {name: Total(*row) for name, row in zip(groups, table, strict=True)}


@dataclass(frozen=True)
class Total:
    """Of one group of samples: their number, their summed loss, and what the host divides that by."""

    count: Tensor
    loss: Tensor
    divisor: Tensor


@dataclass(frozen=True)
class Weights:
    """Weights of samples, and what belongs into the host's dict of losses.

    Args:
        cls: of classification, (N,); 1 for ignored samples.
        box: of each positive's box, (P,).
        mask: of each positive's mask, (P,).
        more: the regularisers ``loss_swn_*``, which may be negative, and ``swn_w_*`` for the log.
    """

    cls: Tensor
    box: Tensor
    mask: Tensor | None
    more: dict[str, Tensor]
