"""Deformable convolution, with and without modulation.

Paper     Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211; version 2, Zhu et al. 2018,
          https://arxiv.org/abs/1811.11168
Idea      Tap t of a kernel at place p reads x at p + t + offset, between pixels. All taps of all places are sampled into
          columns, and the convolution is one product with them.
Host      mmcv's ``deform_conv_*`` and ``modulated_deform_conv_*``; torchvision has one operator for both
Deviates  none known
Letters   N images, C input and O output channels, G groups, D groups of offsets, T = kh * kw taps, H W map, h w output
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.gradients import gradients
from mmext.ops.sampling import add_up, between, corners, rows_of
from mmext.ops.table import serves

Pair = tuple[int, int]


class Shape(NamedTuple):
    """Where the taps of a kernel lie, and how channels are grouped."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    offset_groups: int = 1


def tap_positions(shape: Shape, axis: int, places: int, like: Tensor) -> Float[Tensor, "taps places"]:
    """Row (or column), in pixels, that each row of taps reads at each row of places if nothing is deformed."""
    at = torch.arange(places, device=like.device, dtype=like.dtype) * shape.stride[axis] - shape.padding[axis]
    taps = torch.arange(shape.kernel[axis], device=like.device, dtype=like.dtype)
    return at + taps[:, None] * shape.dilation[axis]


def positions(offset: Float[Tensor, "N offsets h w"], shape: Shape) -> tuple[Tensor, Tensor]:
    """Row and column, in pixels, that each tap reads at each place: both (N, D, kh, kw, h, w)."""
    (kh, kw), (h, w) = shape.kernel, offset.shape[2:]
    by_tap = offset.reshape(len(offset), shape.offset_groups, kh, kw, 2, h, w)
    y = by_tap[:, :, :, :, 0] + tap_positions(shape, 0, h, offset)[:, None, :, None]
    return y, by_tap[:, :, :, :, 1] + tap_positions(shape, 1, w, offset)[None, :, None, :]


def sample_columns(
    x: Float[Tensor, "N C H W"],
    offset: Float[Tensor, "N offsets h w"],
    mask: Float[Tensor, "N factors h w"] | None,
    shape: Shape,
) -> Float[Tensor, "places taps C"]:
    """What each tap reads at each place of each image: bilinear, zero outside of the map, times its mask.

    Args:
        x: the map.
        offset: shift in pixels: row and column of tap 0, row and column of tap 1 and so on, group after group.
        mask: factor of each tap, group after group.
        shape: where the taps lie.
    """
    (N, C, H, W), (kh, kw), D = x.shape, shape.kernel, shape.offset_groups
    h, w = offset.shape[2:]
    y, x_at = positions(offset, shape)
    index, weight = corners(between(y, H), between(x_at, W), W)  # (N, D, kh, kw, h, w, 4)
    if mask is not None:
        weight = weight * mask.reshape(N, D, kh, kw, h, w, 1)
    image = torch.arange(N, device=x.device).reshape(N, 1, 1, 1, 1, 1, 1)
    group = torch.arange(D, device=x.device).reshape(1, D, 1, 1, 1, 1, 1)
    index = (image * (H * W) + index) * D + group
    index, weight = (one.permute(0, 4, 5, 2, 3, 1, 6).reshape(-1, 4) for one in (index, weight))
    return add_up(rows_of(x, D), index, weight).reshape(N * h * w, kh * kw, C)


def _by_group(columns: Float[Tensor, "places taps C"], groups: int) -> Float[Tensor, "G places taps_and_C"]:
    if groups == 1:
        return columns.flatten(1)[None]
    return columns.unflatten(2, (groups, -1)).permute(2, 0, 1, 3).flatten(2)


def _kernels(weight: Float[Tensor, "O I kh kw"], groups: int) -> Float[Tensor, "G taps_and_C O_of_G"]:
    """The weights in the order of the columns: tap, then channel."""
    return weight.flatten(2).unflatten(0, (groups, -1)).permute(0, 3, 2, 1).flatten(1, 2)


