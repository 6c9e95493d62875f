"""RoIAlign, also with bins that move (see :mod:`mmext.ops.deform_roi_pool`).

Paper     Mask R-CNN, He et al. 2017, https://arxiv.org/abs/1703.06870;
          Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211
Idea      A region is divided into bins, the map is sampled at a grid of positions in each
          (:mod:`mmext.ops.roi_bins`), and a bin is their mean or maximum.
Host      mmcv's ``roi_align_*``
Deviates  A bin without samples has the maximum 0. mmcv's is -10000. Where a moved bin's sample lies
          on the edge of the map, the slope is that of the formula; mmcv's kernel uses places that
          it does not read.
Letters   K regions, P x Q bins, S samples of a bin along one axis, N images, C channels, H x W map
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.gradients import gradients
from mmext.ops.roi_bins import Bins
from mmext.ops.sampling import Axis, add_up, between_clamped, corners, rows_of
from mmext.ops.table import serves


def pool_mean(
    x: Float[Tensor, "N C H W"], bins: Bins, sampling_ratio: int
) -> Float[Tensor, "K C P Q"]:
    """Mean of each bin's samples; 0 for a bin without."""
    (C, H, W), (P, Q) = x.shape[1:], bins.size
    rows = rows_of(x)
    parts, order = [], []
    for which, most in bins.chunks(sampling_ratio):
        y, x_axis = (_axis(bins, which, axis, most[axis], (H, W)[axis]) for axis in (0, 1))
        index, weight = corners(y, x_axis, W)
        index = index + (bins.image[which] * (H * W))[:, None, None, None]
        number = bins.samples[which].prod(dim=1).clamp(min=1)[:, None, None, None]
        K = len(number)
        shape = (K * P * Q, 4 * most[0] * most[1])
        index, weight = (one.expand(K, P, Q, -1).reshape(shape) for one in (index, weight / number))
        parts.append(add_up(rows, index, weight))
        order.append(which)
    if not parts:
        return x.new_zeros(0, C, P, Q)
    pooled = torch.cat(parts).unflatten(0, (-1, P, Q)).permute(0, 3, 1, 2)
    return pooled if isinstance(order[0], slice) else pooled[torch.cat(order).argsort()]  # type: ignore[arg-type]


def _axis(bins: Bins, which: Tensor | slice, axis: int, most: int, size: int) -> Axis:
    """Each sample's two places along one axis, flat in the last dimension; missing ones weigh 0."""
    position, there = bins.all_positions(which, axis, most)
    place, weight = between_clamped(position, size)
    return place.flatten(-2), (weight * there[..., None]).flatten(-2)


