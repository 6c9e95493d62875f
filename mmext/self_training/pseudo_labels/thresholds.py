"""From which score on a teacher's box is believed: numbers that suit any head's scores."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

FEW = 5
"""Labelled boxes up to which a class has no threshold of its own."""
LEAST_PICTURES = 0.1
"""Share of the pictures that must get a box from a teacher that is any good."""
LEAST_FOREGROUND = 0.5
"""Share of the labelled pictures' foreground that its maps must have."""
CROWDS = 2
"""What :func:`kinds` says of a box between both thresholds."""


class Thresholds(NamedTuple):
    """One score a class, and what is to be said about them."""

    scores: Float[np.ndarray, " K"]
    notes: list[str]


def matched(scores: Float[np.ndarray, " N"], count: int) -> float:
    """The score that ``count`` boxes reach; the lowest one where there are fewer, inf for none.

    Example:
        >>> matched(np.array([0.9, 0.1, 0.5]), 2)
        0.5
    """
    if count < 1:
        return float("inf")
    if len(scores) == 0:
        return 0.0
    return float(np.sort(scores)[::-1][min(count, len(scores)) - 1])


def auto_thresholds(
    scores: Float[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    *,
    pictures: int,
    labelled_boxes: Int[np.ndarray, " K"],
    labelled_pictures: int,
    per_class: bool,
    classes: Sequence[str],
) -> Thresholds:
    """Thresholds that leave as many boxes a picture as the labelled set has.

    Args:
        scores: of all boxes that the teacher found.
        labels: their classes.
        pictures: on which it found them.
        labelled_boxes: of each class in the labelled set.
        labelled_pictures: of that set.
        per_class: whether each class is matched by itself.
        classes: names.
    """
    share = pictures / labelled_pictures
    whole = matched(scores, round(float(labelled_boxes.sum()) * share))
    found = np.full(len(classes), whole)
    few = []
    for one, boxes in enumerate(labelled_boxes.tolist() if per_class else []):
        if boxes > FEW:
            found[one] = matched(scores[labels == one], round(boxes * share))
        else:
            few.append(classes[one])
    notes = [
        f"{name}: {FEW} labelled boxes or fewer, so the threshold of all classes ({whole:.3f})"
        for name in few
    ]
    return Thresholds(found, notes)


def kinds(
    scores: Float[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    thresholds: Float[np.ndarray, " K"],
    low: float | None,
) -> Int[np.ndarray, " N"]:
    """What becomes of each box: 1 is believed, 2 is a crowd (ignored in training), 0 is left out.

    Args:
        scores: of the boxes.
        labels: their classes.
        thresholds: of the classes; a box that reaches its own is believed.
        low: from which score on the others are crowds; None makes none.
    """
    believed = scores >= thresholds[labels]
    crowd = ~believed & (scores >= (np.inf if low is None else low))
    return believed + CROWDS * crowd


def why_not_boxes(with_boxes: int, pictures: int) -> str | None:
    """What is wrong with a teacher's boxes: few pictures have any. None if nothing is."""
    if with_boxes >= LEAST_PICTURES * pictures:
        return None
    return (
        f"expected boxes on at least {LEAST_PICTURES:.0%} of {pictures} pictures, got them on "
        f"{with_boxes}; the student would learn that the others show nothing: train the teacher "
        "longer, lower --score-thr (auto matches the labelled set), or --force"
    )


def why_not_maps(foreground: float, labelled: float) -> str | None:
    """The same for maps of classes.

    Args:
        foreground: share of the pixels with a class that is not background, among the teacher's.
        labelled: that share among the labelled set's.
    """
    if foreground >= LEAST_FOREGROUND * labelled:
        return None
    return (
        f"expected at least half of the labelled foreground ({labelled:.1%} of the pixels), got "
        f"{foreground:.1%}; the student would learn that it is background: train the teacher "
        "longer, lower --score-thr, or --force"
    )
