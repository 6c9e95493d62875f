"""Layers to try SAC and ConvAWS on, ours beside mmcv's, and how far apart two results are."""

import pytest
import torch
from mmcv.ops import SAConv2d
from torch import nn

from mmext.detection.detecto_rs.sac import SAC

UPSTREAM = pytest.mark.xfail(
    strict=True, reason="upstream's defect; when this passes, say so in the README"
)
DEFORM = pytest.mark.parametrize("use_deform", [False, True], ids=["plain", "deform"])


def image(size=(11, 13), channels=8, batch=2, dtype=torch.float32, seed=5):
    """Random maps."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *size, generator=g, dtype=torch.float64).to(dtype)


def layer(use_deform=True, cls=SAC, dtype=torch.float32, **cfg):
    """A SAC for such maps with random numbers in every tensor."""
    return shake(cls(8, 12, 3, padding=1, use_deform=use_deform, **cfg)).to(dtype)


@torch.no_grad()
def shake(layer: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers in every tensor of a layer; gamma stays positive."""
    g = torch.Generator().manual_seed(seed)
    for name, tensor in layer.state_dict().items():
        noise = torch.randn(tensor.shape, generator=g, dtype=torch.float64)
        size = 0.1 if tensor.ndim > 1 else 0.5
        tensor.copy_(noise.abs() + 0.1 if name.endswith("gamma") else size * noise)
    return layer


def pair(channels=(8, 12), kernel=3, dilation=1, dtype=torch.float32, backend="auto", **cfg):
    """Our layer and mmcv's with equal random weights, loaded strictly from one into the other."""
    padding = dilation * (kernel - 1) // 2
    cfg = dict(padding=padding, dilation=dilation, bias=False) | cfg
    theirs = shake(SAConv2d(*channels, kernel, **cfg)).to(dtype)
    ours = SAC(*channels, kernel, **cfg, backend=backend).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def gradients(layer: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Output and gradients of an uneven sum of it, that of the input under the name x."""
    layer.zero_grad()
    x = x.detach().clone().requires_grad_()
    y = layer(x)
    weight = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).to(y.dtype).reshape(y.shape)
    (y * weight).sum().backward()
    grads = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
    return y.detach(), grads | {"x": x.grad}


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    """Size of the difference relative to that of ``b``."""
    return ((a - b).norm() / b.norm()).item()


def largest_error(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference relative to the largest number of ``b``."""
    return ((a - b).abs().max() / b.abs().max()).item()
