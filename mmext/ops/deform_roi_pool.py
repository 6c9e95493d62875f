"""Deformable RoI pooling: RoIAlign whose bins move by learnt offsets.

Paper     Deformable Convolutional Networks, Dai et al. 2017, https://arxiv.org/abs/1703.06211
Host      mmcv's ``deform_roi_pool_*``
Deviates  see :mod:`mmext.ops.roi_align`
Letters   K regions, P x Q bins, N images, C channels, H x W map
"""

from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.gradients import gradients
from mmext.ops.roi_align import pool_mean
from mmext.ops.roi_bins import Bins
from mmext.ops.table import serves


def deform_roi_pool(
    x: Float[Tensor, "N C H W"],
    shift: Float[Tensor, "K 2 P Q"] | None,
    rois: Float[Tensor, "K 5"],
    size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
) -> Float[Tensor, "K C P Q"]:
    """Mean of bins that move by ``shift``, a part of their region's size: x, then y."""
    bins = Bins(rois, size, spatial_scale, sampling_ratio, aligned=True, shift=shift)
    return pool_mean(x, bins, sampling_ratio)


@serves("deform_roi_pool", "deform_roi_pool_forward")
def _deform_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    shift = at_least_float32(offset) * gamma if offset.numel() else None
    x, rois = at_least_float32(input), at_least_float32(rois)
    how = dict(spatial_scale=spatial_scale, sampling_ratio=sampling_ratio)
    output.copy_(deform_roi_pool(x, shift, rois, (pooled_height, pooled_width), **how))  # type: ignore[arg-type]


@serves("deform_roi_pool", "deform_roi_pool_backward")
def _deform_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    x, rois, grad = (at_least_float32(one) for one in (input, rois, grad_output))

    def pooled(x: Tensor, offset: Tensor | None = None) -> Tensor:
        shift = None if offset is None else offset * gamma
        how = dict(spatial_scale=spatial_scale, sampling_ratio=sampling_ratio)
        return deform_roi_pool(x, shift, rois, (pooled_height, pooled_width), **how)  # type: ignore[arg-type]

    inputs = (x, at_least_float32(offset)) if offset.numel() else (x,)
    for target, found in zip(
        (grad_input, grad_offset), gradients(pooled, inputs, grad), strict=False
    ):
        target.copy_(found)
