"""Keypoints as cells of a map over each RoI: targets, their cross-entropy, and the way back.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      A point is one of the cells of a square map over its RoI; a softmax over the cells says
          which. Targets, loss and decoding are those of Mask R-CNN's keypoint branch.
Host      PyTorch alone
Letters   N RoIs, K points of each; h w cells of the maps that the network gives, H W = S h, S w
          cells of those that loss and decoding look at; boxes and points in pixels
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmext.functional import at_least_float32, elements_a_block

CUBIC = -0.75
"""Slope of the bicubic kernel, that of ``interpolate``."""


def encode_keypoints(
    keypoints: Float[Tensor, "N K 2"],
    labelled: Bool[Tensor, "N K"],
    boxes: Float[Tensor, "N 4"],
    size: tuple[int, int],
) -> tuple[Int[Tensor, "N K"], Bool[Tensor, "N K"]]:
    """The cell in which each point lies, and whether it may be learnt.

    A point that is not labelled, or outside of its RoI, may not, nor one of a RoI below 1 px.
    Points on the right or the lower edge belong to the last cell.

    Args:
        keypoints: x and y.
        labelled: whether a person said where the point is, hidden or not.
        boxes: RoIs, xyxy.
        size: H and W of the map over a RoI.

    Returns:
        Number of the cell, row by row; 0 where the point may not be learnt.
    """
    H, W = size
    start, extent = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    share = (keypoints - start) / extent.clamp(min=1e-6)  # (N, K, 2), 0 to 1 inside
    inside = ((share >= 0) & (share <= 1)).all(2) & (extent >= 1).all(2)
    valid = labelled & inside
    # Each side on its own: a tensor of both, made here, would be a copy that a GPU waits for.
    column, row = (
        (one * cells).clamp(max=cells - 1).nan_to_num(0).long()
        for one, cells in zip(share.unbind(2), (W, H), strict=True)
    )
    return (row * W + column).where(valid, 0), valid


class _CellCrossEntropy(torch.autograd.Function):
    """Cross-entropy of enlarged maps that keeps its gradient in the small maps and nothing else.

    Plain autograd keeps the softmax of each enlarged map, S * S times as much; one-hot targets keep
    that twice.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, cell: Tensor, valid: Tensor, scale: int) -> Tensor:
        logits = enlarged(maps, scale)
        H, W = logits.shape[2:]
        logits = logits.flatten(2)  # (N, K, H * W)
        total = logits.logsumexp(2)
        loss = (total - logits.gather(2, cell[:, :, None]).squeeze(2)).where(valid, 0.0)
        if ctx.needs_input_grad[0]:
            # The softmax, less 1 in the true cell, and 0 for points that are not learnt.
            grad = logits.sub_(total[:, :, None]).exp_().mul_(valid[:, :, None])
            grad.scatter_add_(2, cell[:, :, None], -valid[:, :, None].to(grad.dtype))
            rows, columns = (linear_weights(n, scale, grad) for n in maps.shape[2:])
            ctx.save_for_backward(rows.T @ grad.unflatten(2, (H, W)) @ columns)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (of_maps,) = ctx.saved_tensors
        return of_maps * grad[:, :, None, None], None, None, None


def cell_cross_entropy(
    maps: Float[Tensor, "N K h w"],
    cell: Int[Tensor, "N K"],
    valid: Bool[Tensor, "N K"],
    *,
    scale: int = 2,
) -> Float[Tensor, "N K"]:
    """Cross-entropy of each point over the cells of its map, in float32 or better; 0 if not valid.

    Args:
        maps: logits, S times smaller than the maps that count.
        cell: the true cell.
        valid: which points are learnt.
        scale: S.
    """
    with torch.autocast(maps.device.type, enabled=False):
        return _CellCrossEntropy.apply(at_least_float32(maps), cell, valid, scale)


def enlarged(maps: Float[Tensor, "N K h w"], scale: int) -> Float[Tensor, "N K H W"]:
    """Maps S times as large, as ``interpolate(mode="bilinear", align_corners=False)`` does it."""
    rows, columns = (linear_weights(n, scale, maps) for n in maps.shape[2:])
    return rows @ maps @ columns.T


def linear_weights(length: int, scale: int, like: Tensor) -> Float[Tensor, "H {length}"]:
    """Weights of a row's cells in each of the S times as many cells that it is enlarged to."""
    cells = torch.eye(length, dtype=like.dtype, device=like.device)
    return F.interpolate(cells[None], scale_factor=scale, mode="linear", align_corners=False)[0].T


