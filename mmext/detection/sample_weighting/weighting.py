"""SampleWeighting: from what is known of the samples of a step to their weights, learned or not.

Paper     Learning a unified sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
Letters   P positives, M negatives, m a log variance, w = exp(-m) a weight
"""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmext.detection.sample_weighting.predictor import (
    CLAMP_MODES,
    SWNPredictor,
    clamp_log_variance,
    optimal_log_variance,
)
from mmext.detection.sample_weighting.samples import Samples, Total, Weights

MODES = ("mlp", "closed_form", "constant")
CLS_MODES = ("group", "joint", "sample")
REGULARISE = ("group", "loss")
NETWORK = ("inputs", "embed", "init")
CHUNK = 16384  # negatives at once: a dense head's steps are worked out again in backward and not kept
LOOK_EVERY = 50  # steps: a look at the clip makes a GPU wait


class SampleWeighting(nn.Module):
    """Weights of samples: learned, by the formula that learning converges to, or constant.

    Args:
        mode: ``mlp``, the paper's network; ``closed_form``, the optimum of the same objective, without
            parameters; ``constant``, the numbers of ``weights``.
        cls_mode: who shares a classification weight. ``group``: the positives one, the negatives another
            (the authors' R-CNN). ``joint``: all one (their RetinaNet). ``sample``: nobody.
        lambdas: weights of the regularisers by group: ``cls_pos`` and ``cls_neg`` (``cls`` where joint),
            ``reg``, ``mask``. What is left out is 0.5, which makes the objective a likelihood.
        regularise: ``group`` averages m over its group, as the authors' code. ``loss`` divides its sum by
            what the host divides the losses by, so that each sample's part is ``w * loss + lambda * m``.
        clamp: least and greatest m; weights lie in ``[exp(-greatest), exp(-least)]``.
        clamp_mode: as in :func:`~mmext.detection.sample_weighting.predictor.clamp_log_variance`.
        normalize: divide weights and regularisers by the mean weight, for classification that of all
            samples. Then samples gain or lose against each other and the loss keeps its size.
        weights: by group, for ``constant``; what is left out is 1.
        with_mask: whether there are mask losses to weight.
        predictor: ``inputs``, ``embed`` and ``init`` of
            :class:`~mmext.detection.sample_weighting.predictor.SWNPredictor`, for ``mlp``.

    Raises:
        ValueError: an argument is unknown or out of its range.
    """

    def __init__(
        self,
        mode: str = "mlp",
        cls_mode: str = "group",
        lambdas: dict | None = None,
        regularise: str = "group",
        clamp: tuple | list = (-2, 2),
        clamp_mode: str = "hard",
        normalize: bool = False,
        weights: dict | None = None,
        with_mask: bool = False,
        **predictor: Any,
    ) -> None:
        super().__init__()
        _one_of("mode", mode, MODES)
        _one_of("cls_mode", cls_mode, CLS_MODES)
        _one_of("regularise", regularise, REGULARISE)
        _one_of("clamp_mode", clamp_mode, CLAMP_MODES)
        if len(clamp) != 2 or clamp[0] > clamp[1]:
            raise ValueError(f"clamp must be the least and the greatest log variance, got {clamp}")
        if unknown := sorted(set(predictor) - set(NETWORK)):
            raise ValueError(
                f"sample weighting has no argument {', '.join(unknown)}; the network's are {NETWORK}"
            )
        if mode != "mlp" and predictor:
            raise ValueError(f"only mode='mlp' has a network, got {sorted(predictor)} with mode={mode!r}")
        if mode != "constant" and weights:
            raise ValueError(f"weights are those of mode='constant', got them with mode={mode!r}")
        if "mask" in predictor.get("inputs", ()) and not with_mask:
            raise ValueError("inputs has mask, but there are no mask losses; use mmext.SWNStandardRoIHead")
        self.mode, self.cls_mode, self.regularise = mode, cls_mode, regularise
        self.clamp, self.clamp_mode, self.normalize = tuple(clamp), clamp_mode, normalize
        groups = ("cls",) if cls_mode == "joint" else ("cls_pos", "cls_neg")
        groups = (*groups, "reg", *(("mask",) if with_mask else ()))
        self.lambdas = _by_group("lambdas", lambdas, 0.5, groups, positive=mode == "closed_form")
        self.weights = _by_group("weights", weights, 1.0, groups, positive=True)
        self.with_mask = with_mask
        if mode == "mlp":
            inputs = ("iou", "prob", "cls", "box") + ("mask",) * with_mask
            self.predictor = SWNPredictor(**dict(inputs=inputs) | predictor, num_outputs=2 + with_mask)
        self.calls = 0
        self.warned = False

    @property
    def joint(self) -> bool:
        """Whether positives and negatives are one group in classification."""
        return self.cls_mode == "joint"

    def forward(self, samples: Samples) -> Weights:
        """Weights of the samples of a step; every rank has to call."""
        with torch.autocast(samples.cls.device.type, enabled=False):
            samples = samples.as_constants()
            totals = samples.totals(joint=self.joint)
            raw = getattr(self, f"_{self.mode}")(samples, totals)
            clipped = {group: self._at_the_clip(m) for group, m in raw.items()}
            m = {group: self._shared(group, self._clamped(x)) for group, x in raw.items()}
            w = {group: torch.exp(-x) for group, x in m.items()}
            scales = self._scales(w)
            more = self._regularisers(m, totals, scales) if self.mode == "mlp" else {}
            w = {group: x * scales[group] for group, x in w.items()}
            self._warn(clipped)
            cls = torch.ones_like(samples.cls)
            cls = cls.index_copy(
                0, samples.classified, torch.cat([w[group] for group in w if _is_cls(group)])
            )
            return Weights(cls, w["reg"], w.get("mask"), more | self._logs(w, clipped))

    def _mlp(self, samples: Samples, totals: dict[str, Total]) -> dict[str, Tensor]:
        """The network's log variances by group."""
        cls_pos, *others = self.predictor(samples.features()).unbind(1)
        # The negatives' log variances of boxes and masks are nobody's.
        cls_neg = self._negatives(samples.cls[samples.negative])[:, 0]
        cls = (
            dict(cls=torch.cat([cls_pos, cls_neg])) if self.joint else dict(cls_pos=cls_pos, cls_neg=cls_neg)
        )
        return cls | dict(zip(("reg", "mask"), others, strict=False))

    def _negatives(self, cls_loss: Tensor) -> Tensor:
        if len(cls_loss) <= CHUNK:
            return self.predictor.negatives(cls_loss)
        parts = cls_loss.split(CHUNK)
        return torch.cat(
            [
                checkpoint(self.predictor.negatives, part, use_reentrant=False, preserve_rng_state=False)
                for part in parts
            ]
        )

    def _closed_form(self, samples: Samples, totals: dict[str, Total]) -> dict[str, Tensor]:
        """The log variances that minimise the objective, by group."""
        found = {}
        for group, loss in samples.groups(joint=self.joint).items():
            total, lam = totals[group], self.lambdas[group]
            if self._is_shared(group):
                count = self._averaged_over(total) / total.count.clamp_min(1e-6)
                m = optimal_log_variance(total.loss, lam=lam, divisor=total.divisor, count=count)
                found[group] = m.expand_as(loss)
            else:
                count = self._averaged_over(total)
                found[group] = optimal_log_variance(loss, lam=lam, divisor=total.divisor, count=count)
        return found

    def _constant(self, samples: Samples, totals: dict[str, Total]) -> dict[str, Tensor]:
        """The log variances of the given weights, by group."""
        groups = samples.groups(joint=self.joint)
        return {group: -torch.full_like(loss, self.weights[group]).log() for group, loss in groups.items()}

    def _is_shared(self, group: str) -> bool:
        """Whether all samples of a group have one weight."""
        return _is_cls(group) and self.cls_mode != "sample"

    def _averaged_over(self, total: Total) -> Tensor:
        """What the sum of a group's log variances is divided by."""
        if self.regularise == "loss":
            return total.divisor
        return torch.where(total.count > 0, total.count, 1)

    def _clamped(self, m: Tensor) -> Tensor:
        if self.mode == "constant":
            return m
        return clamp_log_variance(m, *self.clamp, mode=self.clamp_mode)

    def _at_the_clip(self, m: Tensor) -> Tensor:
        """1 for every log variance that the clamp holds, 0 for the others."""
        low, high = self.clamp
        held = (m <= low) | (m >= high)
        return held.to(m.dtype) if self.mode != "constant" else torch.zeros_like(m)

    def _shared(self, group: str, m: Tensor) -> Tensor:
        """Log variances after those who share one have taken their mean."""
        if self.mode == "mlp" and self._is_shared(group):
            return _mean(m).expand_as(m)
        return m

    @torch.no_grad()
    def _scales(self, w: dict[str, Tensor]) -> dict[str, Tensor | float]:
        """Factor of weights and regularisers by group: 1, or the inverse of the mean weight."""
        if not self.normalize:
            return dict.fromkeys(w, 1.0)
        cls = torch.cat([x for group, x in w.items() if _is_cls(group)])
        pools = {group: cls if _is_cls(group) else x for group, x in w.items()}
        return {group: 1 / _mean(pool) if len(pool) else 1.0 for group, pool in pools.items()}

    def _regularisers(
        self, m: dict[str, Tensor], totals: dict[str, Total], scales: dict[str, Tensor | float]
    ) -> dict[str, Tensor]:
        """The terms lambda * m of the objective. Without samples they are 0 and keep their graph."""
        return {
            f"loss_swn_{group}": self.lambdas[group]
            * scales[group]
            * x.sum()
            / self._averaged_over(totals[group])
            for group, x in m.items()
        }

    @torch.no_grad()
    def _logs(self, w: dict[str, Tensor], clipped: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keys without the word loss: mmengine logs them and sums up the others."""
        found = {}
        for group, x in w.items():
            x = x if len(x) else x.new_ones(1)
            found[f"swn_w_{group}_mean"] = x.mean()
            if not self._is_shared(group):
                found |= {f"swn_w_{group}_min": x.min(), f"swn_w_{group}_max": x.max()}
            found[f"swn_w_{group}_clipped"] = _mean(clipped[group])
        return found

    @torch.no_grad()
    def _warn(self, clipped: dict[str, Tensor]) -> None:
        """Say once that half of a group's weights are what the clamp makes them."""
        self.calls += self.training
        low, high = self.clamp
        if self.warned or self.calls == 0 or self.calls % LOOK_EVERY or low == high:
            return
        shares = {group: float(held.mean()) for group, held in clipped.items() if len(held)}
        many = ", ".join(f"{share:.0%} of {group}" for group, share in shares.items() if share >= 0.5)
        if many:
            self.warned = True
            print_log(
                f"sample weighting: after {self.calls} steps many log variances sit at the clip "
                f"{self.clamp}: {many}. Widen clamp, or lower lambdas"
                + (", or use clamp_mode='inward', which lets them come back." if self.mode == "mlp" else "."),
                logger="current",
                level=logging.WARNING,
            )


def _is_cls(group: str) -> bool:
    return group.startswith("cls")


def _mean(x: Tensor) -> Tensor:
    """The mean; 0 that keeps its graph for no elements."""
    return x.sum() / max(len(x), 1)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _by_group(
    name: str, given: dict | None, default: float, groups: tuple[str, ...], *, positive: bool
) -> dict:
    """Numbers for all groups."""
    if not set(given or {}) <= set(groups):
        raise ValueError(f"{name} go by the groups {groups}, got {sorted(given or {})}")
    found = dict.fromkeys(groups, default) | dict(given or {})
    if min(found.values()) < 0 or (positive and min(found.values()) == 0):
        raise ValueError(f"{name} must be {'above' if positive else 'at least'} 0, got {found}")
    return found
