"""RoIAlign, also with bins that move (see :mod:`mmext.ops.deform_roi_pool`).

Paper     Mask R-CNN, He et al. 2017, https://arxiv.org/abs/1703.06870;
          Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211
          et al. 2017, https://arxiv.org/abs/1703.06211
Idea      A region is divided into bins, the map is sampled at a grid of positions in each, and a
          bin is their mean or maximum.
Host      mmcv's ``roi_align_*``
Deviates  A bin without samples has the maximum 0. mmcv's is -10000. Where a moved bin's sample lies
          on the edge of the map, the slope is that of the formula; mmcv's kernel uses places that
          it does not read.
Letters   K regions, P x Q bins, S samples of a bin along one axis, N images, C channels, H x W map
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.gradients import gradients
from mmext.ops.sampling import Axis, add_up, between_clamped, corners, rows_of
from mmext.ops.table import serves

ENTRIES = 2**22  # places and weights that are held at once: about 50 MB


class Bins:
    """Where the samples of regions lie: everything but the map.

    Args:
        rois: image, left, top, right, bottom; in pixels of the image.
        size: P and Q.
        spatial_scale: pixels of the map a pixel of the image.
        sampling_ratio: samples along each axis of a bin; 0 takes one a pixel.
        aligned: whether the middle of the first pixel is at half a pixel (else regions are at least
            a pixel wide).
        shift: of each bin, x then y, as a part of the region's size.
    """

    def __init__(
        self,
        rois: Float[Tensor, "K 5"],
        size: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        *,
        aligned: bool,
        shift: Float[Tensor, "K 2 P Q"] | None = None,
    ) -> None:
        half = 0.5 if aligned else 0.0
        self.image = rois[:, 0].long()
        self.start = rois[:, 1:3].flip(1) * spatial_scale - half  # (K, 2): y, x
        end = rois[:, 3:5].flip(1) * spatial_scale - half
        self.extent = end - self.start if aligned else (end - self.start).clamp(min=1)
        self.size, self.shift = size, shift
        self.bin = self.extent / self.extent.new_tensor(size)
        self.samples = (
            torch.full_like(self.bin, sampling_ratio)
            if sampling_ratio > 0
            else self.bin.ceil().clamp(min=0)
        )

    def chunks(self, sampling_ratio: int) -> list[tuple[Tensor | slice, tuple[int, int]]]:
        """Regions that are pooled at once, and the most samples that one of them has along y and x.

        With a fixed number of samples nothing is asked of the device. Else their numbers are, once
        a call, and regions with similar numbers go together.
        """
        bins = self.size[0] * self.size[1]
        if sampling_ratio > 0:
            step = max(1, ENTRIES // (bins * 4 * sampling_ratio**2))
            most = (sampling_ratio, sampling_ratio)
            return [(slice(i, i + step), most) for i in range(0, len(self.bin), step)]
        order = self.samples.prod(dim=1).argsort()
        numbers = self.samples[order].long().tolist()
        found: list[tuple[Tensor | slice, tuple[int, int]]] = []
        first, high, wide = 0, 0, 0
        for last, (y, x) in enumerate(numbers):
            taller, wider = max(high, y), max(wide, x)
            if last > first and (last - first + 1) * bins * 4 * taller * wider > ENTRIES:
                found.append((order[first:last], (high, wide)))
                first, taller, wider = last, y, x
            high, wide = taller, wider
        if numbers:
            found.append((order[first:], (high, wide)))
        return found

    def positions(self, which: Tensor | slice, axis: int, sample: Tensor) -> Tensor:
        """Where samples lie along one axis, in pixels of the map: (K, P, Q, ...), or 1 for P or Q.

        Args:
            which: regions.
            axis: 0 for y, 1 for x.
            sample: its number within its bin; broadcasts against the result.
        """
        start, size, number, extent = (
            one[which][:, axis, None, None, None]
            for one in (self.start, self.bin, self.samples, self.extent)
        )
        bins = torch.arange(self.size[axis], device=start.device, dtype=start.dtype)
        bins = bins[:, None, None] if axis == 0 else bins[:, None]
        if self.shift is not None:  # x comes first in the shift
            start = start + extent * self.shift[which][:, 1 - axis, :, :, None]
        return start + bins * size + (sample + 0.5) * size / number.clamp(min=1)

    def all_positions(self, which: Tensor | slice, axis: int, most: int) -> tuple[Tensor, Tensor]:
        """Positions of ``most`` samples of each bin along one axis, and which of them there are."""
        sample = torch.arange(most, device=self.bin.device, dtype=self.bin.dtype)
        there = sample < self.samples[which][:, axis, None, None, None]
        return self.positions(which, axis, sample), there


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


@serves("roi_align", "roi_align_forward")
def _forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    size = (aligned_height, aligned_width)
    bins = Bins(at_least_float32(rois), size, spatial_scale, sampling_ratio, aligned=aligned)
    if pool_mode == 1:
        output.copy_(pool_mean(at_least_float32(input), bins, sampling_ratio))
        return
    best, which_one = pool_maximum(at_least_float32(input), bins, sampling_ratio)
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
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    grad, rois = at_least_float32(grad_output), at_least_float32(rois)
    bins = Bins(
        rois, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned=aligned
    )
    if pool_mode == 0:
        which_one = torch.stack([at_least_float32(argmax_y), at_least_float32(argmax_x)])
        grad_input.copy_(spread_maximum(grad, which_one, bins, tuple(grad_input.shape)))  # type: ignore[arg-type]
        return
    # The mean is linear in the map, so its gradient does not depend on the values there.
    like = torch.zeros_like(at_least_float32(grad_input))
    grad_input.copy_(gradients(lambda x: pool_mean(x, bins, sampling_ratio), (like,), grad)[0])


@serves("roi_align", "roi_align_forward", source="torchvision")
def _forward_by_torchvision(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    size = (aligned_height, aligned_width)
    if pool_mode == 0:  # torchvision has the mean alone
        _forward(
            input,
            rois,
            output,
            argmax_y,
            argmax_x,
            *size,
            spatial_scale,
            sampling_ratio,
            0,
            aligned,
        )
        return
    image, regions = at_least_float32(input), at_least_float32(rois)
    align = torch.ops.torchvision.roi_align
    output.copy_(align(image, regions, spatial_scale, *size, sampling_ratio, aligned))


@serves("roi_align", "roi_align_backward", source="torchvision")
def _backward_by_torchvision(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    size = (aligned_height, aligned_width)
    if pool_mode == 0:
        _backward(
            grad_output,
            rois,
            argmax_y,
            argmax_x,
            grad_input,
            *size,
            spatial_scale,
            sampling_ratio,
            0,
            aligned,
        )
        return
    grad, regions = at_least_float32(grad_output), at_least_float32(rois)
    spread = torch.ops.torchvision._roi_align_backward
    grad_input.copy_(
        spread(grad, regions, spatial_scale, *size, *grad_input.shape, sampling_ratio, aligned)
    )