def cubic_weights(
    length: int, pixels: Int[Tensor, " N"], most: int
) -> Float[Tensor, "N {most} {length}"]:
    """Weights of a row's cells in each of its pixels, of which each of N rows has its own number.

    What ``interpolate(mode="bicubic", align_corners=False)`` multiplies by, for many sizes at once,
    but for the edges.

    Args:
        length: cells of a row.
        pixels: pixels that they are enlarged to.
        most: the largest of ``pixels``; weights of pixels that a row lacks mean nothing.
    """
    at = torch.arange(most, device=pixels.device, dtype=torch.float32) + 0.5
    place = at * length / pixels[:, None] - 0.5  # (N, most), in cells
    base = place.floor()
    offset = torch.arange(-1, 3, device=pixels.device)
    distance = (place - base)[..., None] - offset  # to the four cells around, (N, most, 4)
    x = distance.abs()
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * CUBIC - 4 * CUBIC
    around = (base[..., None].long() + offset).abs()
    # DEVIATION: beyond the edge the cells are mirrored at the centre of the last one. Mask R-CNN
    # repeats the last one, which moves a peak in it to the very edge, half a cell away.
    around = (length - 1 - (length - 1 - around).abs()).clamp(min=0)
    weights = torch.zeros(*place.shape, length, device=pixels.device)
    # Added, since several of the four may be the same cell.
    return weights.scatter_add(2, around, torch.where(x <= 1, near, far))


def decode_keypoints(
    maps: Float[Tensor, "N K h w"], boxes: Float[Tensor, "N 4"], *, scale: int = 2
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
    """Points and the peaks of their softmax, which lie in [0, 1].

    Each map is enlarged to its RoI's size in whole pixels, unless that is smaller, and the point is
    the centre of the largest pixel. Of a RoI below 1 px it is the RoI's centre, with a peak of 0.

    Args:
        maps: logits, S times smaller than the maps that count.
        boxes: RoIs, xyxy.
        scale: S.
    """
    if not len(maps):
        return maps.new_zeros(*maps.shape[:2], 2), maps.new_zeros(maps.shape[:2])
    # In float32, as the boxes are: autocast would round the maps and so move their largest pixel.
    with torch.autocast(maps.device.type, enabled=False):
        return _decoded(enlarged(maps.float(), scale), boxes.float())


def _decoded(
    logits: Float[Tensor, "N K H W"], boxes: Float[Tensor, "N 4"]
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
    peak = logits.flatten(2).softmax(2).amax(2)  # (N, K)
    start, extent = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    # DEVIATION: Mask R-CNN also shrinks maps to smaller RoIs, which passes over cells between the
    # pixels, a sharp peak among them.
    cells = extent.new_tensor(logits.shape[:1:-1])
    pixels = torch.maximum(extent.ceil(), cells).long()  # (N, 2)
    place = (largest_pixel(logits, pixels) + 0.5) / pixels[:, None]
    thin = (extent < 1).any(1)[:, None]  # (N, 1)
    points = start[:, None] + place.where(~thin[..., None], 0.5) * extent[:, None]
    return points, peak.where(~thin, 0.0)


def largest_pixel(
    logits: Float[Tensor, "N K H W"], pixels: Int[Tensor, "N 2"]
) -> Int[Tensor, "N K 2"]:
    """X and y of the largest pixel of each map after its bicubic enlargement to ``pixels``.

    As many maps as stay near the caches are enlarged at once, each by two products with the weights
    of its rows and columns.
    """
    _, K, H, W = logits.shape
    width, height = pixels.amax(0).tolist()
    block = max(1, elements_a_block(logits.device) // (K * width * height))
    found = []
    for some, size in zip(logits.split(block), pixels.split(block), strict=True):
        # Of one block: a large RoI elsewhere does not make these larger.
        most_x, most_y = (width, height) if len(some) > 1 else size[0].tolist()
        x_weights = cubic_weights(W, size[:, 0], most_x)[:, None]  # (n, 1, most_x, W)
        y_weights = cubic_weights(H, size[:, 1], most_y)[:, None]
        large = y_weights @ some @ x_weights.transpose(2, 3)  # (n, K, most_y, most_x)
        x, y = (torch.arange(n, device=size.device) for n in (most_x, most_y))
        beyond = (x >= size[:, :1])[:, None] | (y >= size[:, 1:])[:, :, None]
        at = large.masked_fill(beyond[:, None], -torch.inf).flatten(2).argmax(2)
        found.append(torch.stack([at % most_x, at // most_x], 2))
    return torch.cat(found)


def flip_points(
    points: Float[Tensor, "N K 2"],
    values: Float[Tensor, "N K M"],
    width: int | float,
    flip_pairs: Sequence[Sequence[int]],
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K M"]]:
    """Points of a mirrored picture, and what belongs to them, as of the picture itself.

    Args:
        points: x and y.
        values: numbers of each point, such as its score.
        width: of the picture.
        flip_pairs: points that change places with each other.
    """
    order = list(range(points.shape[1]))
    for one, other in flip_pairs:
        order[one], order[other] = other, one
    mirrored = torch.stack([width - points[..., 0], points[..., 1]], 2)
    return mirrored[:, order], values[:, order]
