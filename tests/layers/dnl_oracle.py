"""Small blocks with weights everywhere, and the published blocks, as loops from their equations."""

import math

import torch
from mmcv.cnn import NonLocal1d, NonLocal2d, NonLocal3d
from torch import Tensor

from mmext.layers.disentangled_non_local import (
    DisentangledNonLocal1d,
    DisentangledNonLocal2d,
    DisentangledNonLocal3d,
)

IMPLS = ("sdpa", "chunk", "matmul")
VARIANTS = ("paper", "segmentation", "detection")
BN = dict(type="BN", requires_grad=True)
SIZES = {1: (11,), 2: (7, 5), 3: (3, 4, 3)}
BLOCKS = {1: DisentangledNonLocal1d, 2: DisentangledNonLocal2d, 3: DisentangledNonLocal3d}
MMCV_BLOCKS = {1: NonLocal1d, 2: NonLocal2d, 3: NonLocal3d}


def drawn(block, std=0.2):
    """The block with random weights everywhere, none of them at its start."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * std)
    return block


def some_map(dims=2, channels=16, batch=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *SIZES[dims], generator=g)


def attended(q: Tensor, k: Tensor, v: Tensor, i: int, *, scale: float, scalar_mean: bool) -> Tensor:
    """Pairwise term of place ``i``: (N, E), (M, E), (M, D) to (D,)."""
    mean_q, mean_k = (x.mean() if scalar_mean else x.mean(0) for x in (q, k))
    weights = [math.exp(scale * float((q[i] - mean_q) @ (k[j] - mean_k))) for j in range(len(k))]
    return sum(w * v[j] for j, w in enumerate(weights)) / sum(weights)


def unary(m: Tensor, v: Tensor) -> Tensor:
    """Unary term: (M,), (M, D) to (D,)."""
    weights = [math.exp(float(x)) for x in m]
    return sum(w * v[j] for j, w in enumerate(weights)) / sum(weights)


def linear(conv, x: Tensor) -> Tensor:
    """A 1 x 1 convolution as a matrix on places (N, C)."""
    weight = conv.weight.flatten(1)
    return x @ weight.T + (0 if conv.bias is None else conv.bias)


@torch.no_grad()
def block(module, x: Tensor, *, variant: str) -> Tensor:
    """What the block of that variant makes of ``x``, from its weights, place by place."""
    out = x.clone()
    for b in range(len(x)):
        places = x[b].flatten(1).T
        q, k, v = (linear(getattr(module, name).conv, places) for name in ("theta", "phi", "g"))
        m = linear(module.conv_mask, places)[:, 0]
        scale = 1.0 if variant == "segmentation" else 1 / math.sqrt(q.shape[1]) / 0.05
        rows = []
        for i in range(len(places)):
            pair = attended(q, k, v, i, scale=scale, scalar_mean=variant == "segmentation")
            if variant == "paper":
                rows.append(linear(module.conv_out.conv, (pair + unary(m, v))[None])[0])
            else:
                rows.append(module.gate.weight[0, 0] * pair + unary(m, v))
        out[b] += torch.stack(rows).T.reshape(x[b].shape)
    return out