def pool_maximum(
    x: Float[Tensor, "N C H W"], bins: Bins, sampling_ratio: int
) -> tuple[Float[Tensor, "K C P Q"], Float[Tensor, "2 K C P Q"]]:
    """Maximum of a bin's samples and that sample's number along y and x; -1 for a bin without."""
    (C, H, W), (P, Q) = x.shape[1:], bins.size
    K = len(bins.bin)
    best, which_one = x.new_zeros(K, C, P, Q), x.new_full((2, K, C, P, Q), -1)
    rows = rows_of(x)
    for which, most in bins.chunks(sampling_ratio):
        if most[0] * most[1] == 0:
            continue
        (y, has_y), (x_at, has_x) = (bins.all_positions(which, axis, most[axis]) for axis in (0, 1))
        k = len(y)
        index, weight = corners(
            between_clamped(y.expand(k, P, Q, -1)[..., None], H),
            between_clamped(x_at.expand(k, P, Q, -1)[..., None, :], W),
            W,
        )  # (k, P, Q, S, S, 4)
        index = index + (bins.image[which] * (H * W)).reshape(-1, 1, 1, 1, 1, 1)
        values = add_up(rows, index.flatten(0, -2), weight.flatten(0, -2)).unflatten(
            0, (k, P, Q, -1)
        )
        there = (has_y[..., None] & has_x[..., None, :]).expand(k, P, Q, *most).flatten(3)
        top = values.masked_fill(~there[..., None], -torch.inf).argmax(
            dim=3, keepdim=True
        )  # the first of equals
        some = there.any(dim=3)[:, None]
        top_value, top = (
            one.squeeze(3).permute(0, 3, 1, 2) for one in (values.gather(3, top), top)
        )
        best[which] = torch.where(some, top_value, 0)
        for axis, number in enumerate((top // most[1], top % most[1])):
            which_one[axis, which] = torch.where(some, number, -1).to(x.dtype)
    return best, which_one


def spread_maximum(
    grad: Float[Tensor, "K C P Q"],
    which_one: Float[Tensor, "2 K C P Q"],
    bins: Bins,
    shape: tuple[int, int, int, int],
) -> Float[Tensor, "N C H W"]:
    """Gradient of :func:`pool_maximum` for the map: each goes to the places around its maximum."""
    N, C, H, W = shape
    y, x = (
        bins.positions(slice(None), axis, which_one[axis].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for axis in (0, 1)
    )
    index, weight = corners(between_clamped(y, H), between_clamped(x, W), W)  # (K, C, P, Q, 4)
    channel = torch.arange(C, device=grad.device)[:, None, None, None]
    index = index + (bins.image[:, None, None, None, None] * C + channel) * (H * W)
    weight = weight * (which_one[0] >= 0)[..., None]
    to_map = grad.new_zeros(N * C * H * W)
    return to_map.index_add_(0, index.flatten(), (weight * grad[..., None]).flatten()).reshape(
        shape
    )


def _bins(rois: Tensor, how: Mapping[str, Any]) -> Bins:
    """What mmcv says of the bins in words of its own."""
    return Bins(
        at_least_float32(rois),
        (how["aligned_height"], how["aligned_width"]),
        how["spatial_scale"],
        how["sampling_ratio"],
        aligned=how["aligned"],
    )


@serves("roi_align", "roi_align_forward")
def _forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **how: Any
) -> None:
    x, bins = at_least_float32(input), _bins(rois, how)
    if how["pool_mode"] == 1:
        output.copy_(pool_mean(x, bins, how["sampling_ratio"]))
        return
    best, which_one = pool_maximum(x, bins, how["sampling_ratio"])
    output.copy_(best)
    # mmcv keeps these two for backward alone, in the input's dtype: numbers of samples stay exact
    # in half, positions do not.
    argmax_y.copy_(which_one[0])
    argmax_x.copy_(which_one[1])


@serves("roi_align", "roi_align_backward")
def _backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    **how: Any,
) -> None:
    grad, bins = at_least_float32(grad_output), _bins(rois, how)
    if how["pool_mode"] == 0:
        which_one = torch.stack([at_least_float32(argmax_y), at_least_float32(argmax_x)])
        grad_input.copy_(spread_maximum(grad, which_one, bins, tuple(grad_input.shape)))  # type: ignore[arg-type]
        return
    # The mean is linear in the map, so its gradient does not depend on the values there.
    like = torch.zeros_like(at_least_float32(grad_input))
    ratio = how["sampling_ratio"]
    grad_input.copy_(gradients(lambda x: pool_mean(x, bins, ratio), (like,), grad)[0])


@serves("roi_align", "roi_align_forward", source="torchvision")
def _forward_by_torchvision(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **how: Any
) -> None:
    if how["pool_mode"] == 0:  # torchvision has the mean alone
        _forward(input, rois, output, argmax_y, argmax_x, **how)
        return
    align = torch.ops.torchvision.roi_align
    scale, size, ratio, aligned = _for_torchvision(how)
    image, regions = at_least_float32(input), at_least_float32(rois)
    output.copy_(align(image, regions, scale, *size, ratio, aligned))


@serves("roi_align", "roi_align_backward", source="torchvision")
def _backward_by_torchvision(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    **how: Any,
) -> None:
    if how["pool_mode"] == 0:
        _backward(grad_output, rois, argmax_y, argmax_x, grad_input, **how)
        return
    spread = torch.ops.torchvision._roi_align_backward
    scale, size, ratio, aligned = _for_torchvision(how)
    grad, regions = at_least_float32(grad_output), at_least_float32(rois)
    grad_input.copy_(spread(grad, regions, scale, *size, *grad_input.shape, ratio, aligned))


def _for_torchvision(how: Mapping[str, Any]) -> tuple[float, tuple[int, int], int, bool]:
    size = (how["aligned_height"], how["aligned_width"])
    return how["spatial_scale"], size, how["sampling_ratio"], how["aligned"]
