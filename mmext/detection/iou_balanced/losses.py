"""The weight of IoU-balanced losses, as a function of the positives alone.

Paper     IoU-balanced loss functions, Wu et al. 2019, https://arxiv.org/abs/1908.05641
Idea      w_i = iou_i**exponent, times one factor a scope that leaves the sum of the losses as it
          was.
Host      none: torch alone
Letters   P positives, S scopes
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmext.functional import at_least_float32

VANISHED = 1e-12
"""A scope whose weighted losses sum to less than this part of the plain ones has no usable IoU."""


@torch.no_grad()
def iou_balanced_weight(
    loss: Float[Tensor, " P"],
    iou: Float[Tensor, " P"],
    *,
    exponent: int | float,
    label_weight: Float[Tensor, " P"] | None = None,
    scope: Int[Tensor, " P"] | None = None,
    num_scopes: int = 1,
    over_ranks: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, " P"]:
    """Weights ``iou**exponent * Z`` with ``Z = sum(l) / sum(iou**exponent * l)`` over each scope.

    Eq. 1 and 2 of the paper. Weighting with them moves gradient towards boxes that fit and leaves
    the sum of the losses as it was. The weights are constants: no gradient passes through them.
    Computed in float32 or better.

    Args:
        loss: loss of each positive, at least 0; for sigmoid losses that of its own class alone.
        iou: IoU of each positive's predicted box with its ground truth, within [0, 1].
        exponent: eta of the paper, at least 0; 0 gives ones.
        label_weight: factor that each loss is going to be multiplied by; counts in both sums.
        scope: index below ``num_scopes`` of the set that shares a ``Z``, for example a pyramid
            level or an image; by default all are one set.
        num_scopes: number of scopes S.
        over_ranks: sums or averages the (S, 2) sums over ranks, where a scope spans them. Every
            rank has to call then, also with no positives.

    Returns:
        One weight a positive. Ones for a scope whose IoUs are all 0: without that its losses would
        vanish.

    Raises:
        ValueError: ``exponent`` is negative.

    Example:
        >>> iou_balanced_weight(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.5]), exponent=1.0)
        tensor([1.3333, 0.6667])
    """
    if exponent < 0:
        raise ValueError(f"exponent must be at least 0, got {exponent}; the paper uses 1.5")
    loss, iou = at_least_float32(loss), at_least_float32(iou)
    if exponent == 0:
        return torch.ones_like(iou)
    power = iou**exponent
    plain = loss if label_weight is None else loss * label_weight
    # Numerator and denominator of Z over each scope: what the losses sum up to without and with the
    # power.
    sums = torch.stack([plain, power * plain], 1)  # (P, 2)
    if scope is None:
        scope = torch.zeros_like(iou, dtype=torch.long)
    total = sums.new_zeros(num_scopes, 2).index_add_(0, scope, sums)  # (S, 2)
    if over_ranks is not None:
        total = over_ranks(total)
    plain_sum, weighted_sum = total.unbind(1)
    usable = weighted_sum > VANISHED * plain_sum
    Z = plain_sum / weighted_sum  # (S,); where this divides by 0 the scope is not usable
    return torch.where(usable[scope], power * Z[scope], 1.0)
