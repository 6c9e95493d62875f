"""SWNLoss: any box loss with the weights that a sample weighting network converges to, in any head.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmdet 3.x: every head that calls ``loss(pred, target, weight, avg_factor=...)``
Letters   P samples
"""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor, nn

from mmext.detection.sample_weighting.features import REFUSED
from mmext.detection.sample_weighting.objective import TINY, clamp_range
from mmext.detection.sample_weighting.predictor import clamp_log_variance, optimal_log_variance
from mmext.errors import did_you_mean
from mmext.functional import at_least_float32, reduce_loss
from mmext.registry import MODELS


@torch.no_grad()
def inverse_loss_weight(
    loss: Float[Tensor, " P"], *, lam: int | float, clamp: tuple[int | float, int | float]
) -> Float[Tensor, " P"]:
    """Weights ``lam / loss`` within ``[exp(-clamp[1]), exp(-clamp[0])]``, as constants.

    Args:
        loss: of each sample, at least 0.
        lam: lambda, above 0: what a weighted loss is worth where the clamp does not act.
        clamp: least and greatest log variance.

    Example:
        >>> inverse_loss_weight(torch.tensor([0.25, 1.0]), lam=0.5, clamp=(-2, 2))
        tensor([2.0000, 0.5000])
    """
    m = optimal_log_variance(loss, lam=lam, divisor=1, count=1)
    return torch.exp(-clamp_log_variance(m, *clamp))


@MODELS.register_module()
class SWNLoss(nn.Module):
    """A box loss whose samples count by the inverse of their loss. It has no parameters.

    DEVIATION: not in the paper. The authors' network sees more than the loss, but what it converges
    to depends on the loss alone; so this is the part of the idea that fits every head (FCOS, ATSS,
    GFL, DETR). The weighted loss of a sample is ``lam`` wherever the clamp does not act, so the
    logged value hardly moves; its gradient is ``lam`` times that of ``log(loss)``.

    Args:
        loss: config of the box loss, for example ``dict(type="GIoULoss")``.
        lam: lambda, at least 0; with 0 every weight is the least that the clamp allows.
        clamp: least and greatest log variance; weights lie in ``[exp(-greatest), exp(-least)]``.
        normalize: divide the weights by their mean, so that the loss keeps its size.
        unknown: nothing else; a misspelt name is refused with the nearest one.

    Raises:
        ValueError: the loss classifies or weights by batch statistics, a name is unknown, here or
            in ``loss``, or an argument is out of its range.
    """

    def __init__(
        self,
        loss: dict,
        lam: int | float = 0.5,
        clamp: tuple | list = (-2, 2),
        normalize: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        check_keys("SWNLoss", unknown, ("loss", "lam", "clamp", "normalize"))
        if lam < 0:
            raise ValueError(f"lam must be at least 0, got {lam}")
        self.loss = MMDET_MODELS.build(checked(loss))
        if hasattr(self.loss, "use_sigmoid") or type(self.loss).__name__ in REFUSED:
            raise ValueError(
                "SWNLoss expects a box loss with one value a sample, got "
                f"{type(self.loss).__name__}; for classification use mmext.SWNRetinaHead or "
                "mmext.SWNShared2FCBBoxHead"
            )
        self.lam, self.clamp, self.normalize = max(lam, TINY), clamp_range(clamp), normalize

    @property
    def loss_weight(self) -> float:
        """That of the loss inside; some heads ask for it."""
        return self.loss.loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """As the loss inside, each sample times its weight.

        Args:
            pred: (P, 4), in whatever the loss inside takes.
            target: (P, 4).
            weight: (P,) or (P, 4), the host's; multiplied by ours.
            avg_factor: what the sum is divided by.
            reduction_override: ``none``, ``mean`` or ``sum`` in place of the inner loss's own.
            kwargs: more for the loss inside.
        """
        if len(pred) == 0:
            return self.loss(
                pred, target, weight, avg_factor=avg_factor, reduction_override=reduction_override
            )
        single = self.loss(pred, target, reduction_override="none", **kwargs)  # (P,) or (P, 4)
        # One weight a box, from the sum over its coordinates.
        factor = inverse_loss_weight(
            at_least_float32(single.detach()).flatten(1).sum(1)
            if single.dim() > 1
            else single.detach(),
            lam=self.lam,
            clamp=self.clamp,
        )
        if self.normalize:
            factor = factor / _mean_of_counted(factor, weight)
        weighted = single * (factor[:, None] if single.dim() > 1 else factor)
        if weight is not None:
            weighted = weighted * _like(weight, weighted)
        reduction = reduction_override or self.loss.reduction
        if reduction == "none":
            return weighted
        return reduce_loss(weighted.flatten(), reduction=reduction, avg_factor=avg_factor)


def check_keys(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the first unknown name with the nearest known one."""
    for name in given:
        if name not in known:
            raise ValueError(
                f"{what} has no argument {name!r}{did_you_mean(name, known)}; it takes "
                f"{', '.join(known)}"
            )


def checked(loss: dict) -> dict:
    """The config of a loss whose names are all known."""
    kind = MMDET_MODELS.get(loss["type"]) if isinstance(loss.get("type"), str) else loss.get("type")
    if kind is None:
        near = did_you_mean(str(loss.get("type")), MMDET_MODELS.module_dict)
        raise ValueError(f"loss must have the type of a box loss, got {loss.get('type')!r}{near}")
    parameters = inspect.signature(kind).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in parameters):
        check_keys(kind.__name__, loss.keys() - {"type"}, [p.name for p in parameters])
    return loss


def _mean_of_counted(factor: Tensor, weight: Tensor | None) -> Tensor:
    """Mean factor of samples whose weight is not 0; heads without choice of positives pass all."""
    if weight is None:
        return factor.mean()
    counted = weight.flatten(1).any(1) if weight.dim() > 1 else weight > 0
    return torch.where(counted.any(), (factor * counted).sum() / counted.sum().clamp(min=1), 1)


def _like(weight: Tensor, loss: Tensor) -> Tensor:
    """Weights in the losses' shape, as in mmdet: one a sample is the mean of its coordinates'."""
    if weight.dim() > loss.dim():
        return weight.mean(-1)
    return weight[:, None] if weight.dim() < loss.dim() else weight