def deform_conv2d(
    x: Float[Tensor, "N C H W"],
    offset: Float[Tensor, "N offsets h w"],
    weight: Float[Tensor, "O I kh kw"],
    mask: Float[Tensor, "N factors h w"] | None,
    shape: Shape,
) -> Float[Tensor, "N O h w"]:
    """Deformable convolution, modulated if there is a mask.

    Args:
        x: the map.
        offset: see :func:`sample_columns`.
        weight: the kernel.
        mask: factor of each tap.
        shape: where the taps lie.
    """
    columns = _by_group(sample_columns(x, offset, mask, shape), shape.groups)
    product = columns @ _kernels(weight, shape.groups)  # (G, places, O / G)
    out = product.permute(0, 2, 1).reshape(len(weight), len(x), *offset.shape[2:])
    return out.transpose(0, 1)


def backward(
    grad: Float[Tensor, "N O h w"],
    x: Float[Tensor, "N C H W"],
    offset: Float[Tensor, "N offsets h w"],
    weight: Float[Tensor, "O I kh kw"],
    mask: Float[Tensor, "N factors h w"] | None,
    shape: Shape,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients for ``x``, ``offset``, ``weight`` and ``mask``."""
    inputs = (x, offset, weight) if mask is None else (x, offset, weight, mask)

    def run(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        return deform_conv2d(x, offset, weight, mask, shape)

    to_x, to_offset, to_weight, *to_mask = gradients(run, inputs, grad)
    return to_x, to_offset, to_weight, to_mask[0] if to_mask else None


def backward_by_torchvision(
    grad: Tensor, x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, shape: Shape
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The same by torchvision's kernel."""
    bias = weight.new_zeros(len(weight))
    factor = x.new_zeros(len(x), 1) if mask is None else mask
    found = torch.ops.torchvision._deform_conv2d_backward(
        grad.contiguous(), x, weight, offset, factor, bias, *_flat(shape), mask is not None
    )
    # A tap at exactly -1, as all along a padded edge before the offsets have learnt, has no slope in mmcv's kernel (nor in
    # ours), but one in torchvision's.
    (y, x_at), (H, W) = positions(offset, shape), x.shape[2:]
    seen = ((y > -1) & (y < H) & (x_at > -1) & (x_at < W)).unsqueeze(4).expand(-1, -1, -1, -1, 2, -1, -1)
    to_offset = torch.where(seen.reshape(offset.shape), found[2], 0)
    return found[0], to_offset, found[1], None if mask is None else found[3]


def by_torchvision(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, shape: Shape) -> Tensor:
    """:func:`deform_conv2d` by torchvision's kernel."""
    bias = weight.new_zeros(len(weight))
    factor = x.new_zeros(len(x), 1) if mask is None else mask
    return torch.ops.torchvision.deform_conv2d(
        x, weight, offset, factor, bias, *_flat(shape), mask is not None
    )


def _flat(shape: Shape) -> tuple[int, ...]:
    return (*shape.stride, *shape.padding, *shape.dilation, shape.groups, shape.offset_groups)


FORMULAS: dict[str, tuple[Any, Any]] = {
    "torch": (deform_conv2d, backward),
    "torchvision": (by_torchvision, backward_by_torchvision),
}


def _shape(kernel: Pair, numbers: dict[str, int], names: tuple[str, ...]) -> Shape:
    """What mmcv passes as numbers of its own names."""
    *pairs, groups, offset_groups = (numbers[name] for name in names)
    return Shape(kernel, *zip(pairs[::2], pairs[1::2], strict=True), groups, offset_groups)  # type: ignore[arg-type]


PLAIN = ("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
MODULATED = ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "group", "deformable_group")


def _serve(source: str) -> None:
    """Register one source's adapters; the two differ in the formulas that they call."""
    formula, gradient = FORMULAS[source]

    def run(target: Tensor, x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, shape: Shape) -> None:
        if target.numel():  # an empty batch has nothing to convolve, and torchvision refuses it
            plain = (None if one is None else at_least_float32(one) for one in (x, offset, weight, mask))
            target.copy_(formula(*plain, shape))

    def back(grad: Tensor, *inputs: Tensor | None, shape: Shape) -> tuple[Tensor | None, ...]:
        plain = [None if one is None else at_least_float32(one) for one in inputs]
        if grad.numel() == 0:
            return tuple(None if one is None else torch.zeros_like(one) for one in plain)
        return gradient(at_least_float32(grad), *plain, shape)

    @serves("deform_conv", "deform_conv_forward", source=source)
    def forward(
        input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **how: int
    ) -> None:
        run(output, input, offset, weight, None, _shape((how["kH"], how["kW"]), how, PLAIN))

    @serves("deform_conv", "deform_conv_backward_input", source=source)
    def backward_input(
        input: Tensor,
        offset: Tensor,
        grad_output: Tensor,
        grad_input: Tensor,
        grad_offset: Tensor,
        weight: Tensor,
        columns: Tensor,
        **how: int,
    ) -> None:
        shape = _shape((how["kH"], how["kW"]), how, PLAIN)
        to_x, to_offset, to_weight, _ = back(grad_output, input, offset, weight, None, shape=shape)
        grad_input.copy_(to_x)  # type: ignore[arg-type]
        grad_offset.copy_(to_offset)  # type: ignore[arg-type]
        # mmcv asks for the weight's gradient in a second call, with the same scratch tensor: it waits there.
        columns.set_(to_weight.to(columns.dtype).contiguous())  # type: ignore[union-attr, call-overload]

    @serves("deform_conv", "deform_conv_backward_parameters", source=source)
    def backward_parameters(
        input: Tensor,
        offset: Tensor,
        grad_output: Tensor,
        grad_weight: Tensor,
        columns: Tensor,
        ones: Tensor,
        **how: int,
    ) -> None:
        shape = _shape((how["kH"], how["kW"]), how, PLAIN)
        if columns.shape != grad_weight.shape:  # the input needed no gradient
            # The gradient does not depend on the weight's values.
            columns = back(grad_output, input, offset, torch.zeros_like(grad_weight), None, shape=shape)[2]  # type: ignore[assignment]
        grad_weight.add_(columns, alpha=how["scale"])

    @serves("modulated_deform_conv", "modulated_deform_conv_forward", source=source)
    def modulated_forward(
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        ones: Tensor,
        offset: Tensor,
        mask: Tensor,
        output: Tensor,
        columns: Tensor,
        **how: int,
    ) -> None:
        run(output, input, offset, weight, mask, _shape((how["kernel_h"], how["kernel_w"]), how, MODULATED))
        if how["with_bias"]:
            output.add_(bias[:, None, None])

    @serves("modulated_deform_conv", "modulated_deform_conv_backward", source=source)
    def modulated_backward(
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        ones: Tensor,
        offset: Tensor,
        mask: Tensor,
        columns: Tensor,
        grad_input: Tensor,
        grad_weight: Tensor,
        grad_bias: Tensor,
        grad_offset: Tensor,
        grad_mask: Tensor,
        grad_output: Tensor,
        **how: int,
    ) -> None:
        shape = _shape((how["kernel_h"], how["kernel_w"]), how, MODULATED)
        found = back(grad_output, input, offset, weight, mask, shape=shape)
        for target, one in zip((grad_input, grad_offset, grad_weight, grad_mask), found, strict=True):
            target.copy_(one)  # type: ignore[arg-type]
        if how["with_bias"]:
            grad_bias.copy_(at_least_float32(grad_output).sum(dim=(0, 2, 3)))


for _source in FORMULAS:
    _serve(_source)
