"""RoI pooling: the maximum of the pixels in each bin of a region.

Paper     Fast R-CNN, Girshick 2015, https://arxiv.org/abs/1504.08083
Host      mmcv's ``roi_pool_*``, whose bins are not those of torchvision: it rounds the region, mmcv
          does not
Deviates  none known
Letters   K regions, P x Q bins, N images, C channels, H x W map
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.sampling import rows_of
from mmext.ops.table import serves

VALUES = 2**24  # pixels times channels that are held at once: 64 MB


def bin_edges(
    low: Float[Tensor, " K"], high: Float[Tensor, " K"], bins: int, size: int
) -> tuple[Int[Tensor, "K bins"], Int[Tensor, "K bins"]]:
    """First pixel of each bin along an axis, and the first after it; equal if a region is empty."""
    at = torch.arange(bins, device=low.device, dtype=low.dtype)
    step = ((high - low) / bins)[:, None]
    first = (at * step + low[:, None]).floor().clamp(0, size).long()
    after = ((at + 1) * step + low[:, None]).ceil().clamp(0, size).long()
    return first, torch.where((high > low)[:, None], after, first)


def roi_pool(
    x: Float[Tensor, "N C H W"],
    rois: Float[Tensor, "K 5"],
    size: tuple[int, int],
    spatial_scale: float,
) -> tuple[Float[Tensor, "K C P Q"], Int[Tensor, "K C P Q"]]:
    """Maximum of each bin and the pixel that has it, counted in its map; 0 and -1 for an empty bin.

    Args:
        x: the map.
        rois: image, left, top, right, bottom; in pixels of the image.
        size: P and Q.
        spatial_scale: pixels of the map a pixel of the image.
    """
    (C, H, W), (P, Q), K = x.shape[1:], size, len(rois)
    best, where = x.new_zeros(K, C, P, Q), torch.full((K, C, P, Q), -1, device=x.device)
    if K == 0:
        return best, where
    image, rows = rois[:, 0].long(), rows_of(x)  # (K,) and (N * H * W, C)
    left, top, right, bottom = (
        rois[:, 1] * spatial_scale,
        rois[:, 2] * spatial_scale,
        (rois[:, 3] + 1) * spatial_scale,
        (rois[:, 4] + 1) * spatial_scale,
    )
    some = ((right > left) & (bottom > top))[:, None]
    (y1, y2), (x1, x2) = (
        bin_edges(top, bottom, P, H),
        bin_edges(left, right, Q, W),
    )  # (K, P), (K, Q)
    # Every bin is read as if it were as large as the largest one; what lies outside of it counts as
    # -inf.
    high, wide = int((y2 - y1).max()), int((x2 - x1).max())  # waits for the device, once a call
    step = max(1, VALUES // max(1, P * Q * high * wide * C))
    for k in range(0, K if high * wide else 0, step):
        part = slice(k, k + step)
        y, in_y = _pixels(y1[part], y2[part], high)  # (k, P, high)
        column, in_x = _pixels(x1[part], x2[part], wide)  # (k, Q, wide)
        inside = (
            in_y[:, :, None, :, None] & in_x[:, None, :, None, :] & some[part, :, None, None, None]
        )
        pixel = (y[:, :, None, :, None] * W + column[:, None, :, None, :]).flatten(3)
        inside = inside.flatten(3)  # both (k, P, Q, pixels)
        values = rows[
            torch.where(inside, pixel + image[part, None, None, None] * (H * W), 0)
        ]  # (…, C)
        values = values.masked_fill(~inside[..., None], -torch.inf)
        top_at = values.argmax(dim=3, keepdim=True)  # (k, P, Q, 1, C)
        filled = inside.any(dim=3)[:, None]  # (k, 1, P, Q)
        best[part] = torch.where(filled, values.gather(3, top_at).squeeze(3).permute(0, 3, 1, 2), 0)
        at = pixel[..., None].expand_as(values).gather(3, top_at).squeeze(3).permute(0, 3, 1, 2)
        where[part] = torch.where(filled, at, -1)
    return best, where


def _pixels(first: Tensor, after: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Pixels of each bin along one axis, and which of them it has."""
    at = first[..., None] + torch.arange(most, device=first.device)
    return at, at < after[..., None]


@serves("roi_pool", "roi_pool_forward")
def _forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    size = (pooled_height, pooled_width)
    best, where = roi_pool(at_least_float32(input), at_least_float32(rois), size, spatial_scale)
    output.copy_(best)
    argmax.copy_(where)


@serves("roi_pool", "roi_pool_backward")
def _backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    N, C, H, W = grad_input.shape
    plane = rois[:, 0].long()[:, None] * C + torch.arange(C, device=rois.device)  # (K, C)
    index = plane[:, :, None, None] * (H * W) + argmax.clamp(min=0).long()
    grad = at_least_float32(grad_output) * (argmax >= 0)
    flat = grad.new_zeros(N * C * H * W).index_add_(0, index.flatten(), grad.flatten())
    grad_input.copy_(flat.reshape(grad_input.shape))
