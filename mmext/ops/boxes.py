"""Overlaps of axis-aligned boxes (``mmcv.ops.bbox_overlaps``).

Letters   N and M boxes, xyxy; ``offset`` 1 counts the pixel at the far edge, as old data sets do
"""

from jaxtyping import Float
from torch import Tensor

from mmext.functional import at_least_float32
from mmext.ops.table import serves


def areas(boxes: Float[Tensor, "*N 4"], offset: int = 0) -> Float[Tensor, "*N"]:
    """Width times height, in pixels."""
    return (boxes[..., 2] - boxes[..., 0] + offset) * (boxes[..., 3] - boxes[..., 1] + offset)


def intersections(
    a: Float[Tensor, "*#N 4"], b: Float[Tensor, "*#N 4"], offset: int = 0
) -> Float[Tensor, "..."]:
    """Area that two boxes share; the leading dimensions broadcast."""
    width, height = (
        (a[..., i + 2].minimum(b[..., i + 2]) - a[..., i].maximum(b[..., i]))
        .add_(offset)
        .clamp_(min=0)
        for i in (0, 1)
    )
    return width.mul_(height)


def bbox_overlaps(
    a: Float[Tensor, "N 4"], b: Float[Tensor, "M 4"], *, of_first: bool, aligned: bool, offset: int
) -> Float[Tensor, "N ..."]:
    """Intersection over union, or over the first box's area.

    Args:
        a: boxes.
        b: boxes; as many as in ``a`` if ``aligned``.
        of_first: divide by the area of the box of ``a``.
        aligned: one value a pair instead of all pairs.
        offset: 0 or 1.
    """
    if not aligned:
        a, b = a[:, None], b[None]
    shared = intersections(a, b, offset)
    base = (
        areas(a, offset).expand_as(shared)
        if of_first
        else areas(a, offset) + areas(b, offset) - shared
    )
    return shared / base.clamp(min=offset)


@serves("bbox_overlaps")
def _bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    found = bbox_overlaps(
        at_least_float32(bboxes1),
        at_least_float32(bboxes2),
        of_first=mode == 1,
        aligned=aligned,
        offset=offset,
    )
    ious.copy_(found)
