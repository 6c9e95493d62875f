"""A teacher's maps of classes in numbers: pixels of each class, found and labelled."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

BACKGROUND = ("background", "_background_", "__background__", "bg")
MOST = 200
"""Labelled maps that are read to know what they show."""


class Pixels(NamedTuple):
    """Pixels of each class, and of all pictures together."""

    classes: Int[np.ndarray, " K"]
    all: int


def pixels_of(records: Iterable[Mapping[str, Any]]) -> Pixels:
    """Of what a teacher has written."""
    found = [(one["pixels"], one["width"] * one["height"]) for one in records]
    return Pixels(np.sum([one for one, _ in found], axis=0), sum(size for _, size in found))


def labelled_pixels(dataset: Any, num_classes: int) -> Pixels:
    """Of a labelled set, as its training pipeline shows it: evenly chosen pictures, 200 at most."""
    classes, size = np.zeros(num_classes, dtype=np.int64), 0
    for index in np.linspace(0, len(dataset) - 1, min(MOST, len(dataset))).round().astype(int):
        shown = dataset[int(index)]["data_samples"].gt_sem_seg.data.numpy().ravel()
        classes += np.bincount(shown[shown < num_classes], minlength=num_classes)
        size += shown.size
    return Pixels(classes, size)


def foreground(pixels: Pixels, classes: Sequence[str]) -> float:
    """Share of the pixels with a class that is not background; all classes are, if none is."""
    kept = [name.lower() not in BACKGROUND for name in classes]
    return float(pixels.classes[kept].sum() / max(pixels.all, 1))


def counts(pixels: Pixels) -> dict[str, Any]:
    """For the header."""
    labelled = pixels.classes.tolist()
    return {"pixels": pixels.all, "ignored": pixels.all - sum(labelled), "classes": labelled}


def sentence(found: Pixels, real: Pixels, classes: Sequence[str]) -> str:
    """What the student will see."""
    ignored = 1 - found.classes.sum() / max(found.all, 1)
    return (
        f"foreground: {foreground(real, classes):.1%} of the pixels labelled, "
        f"{foreground(found, classes):.1%} found; {ignored:.1%} ignored"
    )
