"""Sample weighting by numbers of the config: what is left of learned weights that are all alike.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
"""

from typing import Any

import torch
from torch import Tensor

from mmext.detection.sample_weighting.samples import Samples
from mmext.detection.sample_weighting.weighting import Found, SampleWeighting, by_group


class ConstantWeighting(SampleWeighting):
    """The same weight for every sample of a group.

    DEVIATION: not in the paper; the control for it, since learned weights balance the losses anew
    as well.

    Args:
        weights: by group, ``cls_pos`` and ``cls_neg`` (or ``cls`` for both), ``reg``, ``mask``; at
            least 0. What is left out is 1.
        shared: see :class:`~mmext.detection.sample_weighting.weighting.SampleWeighting`.

    Raises:
        ValueError: a weight is below 0, or of a group that does not exist.
    """

    def __init__(self, *, weights: dict | None = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.weights = by_group("weights", weights, 1.0, self.all_groups)

    def weigh(self, samples: Samples, members: Tensor) -> Found:
        """Weights filled in."""
        cls = torch.ones_like(samples.cls)
        for group, rows in zip(self.cls_groups, members, strict=True):
            cls = torch.where(rows > 0, self.weights[group], cls)
        reg, mask = (
            self.weights[group] if group in self.groups else 1.0 for group in ("reg", "mask")
        )
        return Found(
            cls,
            samples.box.new_full((len(samples.box),), reg),
            None if samples.mask is None else torch.full_like(samples.mask, mask),
        )
