"""Sample weighting that descends the paper's ``w * loss + lambda * m``, or takes its optimum.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
Letters   N samples, P positives, G groups of classification, K all groups; m a log variance,
          w = exp(-m)
"""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmext.detection.sample_weighting.predictor import (
    CLAMP_MODES,
    SWNPredictor,
    clamp_log_variance,
    optimal_log_variance,
)
from mmext.detection.sample_weighting.samples import Samples, mean_over_ranks
from mmext.detection.sample_weighting.weighting import (
    Found,
    SampleWeighting,
    by_group,
    one_of,
    spread,
)

REGULARISE = ("group", "loss")
INPUTS = ("iou", "prob", "cls", "box")
TINY = 1e-30  # in place of lambdas of 0, whose optimum is the least weight that the clamp allows


class ObjectiveWeighting(SampleWeighting):
    """What the network and the closed form share: the objective's settings.

    Args:
        lambdas: weights of the regularisers by group: ``cls_pos`` and ``cls_neg`` (or ``cls`` for
            both), ``reg``, ``mask``. What is left out is 0.5, which makes the objective a
            likelihood.
        regularise: ``group`` averages m over its group, as the authors' code. ``loss`` divides its
            sum by what the host divides the losses by, so that each sample's part is
            ``w * loss + lambda * m``.
        clamp: least and greatest m; weights lie in ``[exp(-greatest), exp(-least)]``.
        clamp_mode: as in :func:`~mmext.detection.sample_weighting.predictor.clamp_log_variance`.
        shared: see :class:`~mmext.detection.sample_weighting.weighting.SampleWeighting`.

    Raises:
        ValueError: an argument is unknown or out of its range.
    """

    lam: Tensor

    def __init__(
        self,
        *,
        lambdas: dict | None = None,
        regularise: str = "group",
        clamp: tuple | list = (-2, 2),
        clamp_mode: str = "hard",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        one_of("regularise", regularise, REGULARISE)
        one_of("clamp_mode", clamp_mode, CLAMP_MODES)
        self.regularise, self.clamp_mode = regularise, clamp_mode
        self.clamp = clamp_range(clamp)
        self.lambdas = by_group("lambdas", lambdas, 0.5, self.all_groups)
        lam = [self.lambdas[group] for group in self.names]
        # On the device of the losses without a copy from the host; no file holds it.
        self.register_buffer("lam", torch.tensor(lam, dtype=torch.float32), persistent=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The K groups in the order of :meth:`Samples.sizes`."""
        return (*self.cls_groups, "reg", *(("mask",) if self.with_mask else ()))

    def clamped(self, m: Tensor) -> Tensor:
        """Log variances within the range."""
        return clamp_log_variance(m, *self.clamp, mode=self.clamp_mode)

    def averaged_over(self, counts: Tensor, divisors: Tensor) -> Tensor:
        """What the sum of each group's log variances is divided by, (K,)."""
        return divisors if self.regularise == "loss" else torch.where(counts > 0, counts, 1)

    def boxes_and_masks(self, m: Tensor) -> list[Tensor]:
        """Log variances (P, 1 or 2) of boxes and masks; 0 with graph for what is not weighted."""
        columns = zip(("reg", "mask"), m.unbind(1), strict=False)
        return [x if group in self.groups else 0 * x for group, x in columns]

    def found(
        self,
        cls: Tensor,
        others: list[Tensor],
        regularisers: dict[str, Tensor],
        raw: tuple[Tensor, ...],
    ) -> Found:
        """Weights of log variances: of classification, and of boxes and masks."""
        reg, *masks = (torch.exp(-m) for m in others)
        return Found(torch.exp(-cls), reg, masks[0] if masks else None, regularisers, raw)


class LearnedWeighting(ObjectiveWeighting):
    """The paper's network, trained with the detector.

    Args:
        inputs: what it looks at, of ``iou``, ``prob``, ``cls``, ``box``, ``mask``; by default all
            there is.
        embed: see :class:`~mmext.detection.sample_weighting.predictor.SWNPredictor`.
        init: see there.
        objective: see :class:`ObjectiveWeighting`.
    """

    advice = ", or use clamp_mode='inward', which lets them come back"

    def __init__(
        self,
        *,
        inputs: tuple[str, ...] | list[str] | None = None,
        embed: int = 64,
        init: str = "zero_last",
        **objective: Any,
    ) -> None:
        super().__init__(**objective)
        known = (*INPUTS, *(("mask",) if self.with_mask else ()))
        inputs = known if inputs is None else tuple(inputs)
        if "mask" in inputs and not self.with_mask:
            print_log(
                "sample weighting: inputs has mask, but there are no mask losses here, so it is "
                "left out; mmext.SWNStandardRoIHead has them",
                logger="current",
                level=logging.WARNING,
            )
            inputs = tuple(name for name in inputs if name != "mask")
        self.predictor = SWNPredictor(inputs, 2 + self.with_mask, embed, init)

    @property
    def sees(self) -> tuple[str, ...]:
        """What the network looks at."""
        return self.predictor.inputs

    def weigh(self, samples: Samples, members: Tensor) -> Found:
        """Weights with the network's graph, and the regularisers."""
        of_positives, cls = self.predictor(samples.features(), samples.cls)  # (P, 2 or 3), (N,)
        cls = cls.index_copy(0, samples.positive, of_positives[:, 0])
        m_cls, others = self.clamped(cls), self.boxes_and_masks(self.clamped(of_positives[:, 1:]))
        own, sizes = (members * m_cls).sum(1), samples.sizes(members)  # (G,), (2, K)
        # DEVIATION: the authors count on each GPU by itself; here a group's mean is that of all
        # ranks.
        sums, counts, divisors = mean_over_ranks(torch.cat([own, sizes.flatten()])).split(
            [len(own), sizes.shape[1], sizes.shape[1]]
        )
        if self.shares:
            mean = sums / torch.where(counts > 0, counts, 1)[: len(own)]
            own, m_cls = mean * sizes[0, : len(own)], spread(mean, members)
        else:
            m_cls = m_cls * members.sum(0)
        terms = torch.cat([own, torch.stack([x.sum() for x in others])])
        terms = self.lam.to(terms) * terms / self.averaged_over(counts, divisors)
        by_name = zip(self.names, terms.unbind(), strict=True)
        regularisers = {group: term for group, term in by_name if group in self.groups}
        return self.found(m_cls, others, regularisers, (cls, *of_positives[:, 1:].unbind(1)))


class ClosedFormWeighting(ObjectiveWeighting):
    """What the network converges to: the optimum of the same objective. It has no parameters.

    Args:
        objective: see :class:`ObjectiveWeighting`.
    """

    def weigh(self, samples: Samples, members: Tensor) -> Found:
        """Constant weights; their regularisers have no gradient and are left out."""
        with torch.no_grad():
            # Of boxes and masks, whose samples share nothing, no sum is needed.
            losses = torch.cat([(members * samples.cls).sum(1), members.new_zeros(2)])
            sizes = samples.sizes(members)  # (2, K)
            K = sizes.shape[1]
            # DEVIATION: the authors count on each GPU by itself, so that it matters who got which
            # image.
            counts, divisors, losses = mean_over_ranks(
                torch.cat([sizes, losses[None, :K]])
            ).unbind()
            lam, over = self.lam.to(counts).clamp_min(TINY), self.averaged_over(counts, divisors)
            G = len(members)
            if self.shares:
                # One log variance counts as often as its group has members.
                over_one = (over / counts.clamp_min(1e-6))[:G]
                m = optimal_log_variance(
                    losses[:G], lam=lam[:G], divisor=divisors[:G], count=over_one
                )
                raw_cls = spread(self.clamped(m), members)
            else:
                own = [spread(x[:G], members) for x in (lam, divisors, over)]
                lam_, divisor, over_ = (torch.where(members.sum(0) > 0, x, 1) for x in own)
                raw_cls = optimal_log_variance(samples.cls, lam=lam_, divisor=divisor, count=over_)
            parts = [samples.box.sum(1), *([] if samples.mask is None else [samples.mask])]
            raw = [
                optimal_log_variance(x, lam=lam[k], divisor=divisors[k], count=over[k])
                for k, x in enumerate(parts, start=G)
            ]
            m_cls = torch.where(members.sum(0) > 0, self.clamped(raw_cls), 0)
            others = self.boxes_and_masks(self.clamped(torch.stack(raw, 1)))
            return self.found(m_cls, others, {}, (raw_cls, *raw))


def clamp_range(clamp: tuple | list) -> tuple[int | float, int | float]:
    """Least and greatest log variance, refused if they are none."""
    if len(clamp) != 2 or clamp[0] > clamp[1]:
        raise ValueError(f"clamp must be the least and the greatest log variance, got {clamp}")
    return clamp[0], clamp[1]
