"""A linear classifier on frozen features: how much of the classes can be read off them at once.

Equations  features X (N, C) and one-hot labels Y (N, K), both without their means; s and V are
           eigenvalues and vectors of X'X, Z = X V, and m is the mean of s. Ridge regression with
           the penalty a m has the weights  V (s + a m)^-1 Z'Y,  and leaves
           (Y - Z (s + a m)^-1 Z'Y) / (1 - 1/N - sum_c Z_c^2 / (s_c + a m))
           of a sample from which it has not learnt; a is the one that leaves the least
Sources    probes, Alain and Bengio 2016, https://arxiv.org/abs/1610.01644; the error of samples
           that are left out, Allen 1974, https://doi.org/10.1080/00401706.1974.10489157
Host       torch alone
Letters    N samples, C features, K classes; leading axes are nets, all of which are probed at once
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Shares of the mean eigenvalue, of which one is chosen."""


class LinearProbe(NamedTuple):
    """A linear classifier for each net."""

    weight: Float[Tensor, "*nets C K"]
    bias: Float[Tensor, "*nets 1 K"]
    penalty: Float[Tensor, "*nets"]
    """The share that was chosen."""

    def scores(self, features: Float[Tensor, "*nets N C"]) -> Float[Tensor, "*nets N K"]:
        """Of each class, most for the likeliest; they are no probabilities."""
        return features.double() @ self.weight + self.bias


def fit(
    features: Float[Tensor, "*nets N C"],
    labels: Int[Tensor, "*#nets N"],
    classes: int,
    penalties: Sequence[float] = PENALTIES,
) -> LinearProbe:
    """Learn the classes from finite features, in closed form and without any other data.

    Args:
        features: of the samples; each net has its own.
        labels: of the samples, from 0 on.
        classes: K.
        penalties: shares of the mean eigenvalue from which to choose.

    Example:
        >>> probe = fit(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1]), 2)
        >>> probe.scores(torch.tensor([[2.0], [9.0]])).argmax(-1).tolist()
        [0, 1]
    """
    X, Y = features.double(), F.one_hot(labels, classes).double()
    middle, shares = X.mean(-2, keepdim=True), Y.mean(-2, keepdim=True)
    X, Y = X - middle, Y - shares
    s, V = torch.linalg.eigh(X.mT @ X)
    s = s.clamp(min=0)  # rounding
    Z = X @ V
    ZY = Z.mT @ Y
    m = s.mean(-1, keepdim=True)
    m = torch.where(m > 0, m, 1.0)  # features that never change say nothing
    left = []
    for one in penalties:
        inverse = 1 / (s + one * m)  # (*nets, C)
        residuals = Y - Z @ (inverse[..., None] * ZY)
        leverage = 1 / X.shape[-2] + (Z.square() @ inverse[..., None])  # (*nets, N, 1)
        unseen = residuals / (1 - leverage).clamp(min=1e-9)
        left.append(unseen.square().mean((-2, -1)))
    penalty = torch.as_tensor(penalties, dtype=s.dtype, device=s.device)[
        torch.stack(left).argmin(0)
    ]
    weight = V @ (ZY / (s + penalty[..., None] * m)[..., None])
    return LinearProbe(weight, shares - middle @ weight, penalty)
