"""Channel-wise convolution over time (CSTM), worked out as each kind of device likes it.

A channel reads its own past, present and future and nothing of other channels. Written as a
convolution, that needs the frames in another order in memory, there and back. On a CPU this costs
far more than the arithmetic, so there it is three shifted multiply-adds. On a GPU what costs is
memory that moves: in backward the multiply-adds move 27 times the frames in 19 kernels, and a
convolution about 8 times in 3, its copies into the other order included. So there it is one. Both
are counted, not timed on a GPU.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PAST, PRESENT, FUTURE = 0, 1, 2
STARTS = ("shift", "identity")


def temporal_conv(
    x: Float[Tensor, "B T C H W"], weight: Float[Tensor, "C 3"]
) -> Float[Tensor, "B T C H W"]:
    """``y_t = w_0 x_{t-1} + w_1 x_t + w_2 x_{t+1}`` for each channel; outside the clip is 0.

    Only ``x`` is kept for the backward pass.

    Args:
        x: frames.
        weight: past, present and future of each channel.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1, 1)
        >>> temporal_conv(x, torch.tensor([[1.0, 0.0, 0.0]])).flatten()
        tensor([0., 1., 2.])
    """
    # Under autocast the frames are of half precision and the weights are not.
    weight = weight.to(x.dtype)
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return _concatenated(x, weight)
    return _TemporalConv.apply(x, weight) if x.device.type == "cpu" else _convolved(x, weight)


def as_it_is(device: str) -> AbstractContextManager[Any]:
    """Within, autocast leaves the precision of what it is given alone."""
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    """As a convolution over (T, H W), which wants the channels before the frames."""
    by_channel, kernel = x.flatten(3).transpose(1, 2), weight[:, None, :, None]
    with as_it_is(x.device.type):
        y = F.conv2d(by_channel, kernel, padding=(1, 0), groups=x.shape[2])
    return y.transpose(1, 2).reshape(x.shape)


def _concatenated(x: Tensor, weight: Tensor) -> Tensor:
    """The same without writing into a slice, which exporters turn into constants."""
    past, present, future = weight[..., None, None].unbind(1)
    zero = torch.zeros_like(x[:, :1])
    before, after = torch.cat([zero, x[:, :-1]], 1), torch.cat([x[:, 1:], zero], 1)
    return before * past + x * present + after * future


def _shifted(x: Tensor, weight: Tensor) -> Tensor:
    past, present, future = weight[..., None, None].unbind(1)
    y = x * present
    y[:, 1:].addcmul_(x[:, :-1], past)
    y[:, :-1].addcmul_(x[:, 1:], future)
    return y


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Sum over everything but the channels."""
    return torch.einsum("btchw,btchw->btc", x, y).sum((0, 1))


class _TemporalConv(torch.autograd.Function):
    """Autograd alone would keep each shifted copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _shifted(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad
        # What a frame gave to the future comes back from there: the kernel in reverse.
        grad_x = _shifted(grad, weight.flip(1)) if need_x else None
        if not need_weight:
            return grad_x, None
        past = _products(x[:, :-1], grad[:, 1:])
        future = _products(x[:, 1:], grad[:, :-1])
        return grad_x, torch.stack([past, _products(x, grad), future], 1)


class ChannelTemporalConv(nn.Conv1d):
    """Convolution of each channel over the three nearest frames, started as a shift.

    The first quarter of the channels starts with the frame before, the last quarter with the one
    after, the others with their own. A ``Conv1d`` only by its weight: optimizers and checkpoints
    treat it as such.

    Args:
        channels: C.
        num_segments: T, frames of a clip. It may be changed at any time.
        start: ``shift``, or ``identity`` to start as if it were not there.

    Raises:
        ValueError: an unknown ``start``.
    """

    def __init__(self, channels: int, num_segments: int, *, start: str = "shift") -> None:
        if start not in STARTS:
            raise ValueError(f"temporal_init must be one of {STARTS}, got {start!r}")
        self.start = start  # the host's constructor calls reset_parameters, which reads it
        super().__init__(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.num_segments = num_segments

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start anew."""
        kernel = self.weight[:, 0]  # (C, 3)
        quarter = len(kernel) // 4 if self.start == "shift" else 0
        kernel.zero_()
        kernel[:quarter, PAST] = 1
        kernel[quarter : len(kernel) - quarter, PRESENT] = 1
        kernel[len(kernel) - quarter :, FUTURE] = 1

    def forward(self, x: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT C H W"]:
        """Convolve over the frames of each clip."""
        clips = x.reshape(-1, self.num_segments, *x.shape[1:])
        return temporal_conv(clips, self.weight[:, 0]).flatten(0, 1)
