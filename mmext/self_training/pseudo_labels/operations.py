"""The operations of the detection policy that mmdet lacks, or gives with rounded magnitudes.

mmdet's translations are shares of the picture, rounded to a tenth: its ``TranslateX`` of level 4
moves nothing. Its shears are angles and its colour factors are rounded as well. Here a magnitude is
what it says: pixels, and factors. Boxes, masks and maps of mmdet and of mmseg move along; what has
left the picture is left empty, for ``mmdet.FilterAnnotations`` to take out.
"""

import random
from typing import Any, Literal

import mmcv
import numpy as np
from jaxtyping import Float32, Int, Shaped
from mmcv.transforms import BaseTransform

from mmext.registry import TRANSFORMS

FILL = 128
IGNORED = 255
"""What fills a segmentation map: pixels of no class."""
DIRECTIONS = {"x": "horizontal", "y": "vertical"}
Axis = Literal["x", "y"]
Results = dict[str, Any]


def shifted(content: Shaped[np.ndarray, "H W *C"], dx: int, dy: int, fill: int) -> np.ndarray:
    """The content moved right and down inside its own frame; what it uncovers is ``fill``.

    Example:
        >>> shifted(np.array([[1, 2, 3]]), dx=1, dy=0, fill=0)
        array([[0, 1, 2]])
    """
    moved = np.full_like(content, fill)
    height, width = content.shape[:2]
    if abs(dx) < width and abs(dy) < height:
        moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = content[
            max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)
        ]
    return moved


def pixels_of(boxes: Shaped[np.ndarray, "G 4"], height: int, width: int) -> Int[np.ndarray, "G 4"]:
    """First and last pixel, exclusive, of what boxes (xyxy) touch of the picture."""
    # DEVIATION: the authors cut both corners off to whole pixels and take the last one in, which
    # reaches one pixel beyond a box that ends on a whole number.
    first, last = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    whole = np.concatenate([first, last], 1).astype(np.int64)
    return whole.clip(0, [width, height, width, height])


