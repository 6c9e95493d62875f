"""Deformable convolution, with and without modulation.

Paper     Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211;
          version 2, Zhu et al. 2018, https://arxiv.org/abs/1811.11168
Idea      All taps of all places are sampled into columns (:mod:`mmext.ops.deform_sampling`), and
          the convolution is one product with them.
Host      mmcv's ``deform_conv_*`` and ``modulated_deform_conv_*``; torchvision has one operator for
          both
Deviates  none known
Letters   N images, C input and O output channels, G groups, kh x kw taps, H W map, h w output
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.deform_sampling import Shape, positions, sample_columns
from mmext.ops.gradients import gradients
from mmext.ops.table import serves


def _by_group(
    columns: Float[Tensor, "places taps C"], groups: int
) -> Float[Tensor, "G places taps_and_C"]:
    if groups == 1:
        return columns.flatten(1)[None]
    return columns.unflatten(2, (groups, -1)).permute(2, 0, 1, 3).flatten(2)


def _kernels(
    weight: Float[Tensor, "O I kh kw"], groups: int
) -> Float[Tensor, "G taps_and_C O_of_G"]:
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
        offset: see :func:`~mmext.ops.deform_sampling.sample_columns`.
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
    # A tap at exactly -1, as all along a padded edge before the offsets have learnt, has no slope
    # in mmcv's kernel (nor in ours), but one in torchvision's.
    (y, x_at), (H, W) = positions(offset, shape), x.shape[2:]
    seen = (
        ((y > -1) & (y < H) & (x_at > -1) & (x_at < W))
        .unsqueeze(4)
        .expand(-1, -1, -1, -1, 2, -1, -1)
    )
    to_offset = torch.where(seen.reshape(offset.shape), found[2], 0)
    return found[0], to_offset, found[1], None if mask is None else found[3]


def by_torchvision(
    x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, shape: Shape
) -> Tensor:
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

PLAIN = (
    "kH",
    "kW",
    "dH",
    "dW",
    "padH",
    "padW",
    "dilationH",
    "dilationW",
    "group",
    "deformable_group",
)
MODULATED = (
    *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w"),
    *("group", "deformable_group"),
)


def _shape(numbers: dict[str, int], names: tuple[str, ...]) -> Shape:
    """What mmcv passes as numbers of its own names."""
    *flat, groups, offset_groups = (numbers[name] for name in names)
    kernel, stride, padding, dilation = zip(flat[::2], flat[1::2], strict=True)
    return Shape(kernel, stride, padding, dilation, groups, offset_groups)


class _Adapters:
    """mmcv's five functions for one source; ``formula`` and ``gradient`` are all that differs."""

    def __init__(self, source: str) -> None:
        self.formula, self.gradient = FORMULAS[source]
        for name in ("forward", "backward_input", "backward_parameters"):
            serves("deform_conv", f"deform_conv_{name}", source=source)(getattr(self, name))
        for name in ("forward", "backward"):
            function = getattr(self, f"modulated_{name}")
            serves("modulated_deform_conv", f"modulated_deform_conv_{name}", source=source)(
                function
            )

    def _run(self, output: Tensor, *inputs: Tensor | None, shape: Shape) -> None:
        output.copy_(
            self.formula(*(None if one is None else at_least_float32(one) for one in inputs), shape)
        )

    def _back(self, *tensors: Tensor | None, shape: Shape) -> tuple[Any, ...]:
        return self.gradient(
            *(None if one is None else at_least_float32(one) for one in tensors), shape
        )

    def forward(
        self,
        input: Tensor,
        weight: Tensor,
        offset: Tensor,
        output: Tensor,
        columns: Tensor,
        ones: Tensor,
        **how: int,
    ) -> None:
        self._run(output, input, offset, weight, None, shape=_shape(how, PLAIN))

    def backward_input(
        self,
        input: Tensor,
        offset: Tensor,
        grad_output: Tensor,
        grad_input: Tensor,
        grad_offset: Tensor,
        weight: Tensor,
        columns: Tensor,
        **how: int,
    ) -> None:
        shape = _shape(how, PLAIN)
        to_x, to_offset, to_weight, _ = self._back(
            grad_output, input, offset, weight, None, shape=shape
        )
        grad_input.copy_(to_x)
        grad_offset.copy_(to_offset)
        # mmcv asks for the weight's gradient in a second call, with the same scratch tensor: it
        # waits there.
        columns.resize_(to_weight.shape).copy_(to_weight)

    def backward_parameters(
        self,
        input: Tensor,
        offset: Tensor,
        grad_output: Tensor,
        grad_weight: Tensor,
        columns: Tensor,
        ones: Tensor,
        **how: int,
    ) -> None:
        found = columns
        if columns.shape != grad_weight.shape:  # the input needed no gradient
            # The gradient does not depend on the weight's values.
            like = torch.zeros_like(grad_weight)
            found = self._back(grad_output, input, offset, like, None, shape=_shape(how, PLAIN))[2]
        grad_weight.add_(found, alpha=how["scale"])

    def modulated_forward(
        self,
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
        self._run(output, input, offset, weight, mask, shape=_shape(how, MODULATED))
        if how["with_bias"]:
            output.add_(bias[:, None, None])

    def modulated_backward(
        self,
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
        found = self._back(grad_output, input, offset, weight, mask, shape=_shape(how, MODULATED))
        for target, one in zip(
            (grad_input, grad_offset, grad_weight, grad_mask), found, strict=True
        ):
            target.copy_(one)
        if how["with_bias"]:
            grad_bias.copy_(at_least_float32(grad_output).sum(dim=(0, 2, 3)))


for _source in FORMULAS:
    _Adapters(_source)
