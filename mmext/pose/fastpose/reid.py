"""Losses of an embedding that tells objects apart: batch-hard triplets, and a BN neck.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      The hardest triplets of a batch (Hermans et al. 2017, arXiv:1703.07737) draw an identity
          together; a classifier of identities sees the embedding through a batch norm (Luo et al.
          2019, arXiv:1903.07071), so that the two do not pull at the same numbers.
Host      PyTorch alone
Letters   N objects, D numbers of an embedding; an identity below 0 is unknown
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def batch_hard_triplet(
    embeddings: Float[Tensor, "N D"], identity: Int[Tensor, " N"], *, margin: int | float
) -> tuple[Float[Tensor, " N"], Bool[Tensor, " N"]]:
    """Hinge of each object's farthest same and nearest other, and whether it has an other.

    Objects of unknown identity neither have nor are any. Where all objects are the same one there
    is no other, and no loss.

    Args:
        embeddings: of length 1.
        identity: which object it is.
        margin: by how much the nearest other should be farther, of distances up to 2.
    """
    if not len(embeddings):
        return embeddings.sum(1), identity >= 0
    square = 2 - 2 * embeddings @ embeddings.T
    distance = square.clamp(min=1e-12).sqrt()  # its slope at 0 would be infinite
    known = identity >= 0
    same = identity[:, None] == identity
    farthest = distance.masked_fill(~same, 0).amax(1)
    nearest = distance.masked_fill(same | ~known, torch.inf).amin(1)
    counts = known & nearest.isfinite()
    return (farthest - nearest + margin).relu().where(counts, 0.0), counts


def norm_over(
    x: Float[Tensor, "N D"],
    counted: Bool[Tensor, " N"],
    running_mean: Float[Tensor, " D"],
    running_var: Float[Tensor, " D"],
    *,
    eps: int | float,
) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Normalise by the statistics of what counts; also the mean and the unbiased variance.

    Below two objects there is no variance, and the running statistics take its place.
    """
    weight = counted.to(x.dtype)
    n = weight.sum()
    mean = weight @ x / n.clamp(min=1)
    square = weight @ (x - mean).square()
    enough = n > 1
    mean = mean.where(enough, running_mean)
    var = (square / n.clamp(min=1)).where(enough, running_var)
    unbiased = (square / (n - 1).clamp(min=1)).where(enough, running_var)
    return (x - mean) * (var + eps).rsqrt(), mean.detach(), unbiased.detach()