def square_at(x: int, y: int, half: int, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a square round a pixel, as far as the picture reaches."""
    return (
        slice(max(y - half, 0), min(y + half, height)),
        slice(max(x - half, 0), min(x + half, width)),
    )


def shear_matrix(factor: float, axis: Axis) -> Float32[np.ndarray, "3 3"]:
    """Matrix of x + factor y (axis x) or y + factor x (axis y); the upper left corner stays."""
    matrix = np.eye(3, dtype=np.float32)
    matrix[(0, 1) if axis == "x" else (1, 0)] = factor
    return matrix


def happens(prob: float) -> bool:
    """A draw; never at 0, always at 1. mmengine seeds the generator in every worker."""
    return random.random() < prob


def sign() -> int:
    """Plus or minus one, evenly."""
    return 1 if happens(0.5) else -1


def note(results: Results, matrix: Float32[np.ndarray, "3 3"]) -> None:
    """Add to the record of what has been done to the picture, as mmdet's operations do."""
    before = results.get("homography_matrix")
    results["homography_matrix"] = matrix if before is None else matrix @ before


class Operation(BaseTransform):
    """Something done to a picture with a probability."""

    prob: float

    def transform(self, results: Results) -> Results:
        """Draw, and apply."""
        return self.apply(results) if happens(self.prob) else results

    def apply(self, results: Results) -> Results:
        """What is done."""
        raise NotImplementedError


@TRANSFORMS.register_module()
class TranslateOnlyBoxes(BaseTransform):
    """Move the content of single boxes inside them; the boxes stay, and so does all around them.

    Boxes are drawn one by one with a third of the probability, in random order, and all those of a
    picture move the same way. Boxes to be ignored are left alone. Masks (bitmaps) and maps move
    with their pixels.

    Args:
        prob: as a policy states it; a box is drawn with a third of it.
        pixels: how far; a box that is smaller is filled wholly.
        axis: "x" or "y".
        fill: colour of what is uncovered.
    """

    def __init__(self, prob: float, pixels: float, axis: Axis = "y", fill: int = FILL) -> None:
        self.prob, self.pixels, self.axis, self.fill = prob, round(pixels), axis, fill

    def transform(self, results: Results) -> Results:
        """Move what is drawn."""
        boxes = results["gt_bboxes"]
        drawn = np.array([happens(self.prob / 3) for _ in range(len(boxes))], bool)
        if (ignored := results.get("gt_ignore_flags")) is not None:
            drawn &= ~np.asarray(ignored, bool)
        distance = sign() * self.pixels
        if not drawn.any() or not distance:
            return results
        xyxy = np.asarray(getattr(boxes, "tensor", boxes))[drawn]
        regions = pixels_of(xyxy, *results["img"].shape[:2]).tolist()
        random.shuffle(regions)
        dx, dy = (distance, 0) if self.axis == "x" else (0, distance)

        def moved(layer: np.ndarray, fill: int) -> np.ndarray:
            layer = layer.copy()
            for left, top, right, bottom in regions:
                part = layer[top:bottom, left:right]
                part[...] = shifted(part, dx, dy, fill)
            return layer

        results["img"] = moved(results["img"], self.fill)
        if results.get("gt_masks") is not None:
            bits = np.moveaxis(bitmaps(results["gt_masks"]), 0, -1)
            masks = np.moveaxis(moved(bits, 0), -1, 0)
            results["gt_masks"] = type(results["gt_masks"])(masks, *masks.shape[1:])
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = moved(results["gt_seg_map"], IGNORED)
        return results


def bitmaps(masks: Any) -> Shaped[np.ndarray, "G H W"]:
    """The pixels of mmdet's masks.

    Raises:
        TypeError: they are polygons, whose parts cannot be moved.
    """
    if not isinstance(getattr(masks, "masks", None), np.ndarray):
        raise TypeError(
            f"expected masks as bitmaps, got {type(masks).__name__}; load them with "
            "LoadAnnotations(with_mask=True, poly2mask=True)"
        )
    return masks.masks


@TRANSFORMS.register_module()
class CutoutPixels(Operation):
    """Paint a grey square round a random pixel (DeVries and Taylor 2017); labels stay.

    Args:
        prob: how often.
        half_width: half of the square's side in pixels; what leaves the picture is cut off.
        fill: its colour.
    """

    def __init__(self, prob: float, half_width: int, fill: int = FILL) -> None:
        self.prob, self.half_width, self.fill = prob, half_width, fill

    def apply(self, results: Results) -> Results:
        """Paint it."""
        image = results["img"].copy()
        height, width = image.shape[:2]
        x, y = random.randrange(width), random.randrange(height)
        image[square_at(x, y, self.half_width, height, width)] = self.fill
        results["img"] = image
        return results


@TRANSFORMS.register_module()
class TranslatePixels(Operation):
    """Move the whole picture by pixels, either way with one half; its labels move along.

    Args:
        prob: how often.
        pixels: how far.
        axis: "x" or "y".
        fill: colour of what is uncovered.
    """

    def __init__(self, prob: float, pixels: float, axis: Axis, fill: int = FILL) -> None:
        self.prob, self.pixels, self.axis, self.fill = prob, round(pixels), axis, fill

    def apply(self, results: Results) -> Results:
        """Move it."""
        distance = sign() * self.pixels
        if not distance:
            return results
        dx, dy = (distance, 0) if self.axis == "x" else (0, distance)
        shape = results["img"].shape[:2]
        results["img"] = shifted(results["img"], dx, dy, self.fill)
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"].translate_((dx, dy))
            results["gt_bboxes"].clip_(shape)
        if results.get("gt_masks") is not None:
            direction = DIRECTIONS[self.axis]
            results["gt_masks"] = results["gt_masks"].translate(shape, distance, direction)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = shifted(results["gt_seg_map"], dx, dy, IGNORED)
        note(results, np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float32))
        return results


@TRANSFORMS.register_module()
class ShearFactor(Operation):
    """Shear the picture, either way with one half; its labels move along. Factor 0 changes no bit.

    Args:
        prob: how often.
        factor: by how many pixels a row lies further than the row above it (columns for "y").
        axis: "x" or "y".
        fill: colour of what is uncovered.
    """

    def __init__(self, prob: float, factor: float, axis: Axis, fill: int = FILL) -> None:
        self.prob, self.factor, self.axis, self.fill = prob, factor, axis, fill

    def apply(self, results: Results) -> Results:
        """Shear it."""
        factor = sign() * self.factor
        if not factor:
            return results
        shape, direction = results["img"].shape[:2], DIRECTIONS[self.axis]
        matrix = shear_matrix(factor, self.axis)
        results["img"] = mmcv.imshear(results["img"], factor, direction, border_value=self.fill)
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"].project_(matrix)
            results["gt_bboxes"].clip_(shape)
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].shear(shape, factor, direction)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = mmcv.imshear(
                results["gt_seg_map"],
                factor,
                direction,
                border_value=IGNORED,
                interpolation="nearest",
            )
        note(results, matrix)
        return results


@TRANSFORMS.register_module()
class ColorFactor(Operation):
    """Blend a picture (BGR) with its grey one; labels stay.

    Args:
        prob: how often.
        factor: 0 is grey, 1 the picture, more than 1 brings out its colours.
    """

    def __init__(self, prob: float, factor: float) -> None:
        self.prob, self.factor = prob, factor

    def apply(self, results: Results) -> Results:
        """Blend."""
        results["img"] = mmcv.adjust_color(results["img"], self.factor)
        return results
