"""A teacher's maps of classes in numbers: pixels of each class, found and labelled."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Integer

BACKGROUND = ("background", "_background_", "__background__", "bg")
IGNORED = 255
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


def true_classes(stored: Integer[np.ndarray, "H W"], dataset: Any) -> Int[np.ndarray, "H W"]:
    """A map of people's as the labelled set reads it: its shift of classes, its order of them."""
    while not hasattr(dataset, "reduce_zero_label") and (inner := _inner(dataset)) is not None:
        dataset = inner
    classes = stored.astype(np.int64)
    if getattr(dataset, "reduce_zero_label", False):
        classes = np.where(np.isin(stored, (0, IGNORED)), IGNORED, classes - 1)
    renamed = classes.copy()
    for old, new in (getattr(dataset, "label_map", None) or {}).items():
        renamed[classes == old] = new
    return renamed


def _inner(dataset: Any) -> Any:
    several = getattr(dataset, "datasets", None)
    return several[0] if several else getattr(dataset, "dataset", None)


def confusion(
    found: Integer[np.ndarray, "H W"], real: Integer[np.ndarray, "H W"], num_classes: int
) -> Int[np.ndarray, "K K+1"]:
    """Pixels by true class (rows) and by the teacher's (columns, the last: not believed)."""
    labelled = real < num_classes
    columns = np.minimum(found[labelled], num_classes).astype(np.int64)
    places = real[labelled].astype(np.int64) * (num_classes + 1) + columns
    counted = np.bincount(places, minlength=num_classes * (num_classes + 1))
    return counted.reshape(num_classes, num_classes + 1)


def compare(counted: Int[np.ndarray, "K K+1"], classes: Sequence[str]) -> dict[str, Any]:
    """How a teacher's maps agree with people's, from pixels as :func:`confusion` counts them.

    ``accuracy`` is of the pixels that are believed; ``accuracy without background`` of those among
    them that show something. ``recall`` and ``IoU`` count what is not believed as missed.
    """
    right, found, real = np.diag(counted), counted.sum(0)[:-1], counted.sum(1)
    believed = counted[:, :-1].sum(1)
    shown = np.array([name.lower() not in BACKGROUND for name in classes])

    def share(part: Any, whole: Any) -> float | None:
        return float(part / whole) if whole else None

    report: dict[str, Any] = {
        "believed": share(believed.sum(), real.sum()),
        "accuracy": share(right.sum(), believed.sum()),
        "accuracy without background": share(right[shown].sum(), believed[shown].sum()),
    }
    for one, name in enumerate(classes):
        report[name] = {
            "precision": share(right[one], found[one]),
            "recall": share(right[one], real[one]),
            "IoU": share(right[one], found[one] + real[one] - right[one]),
        }
    return report
