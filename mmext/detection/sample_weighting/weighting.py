"""What all kinds of sample weighting share: groups, scaling to a mean of 1, and the log.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      none: torch and mmengine
Letters   N samples, P positives, G groups of classification; m a log variance, w = exp(-m) a weight
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmext.detection.sample_weighting.samples import Samples, Weights, mean_over_ranks
from mmext.errors import did_you_mean

CLS_MODES = ("group", "joint", "sample")
CLS_GROUPS = ("cls", "cls_pos", "cls_neg")
GROUPS = (*CLS_GROUPS, "reg", "mask")
LOOK_EVERY = 50  # steps: what is logged of the weights makes a GPU wait


@dataclass(frozen=True)
class Found:
    """What a kind of sample weighting found.

    Args:
        cls: weights of classification, (N,); 1 for those who are in no group.
        reg: weights of boxes, (P,).
        mask: weights of masks, (P,), where there are any.
        regularisers: the terms lambda * m of the objective, by group.
        raw: log variances before the clamp, for the log: of ``cls`` (N,), ``reg`` and ``mask``
            (P,).
    """

    cls: Tensor
    reg: Tensor
    mask: Tensor | None
    regularisers: dict[str, Tensor] = field(default_factory=dict)
    raw: tuple[Tensor, ...] = ()


class SampleWeighting(nn.Module):
    """Weights of samples; those who inherit say in :meth:`weigh` where these come from.

    Args:
        cls_mode: who shares a classification weight. ``group``: the positives one, the negatives
            another (the authors' R-CNN). ``joint``: all one (their RetinaNet). ``sample``: nobody.
        weighted: which groups are weighted, by default all: some of ``cls_pos``, ``cls_neg``
            (``cls`` is both), ``reg``, ``mask``. The others count 1 and have no regulariser, for
            ablations.
        normalize: divide weights and regularisers by the mean weight, for classification that of
            all samples in a group. Then samples gain or lose against each other and the loss keeps
            its size.
        with_mask: whether there are mask losses to weight.

    Raises:
        ValueError: an argument is unknown or out of its range.
    """

    clamp: tuple[int | float, int | float] = (-math.inf, math.inf)
    advice = ""  # what else helps where many weights are at the clip

    def __init__(
        self,
        *,
        cls_mode: str = "group",
        weighted: Sequence[str] | None = None,
        normalize: bool = False,
        with_mask: bool = False,
    ) -> None:
        super().__init__()
        one_of("cls_mode", cls_mode, CLS_MODES)
        self.cls_mode, self.normalize, self.with_mask = cls_mode, normalize, with_mask
        groups = ("cls",) if cls_mode == "joint" else ("cls_pos", "cls_neg")
        self.all_groups = (*groups, "reg", *(("mask",) if with_mask else ()))
        names = GROUPS if weighted is None else tuple(weighted)
        for name in names:
            one_of("weighted", name, GROUPS)
        self.groups = tuple(
            group
            for group in self.all_groups
            if group in names or (group in CLS_GROUPS and "cls" in names)
        )
        self.calls = 0
        self.warned = False
        self._seen: dict[str, Tensor] = {}

    @property
    def sees(self) -> tuple[str, ...]:
        """What it looks at besides losses, of ``iou`` and ``prob``; heads may skip the rest."""
        return ()

    @property
    def cls_groups(self) -> tuple[str, ...]:
        """The groups of classification that are weighted."""
        return tuple(group for group in self.groups if group in CLS_GROUPS)

    @property
    def shares(self) -> bool:
        """Whether all samples of a group of classification have one weight."""
        return self.cls_mode != "sample"

    def weigh(self, samples: Samples, members: Tensor) -> Found:
        """Weights of constants in float32 or better; ``members`` (G, N): who is in which group."""
        raise NotImplementedError

    def forward(self, samples: Samples) -> Weights:
        """Weights of the samples of a step; every rank has to call."""
        with torch.autocast(samples.cls.device.type, enabled=False):
            samples = samples.as_constants()
            members = samples.members(self.cls_groups)
            found = self._scaled(self.weigh(samples, members), members)
            more = {f"loss_swn_{group}": x for group, x in found.regularisers.items()}
            self._look(found, members)
        return Weights(found.cls, found.reg, found.mask, more | self._seen)

    def _scaled(self, found: Found, members: Tensor) -> Found:
        """Divided by the mean weight of all ranks' samples, which is a constant."""
        if not self.normalize:
            return found
        with torch.no_grad():
            counted = members.sum(0)  # (N,), 1 for those who are in a group
            weights = {"cls": found.cls * counted, "reg": found.reg}
            if found.mask is not None:
                weights["mask"] = found.mask
            sums = torch.stack([x.sum() for x in weights.values()])
            # Boxes and masks: a mean of as many as there are positives.
            counts = torch.cat(
                [counted.sum()[None], sums.new_full((len(sums) - 1,), len(found.reg))]
            )
            sums, counts = mean_over_ranks(torch.stack([sums, counts])).unbind()
            # A mean of 0 are weights of 0, which stay.
            means = torch.where(sums > 0, counts / sums, 1).unbind()
            scales = dict(zip(weights, means, strict=True))
        return Found(
            torch.where(counted > 0, found.cls * scales["cls"], found.cls),
            found.reg * scales["reg"] if "reg" in self.groups else found.reg,
            None if found.mask is None else found.mask * scales["mask"],
            {
                group: x * scales["cls" if group in CLS_GROUPS else group]
                for group, x in found.regularisers.items()
            },
            found.raw,
        )

    @torch.no_grad()
    def _look(self, found: Found, members: Tensor) -> None:
        """Keep for the log how the weights lie, at the first step and at every 50th, in one wait.

        Keys have no word "loss": mmengine logs them and sums up the others. What is kept lies on
        the CPU, where the hosts, who read each number every step, need not wait for it.
        """
        self.calls += self.training
        if self._seen and (not self.training or self.calls % LOOK_EVERY):
            return
        by_group = {
            group: (found.cls, row > 0, 0)
            for group, row in zip(self.cls_groups, members, strict=True)
        }
        by_group |= {"reg": (found.reg, ..., 1)} if "reg" in self.groups else {}
        by_group |= (
            {"mask": (found.mask, ..., 2)}
            if found.mask is not None and "mask" in self.groups
            else {}
        )
        table: dict[str, Tensor] = {}
        for group, (w, rows, part) in by_group.items():
            w = w[rows]
            filled = w if len(w) else w.new_ones(1)
            table[f"swn_w_{group}_mean"] = filled.mean()
            if part or not self.shares:
                table |= {f"swn_w_{group}_min": filled.min(), f"swn_w_{group}_max": filled.max()}
            low, high = self.clamp
            held = [(m[rows] <= low) | (m[rows] >= high) for m in found.raw[part : part + 1]]
            table[f"swn_w_{group}_clipped"] = sum(
                x.sum() / max(len(x), 1) for x in held
            ) + w.new_zeros(())
        values = torch.stack([x.to(w.dtype) for x in table.values()]).cpu() if table else ()
        self._seen = dict(zip(table, values, strict=True))
        self._warn({group: float(self._seen[f"swn_w_{group}_clipped"]) for group in by_group})

    def _warn(self, shares: dict[str, float]) -> None:
        """Say once that half of a group's weights are what the clamp makes them."""
        low, high = self.clamp
        many = ", ".join(
            f"{share:.0%} of {group}" for group, share in shares.items() if share >= 0.5
        )
        if many and low < high and not self.warned and self.calls >= LOOK_EVERY:
            self.warned = True
            print_log(
                f"sample weighting: after {self.calls} steps many log variances sit at the clip "
                f"{self.clamp}: {many}. Widen clamp, or lower lambdas{self.advice}.",
                logger="current",
                level=logging.WARNING,
            )


def spread(values: Tensor, members: Tensor) -> Tensor:
    """Each group's finite value (G,) for its members (G, N), 0 for those in no group: (N,)."""
    return (values[:, None] * members).sum(0)


def one_of(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {tuple(choices)}, got {value!r}{did_you_mean(value, choices)}"
        )


def by_group(name: str, given: dict | None, default: float, groups: tuple[str, ...]) -> dict:
    """Numbers for all groups; ``cls`` is both of classification; what is unused here is logged."""
    given = dict(given or {})
    for group, value in given.items():
        one_of(f"a group of {name}", group, GROUPS)
        if value < 0:
            raise ValueError(f"{name} must be at least 0, got {value} for {group}")
    if "cls" not in groups and "cls" in given:
        both = given.pop("cls")
        given = {"cls_pos": both, "cls_neg": both} | given
    if idle := sorted(given.keys() - set(groups)):
        print_log(
            f"sample weighting: {name} of {', '.join(idle)} mean nothing here and are left out; "
            f"the groups are {', '.join(groups)}",
            logger="current",
            level=logging.WARNING,
        )
    return dict.fromkeys(groups, default) | {
        group: x for group, x in given.items() if group in groups
    }
