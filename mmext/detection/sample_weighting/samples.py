"""What sample weighting takes and gives: the samples of a step, their groups, their weights.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch alone
Letters   N samples, P positives, G groups of classification
"""

from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

from mmext.detection.sample_weighting.predictor import WIDTHS


@dataclass(frozen=True)
class Samples:
    """The samples of a step and their losses as the host would sum them up. Only values are used.

    Args:
        positive: indices of the positives among the samples, (P,).
        negative: whether a sample is a negative, (N,); ignored samples are neither.
        cls: classification loss of each sample, (N,).
        box: box loss of each positive and coordinate, (P, 4).
        iou: IoU of each positive's predicted box with its ground truth, (P,); None if nobody asks.
        prob: predicted probability of each positive's class, (P,); None if nobody asks.
        cls_divisor: what the host divides the sum of classification losses by.
        box_divisor: what it divides the sum of box losses by.
        mask: mean mask loss of each positive, (P,), where there are masks; the host takes their
            mean.
    """

    positive: Tensor
    negative: Tensor
    cls: Tensor
    box: Tensor
    iou: Tensor | None
    prob: Tensor | None
    cls_divisor: Tensor | int | float
    box_divisor: Tensor | int | float
    mask: Tensor | None = None

    def members(self, groups: tuple[str, ...]) -> Tensor:
        """Who belongs to the groups ``cls``, ``cls_pos``, ``cls_neg``: 1 or 0, (G, N).

        Masks in place of indices: so nothing waits for the device to say how many negatives there
        are.
        """
        positive = torch.zeros_like(self.negative).index_fill(0, self.positive, True)
        masks = dict(cls_pos=positive, cls_neg=self.negative)
        rows = [positive | self.negative if group == "cls" else masks[group] for group in groups]
        return (
            torch.stack(rows).to(self.cls.dtype) if rows else self.cls.new_zeros(0, len(self.cls))
        )

    def features(self) -> dict[str, Tensor]:
        """What the network sees of the positives, each (P, width)."""
        found = dict(
            iou=self.iou, prob=self.prob, cls=self.cls[self.positive], box=self.box, mask=self.mask
        )
        return {name: x.reshape(-1, WIDTHS[name]) for name, x in found.items() if x is not None}

    def as_constants(self) -> "Samples":
        """Without graph, all in the widest of their types, float32 or better: hosts mix them."""
        real = {
            n: x for n, x in vars(self).items() if isinstance(x, Tensor) and x.is_floating_point()
        }
        dtype = reduce(torch.promote_types, (x.dtype for x in real.values()), torch.float32)
        return replace(
            self, **{n: (x.detach() if x.requires_grad else x).to(dtype) for n, x in real.items()}
        )

    def sizes(self, members: Tensor) -> Tensor:
        """How many samples each group has, and what the host divides its losses by, (2, groups).

        The groups are those of ``members``, then boxes, then masks.
        """
        G, P = len(members), len(self.positive)
        by_positive = [self.box_divisor] if self.mask is None else [self.box_divisor, max(P, 1)]
        counts = torch.cat([members.sum(1), members.new_full((len(by_positive),), P)])
        divisors = torch.stack(
            [_scalar(x, members) for x in [*[self.cls_divisor] * G, *by_positive]]
        )
        return torch.stack([counts, divisors])


def _scalar(x: Tensor | int | float, like: Tensor) -> Tensor:
    """A number on the device; filled in there, since a copy from the host would wait."""
    return x.to(like) if isinstance(x, Tensor) else like.new_full((), x)


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of all ranks' ``x``, through which each rank's gradient reaches all of them.

    A wrapper for several ranks takes the mean of their gradients, so it is that of the mean of
    their losses.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    return all_reduce(x) / dist.get_world_size()


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
