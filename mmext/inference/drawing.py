"""What is drawn: boxes, masks, points, class colours, scores; by OpenCV and Pillow, in a few ms.

The hosts' visualizers draw on a canvas of matplotlib, which takes longer than a small model.
"""

import colorsys
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from jaxtyping import Bool, Int
from PIL import Image, ImageDraw, ImageFont

from mmext.inference.inputs import Picture

SMALLEST_SIDE = 240
"""Pixels to which smaller frames are enlarged before text is written on them."""
OPACITY = 0.5
SURE = 0.3
"""Score above which a point of an object is drawn."""
PART_BITS = 4
FAR = 1e5
"""Pixels; OpenCV's whole numbers end where a diverged model's points may lie."""

Colour = tuple[int, ...]


Points = list[tuple[float, float, float]]
"""Place in pixels and score of each point."""


class Found(NamedTuple):
    """One object: its box in pixels, class, score, and mask and points if there are any."""

    box: tuple[float, float, float, float]
    label: int
    name: str
    score: float
    mask: Bool[np.ndarray, "H W"] | None = None
    points: Points | None = None


def colours(number: int) -> list[tuple[int, int, int]]:
    """Colours that are easy to tell apart, round the circle of hues.

    Example:
        >>> colours(2)
        [(255, 51, 51), (51, 255, 255)]
    """
    hues = (colorsys.hsv_to_rgb(one / number, 0.8, 1.0) for one in range(number))
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in hues]


def draw_objects(
    picture: Picture,
    objects: Sequence[Found],
    palette: Sequence[Colour],
    skeleton: Sequence[tuple[int, ...]] = (),
) -> Picture:
    """A copy with masks, boxes, points above :data:`SURE`, and names with scores."""
    drawn = np.array(picture, order="C")
    thickness = max(1, round(min(drawn.shape[:2]) / 300))
    for one in objects:
        if one.mask is not None:
            blend(drawn, one.mask, _of(palette, one.label))
    for one in objects:
        left, top, right, bottom = (round(side) for side in one.box)
        colour = _of(palette, one.label)
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thickness)
        if one.points:
            places = [(x, y) if score > SURE else None for x, y, score in one.points]
            drawn = draw_points(drawn, places, skeleton, [colour])
    size = max(10, round(min(drawn.shape[:2]) / 40))
    labels = [
        ((one.box[0], one.box[1]), f"{one.name} {one.score:.2f}", _of(palette, one.label))
        for one in objects
    ]
    return write(drawn, labels, size)


def draw_points(
    picture: Picture,
    points: Sequence[tuple[float, float] | None],
    skeleton: Sequence[tuple[int, ...]],
    palette: Sequence[Colour],
) -> Picture:
    """A copy with a dot for each point that is there, and lines between those that belong together.

    Args:
        picture: RGB.
        points: where they are, in pixels; None for those not to draw.
        skeleton: pairs of numbers of points, from 0.
        palette: a colour a point; a line takes its end's.
    """
    drawn = np.array(picture, order="C")
    side = min(drawn.shape[:2])
    places = {
        number: (_part(place[0]), _part(place[1]))
        for number, place in enumerate(points)
        if place is not None and np.isfinite(place).all()
    }
    # Coordinates carry bits behind the point: OpenCV then draws between pixels.
    for start, end in skeleton:
        if start in places and end in places:
            width, colour = max(1, round(side / 250)), _of(palette, end)
            cv2.line(drawn, places[start], places[end], colour, width, cv2.LINE_AA, PART_BITS)
    radius = max(1.5, side / 120)
    for number, place in places.items():
        for size, colour in ((radius + 0.75, (0, 0, 0)), (radius, _of(palette, number))):
            cv2.circle(drawn, place, _part(size), colour, -1, cv2.LINE_AA, PART_BITS)
    return drawn


def _part(pixels: float) -> int:
    """Pixels in the parts of one that OpenCV counts in; far away is enough for what is outside."""
    return round(min(max(pixels, -FAR), FAR) * 2**PART_BITS)


def blend(drawn: Picture, mask: Bool[np.ndarray, "H W"], colour: Colour) -> None:
    """Lay a colour over part of a picture, in place."""
    drawn[mask] = ((1 - OPACITY) * drawn[mask] + OPACITY * np.array(colour)).astype(np.uint8)


def lay_over(
    picture: Picture, classes: Int[np.ndarray, "H W"], palette: Sequence[Colour]
) -> Picture:
    """A copy with each pixel's class as a colour; a number of no class (255) leaves the picture."""
    table = np.zeros((len(palette) + 1, 3), np.uint8)
    table[:-1] = palette
    known = (classes >= 0) & (classes < len(palette))
    over = table[np.where(known, classes, len(palette))]
    mixed = cv2.addWeighted(np.ascontiguousarray(picture), 1 - OPACITY, over, OPACITY, 0)
    return np.where(known[..., None], mixed, picture)


def write(
    drawn: Picture, labels: Sequence[tuple[tuple[float, float], str, Colour]], size: int
) -> Picture:
    """A copy with texts on coloured ground, each with its foot at a place, kept in the picture."""
    if not labels:
        return drawn
    image = Image.fromarray(drawn)
    canvas, letters = ImageDraw.Draw(image), font(size)
    for (x, y), text, colour in labels:
        left, top, right, bottom = canvas.textbbox((0, 0), text, font=letters)
        width, height = right - left + 4, bottom - top + 4
        x = min(max(0, x), max(0, image.width - width))
        y = min(max(0, y - height), max(0, image.height - height))
        canvas.rectangle((x, y, x + width, y + height), fill=tuple(colour))
        bright = 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 128
        canvas.text(
            (x + 2 - left, y + 2 - top), text, font=letters, fill="black" if bright else "white"
        )
    return np.asarray(image)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """matplotlib's font, which knows most alphabets; OpenCV's knows ASCII alone."""  # noqa: D403
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(file), size) if file.exists() else ImageFont.load_default(size)


def write_scores(frame: Picture, scores: Sequence[tuple[str, float]]) -> np.ndarray:
    """Write names and scores on a frame, with bars as long as scores; small frames are enlarged."""
    scale = max(1.0, SMALLEST_SIDE / min(frame.shape[:2]))
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    drawn = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_LINEAR)
    kept, added = panel(size, tuple(scores))
    if len(kept):
        rows = drawn[: len(kept)]
        drawn[: len(kept)] = cv2.add(cv2.multiply(rows, kept, scale=1 / 255), added)
    return drawn


@functools.lru_cache(maxsize=1)  # all frames of a clip have the same
def panel(size: tuple[int, int], scores: tuple[tuple[str, float], ...]) -> tuple[Picture, Picture]:
    """How much of the upper rows is kept, 255 being all, and what is added: bars and letters.

    Args:
        size: of the frame, (width, height) in pixels.
        scores: name and score, a row each, as far as they fit.
    """
    height = max(18, round(0.05 * min(size)))
    fitting = scores[: size[1] // height]
    bars = np.zeros((len(fitting) * height, size[0], 3), np.uint8)
    letters = Image.new("L", (size[0], len(bars)))
    canvas = ImageDraw.Draw(letters)
    for row, (name, score) in enumerate(fitting):
        length = round(size[0] * min(1.0, max(0.0, score)))
        bars[row * height : (row + 1) * height, :length] = (0, 90, 160)
        place = 4, row * height + round(0.1 * height)
        canvas.text(place, f"{name} {score:.2f}", font=font(round(0.7 * height)), fill=255)
    white = np.asarray(letters)[..., None].astype(np.float32) / 255
    kept = np.broadcast_to(255 / 3 * (1 - white), bars.shape).round().astype(np.uint8)
    return kept, (bars * (1 - white) + 255 * white).round().astype(np.uint8)


def _of(palette: Sequence[Colour], label: int) -> Colour:
    return tuple(int(one) for one in palette[label % len(palette)])
