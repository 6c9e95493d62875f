"""What is drawn without a host: colours of classes, scores on frames."""

import colorsys

import cv2
import numpy as np

from mmext.inference.inputs import Picture

SMALLEST_SIDE = 240
"""Pixels to which smaller frames are enlarged before text is written on them."""


def colours(number: int) -> list[tuple[int, int, int]]:
    """Colours that are easy to tell apart, round the circle of hues.

    Example:
        >>> colours(2)
        [(255, 51, 51), (51, 255, 255)]
    """
    hues = (colorsys.hsv_to_rgb(one / number, 0.8, 1.0) for one in range(number))
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in hues]


def write_scores(frame: Picture, scores: list[tuple[str, float]]) -> Picture:
    """Write names and scores on a frame, with a bar as long as the score."""
    scale = max(1.0, SMALLEST_SIDE / min(frame.shape[:2]))
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    drawn = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_LINEAR)
    height = max(18, round(0.05 * min(size)))
    for row, (name, score) in enumerate(scores):
        top, bottom = row * height, (row + 1) * height
        if bottom > size[1]:
            break
        drawn[top:bottom] //= 3
        length = round(size[0] * min(1.0, max(0.0, score)))
        drawn[top:bottom, :length] += np.array((0, 90, 160), np.uint8)
        place = (4, bottom - round(0.3 * height))
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(drawn, f"{name} {score:.2f}", place, font, height / 40, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn
