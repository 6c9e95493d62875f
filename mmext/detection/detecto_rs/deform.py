"""Deformable convolution in plain PyTorch, or by mmcv's kernel where that is the faster one.

Paper     Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211
Idea      Tap t of a kernel at place p reads x at p + t + offset, between pixels. All taps of all
          places are sampled into columns at once, and the convolution is one product with them.
Host      none: torch alone; mmcv.ops is imported only if its kernel is used. mmext.ops.deform_conv
          answers for that kernel, slopes at whole pixels included; this one keeps less and suits
          torch.compile
Deviates  At a whole pixel the slope is that to its left or its right, as rounding falls; mmcv's is
          the right.
Letters   N images, C input and O output channels, I = C / groups, T = kh * kw taps, H W map, h w
          output
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

from mmext.functional import at_least_float32
from mmext.ops.taps import Geometry, Pair, tap_positions

BACKENDS = ("auto", "mmcv", "grid_sample")
# mmcv's kernel knows half, but computes positions in it.
KERNEL_DTYPES = (torch.float32, torch.float64)
IM2COL_STEP = 32  # images that mmcv's kernel takes at once; the batch must be a multiple of it


def sampling_grid(
    offset: Float[Tensor, "N offsets h w"], kernel: Pair, size: Pair, geometry: Geometry
) -> Float[Tensor, "N rows w 2"]:
    """Where each tap of each place reads: x and y, -1 to 1 between the map's outer pixel edges.

    Args:
        offset: shift of each tap in pixels: row and column of tap 0, row and column of tap 1, and
            so on.
        kernel: kh and kw.
        size: H and W of the map.
        geometry: where the taps lie.
    """
    by_tap = offset.unflatten(1, (*kernel, 2))  # (N, kh, kw, 2, h, w)
    rows, cols = (
        tap_positions(geometry, i, kernel[i], offset.shape[2 + i], like=offset) for i in (0, 1)
    )
    rows, cols = (2 * rows + 1) / size[0] - 1, (2 * cols + 1) / size[1] - 1
    y = torch.add(rows[:, None, :, None], by_tap[:, :, :, 0], alpha=2 / size[0])
    x = torch.add(cols[None, :, None, :], by_tap[:, :, :, 1], alpha=2 / size[1])
    return torch.stack([x, y], dim=-1).flatten(1, 3)


def sample_columns(
    x: Float[Tensor, "N C H W"], grid: Float[Tensor, "N rows w 2"], taps: int
) -> Float[Tensor, "N columns h w"]:
    """What each tap of each place reads of ``x``, bilinearly, and zero outside.

    Args:
        x: the map.
        grid: see :func:`sampling_grid`.
        taps: of the kernel.
    """
    columns = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    N, C, rows, w = columns.shape
    return columns.reshape(N, C * taps, rows // taps, w)


class _SampleAndConvolve(torch.autograd.Function):
    """A 1 x 1 convolution of columns, sampled anew in backward: they are T times the map's size."""

    @staticmethod
    def forward(x: Tensor, grid: Tensor, weight: Tensor, groups: int, taps: int) -> Tensor:
        return F.conv2d(sample_columns(x, grid, taps).to(weight.dtype), weight, groups=groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *tensors, ctx.groups, ctx.taps = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, grid, weight = ctx.saved_tensors
        wants_x, wants_grid, wants_weight = ctx.needs_input_grad[:3]
        to_x = to_grid = to_weight = None
        columns_shape = (len(x), x.shape[1] * ctx.taps, *grad.shape[2:])
        with torch.autocast(x.device.type, enabled=False):
            if wants_weight:
                columns = sample_columns(x, grid, ctx.taps).to(weight.dtype)
                to_weight = conv2d_weight(columns, weight.shape, grad, groups=ctx.groups)
                del columns
            if wants_x or wants_grid:
                to_columns = conv2d_input(columns_shape, weight, grad, groups=ctx.groups)
                to_columns = to_columns.to(x.dtype).reshape(*x.shape[:2], *grid.shape[1:3])
                # Bilinear, zeros, corners not aligned.
                sampler = torch.ops.aten.grid_sampler_2d_backward
                to_x, to_grid = sampler(to_columns, x, grid, 0, 0, False, [wants_x, wants_grid])
        return to_x, to_grid, to_weight, None, None


def deform_conv2d(
    x: Float[Tensor, "N C H W"],
    offset: Float[Tensor, "N offsets h w"],
    weight: Float[Tensor, "O I kh kw"],
    bias: Float[Tensor, " O"] | None = None,
    geometry: Geometry = Geometry(),  # noqa: B008  it cannot change
    *,
    groups: int = 1,
    backend: str = "auto",
) -> Float[Tensor, "N O h w"]:
    """Deformable convolution (version 1: one offset a tap, shared by all channels).

    Positions and samples are float32 or better with either backend; the product runs in autocast's
    dtype, or in the dtype of ``weight``.

    Args:
        x: the map.
        offset: shift of each tap in pixels: row and column of tap 0, row and column of tap 1, and
            so on.
        weight: the kernel.
        bias: added to each output channel.
        geometry: where the taps lie.
        groups: blocks of channels that are convolved each for itself.
        backend: ``grid_sample``, ``mmcv``, or ``auto``, which takes the faster one that works.

    Raises:
        ImportError: ``backend`` is ``mmcv``, and mmcv has no compiled ops.
    """
    if choose_backend(backend, x, weight) == "mmcv":
        return _by_mmcv(x, offset, weight, bias, geometry, groups)
    dtype = product_dtype(weight)
    # Half precision knows no eighth of a pixel beyond 128, so autocast must not get at the
    # positions.
    with torch.autocast(x.device.type, enabled=False):
        x = at_least_float32(x)
        kernel = (weight.shape[2], weight.shape[3])
        grid = sampling_grid(offset.to(x.dtype), kernel, (x.shape[2], x.shape[3]), geometry)
        flat = weight.to(dtype).reshape(len(weight), -1, 1, 1)
        # A compiler decides by itself what is kept for backward and what is computed again.
        run = (
            _SampleAndConvolve.forward
            if torch.compiler.is_compiling()
            else _SampleAndConvolve.apply
        )
        y = run(x, grid, flat, groups, kernel[0] * kernel[1])
        return y if bias is None else y + bias.to(dtype)[:, None, None]


def choose_backend(backend: str, x: Tensor, weight: Tensor) -> str:
    """``mmcv`` or ``grid_sample``: what ``backend`` means for these tensors.

    ``auto`` is mmcv's kernel for float on CUDA, if it was compiled for that. A product in half
    precision goes to ``grid_sample``: there it runs in that precision, on tensor cores, where
    mmcv's kernel would have to run in float32 for the sake of the positions. mmcv's kernel refuses
    maps smaller than the kernel, and empty batches; those go to ``grid_sample`` whatever
    ``backend`` says.
    """
    if x.shape[0] == 0 or x.shape[2] < weight.shape[2] or x.shape[3] < weight.shape[3]:
        return "grid_sample"
    if backend != "auto":
        return backend
    # A compiler fuses grid_sample, but cannot look into mmcv's kernel.
    if x.device.type != "cuda" or torch.compiler.is_compiling():
        return "grid_sample"
    fits = product_dtype(weight) in KERNEL_DTYPES and mmcv_has_cuda()
    return "mmcv" if fits else "grid_sample"


def product_dtype(weight: Tensor) -> torch.dtype:
    """What a convolution with ``weight`` computes in here: autocast's dtype, or ``weight``'s."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


@cache
def mmcv_has_cuda() -> bool:
    """Whether mmcv's ops are there and were compiled for CUDA."""
    try:
        from mmcv.ops import get_compiling_cuda_version
    except ImportError:
        return False
    return "not available" not in get_compiling_cuda_version()


def mmcv_kernel() -> Callable[..., Tensor]:
    """Return mmcv's deformable convolution.

    Raises:
        ImportError: mmcv has no compiled ops.
    """
    try:
        from mmcv.ops import deform_conv2d as kernel
    except ImportError as error:
        raise ImportError(
            f"backend='mmcv' needs mmcv with compiled ops, got {error}; leave backend at 'auto', "
            "or build mmcv with its ops"
        ) from error
    return kernel


def _by_mmcv(
    x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, groups: int
) -> Tensor:
    """Call mmcv's kernel, in float32 or better."""
    dtype = product_dtype(weight)
    batch = len(x)
    # DEVIATION: mmcv casts its tensors to half under autocast, and computes positions in that
    # dtype.
    step = batch if batch <= IM2COL_STEP else math.gcd(batch, IM2COL_STEP)
    with torch.autocast(x.device.type, enabled=False):
        x, offset, weight = (at_least_float32(t).contiguous() for t in (x, offset, weight))
        y = mmcv_kernel()(x, offset, weight, *geometry, groups, 1, False, step)
    return (y if bias is None else y + bias.to(y.dtype)[:, None, None]).to(dtype)
