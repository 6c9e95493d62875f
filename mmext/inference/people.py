"""Tracked people on a frame: box, skeleton and number, each person in a colour of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mmext.inference.drawing import Colour, colours, draw_points, write
from mmext.inference.inputs import Picture

HUES = 12
"""Colours in turn: neighbours in number, who are often neighbours in the picture, differ."""
POINT_THR = 0.3
"""A point is drawn above it."""


def colour_of(number: int) -> Colour:
    """The colour of an identity, in every frame and video the same.

    Example:
        >>> colour_of(0) == colour_of(12) != colour_of(1)
        True
    """
    return colours(HUES)[5 * number % HUES]


def draw_people(
    picture: Picture,
    people: Sequence[Mapping[str, Any]],
    skeleton: Sequence[tuple[int, ...]] = (),
) -> Picture:
    """A copy with people drawn.

    Args:
        picture: RGB.
        people: with track_id, bbox (x, y, w, h), and keypoints (x, y and how sure, for each) where
            there are any.
        skeleton: pairs of numbers of points, from 0.
    """
    drawn = np.array(picture, order="C")
    side = min(drawn.shape[:2])
    labels = []
    for one in people:
        colour = colour_of(one["track_id"])
        x, y, w, h = one["bbox"]
        corners = (round(x), round(y)), (round(x + w), round(y + h))
        cv2.rectangle(drawn, *corners, colour, max(1, round(side / 300)))
        points = np.reshape(one.get("keypoints") or (), (-1, 3)).tolist()
        places = [(px, py) if sure > POINT_THR else None for px, py, sure in points]
        drawn = draw_points(drawn, places, skeleton, [colour])
        labels.append(((float(x), float(y)), str(one["track_id"]), colour))
    return write(drawn, labels, max(10, round(side / 40)))
