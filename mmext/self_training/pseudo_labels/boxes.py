"""A teacher's boxes as a COCO file: counts, header, and how they compare with people's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmext.self_training.pseudo_labels.thresholds import CROWDS, kinds

IOUS = (0.5, 0.75)
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Record = Mapping[str, Any]
"""What was found on a picture: ``file``, ``width``, ``height``, ``objects``."""


class LabelledBoxes(NamedTuple):
    """What people have labelled: pictures, and boxes of each class."""

    pictures: int
    boxes: Int[np.ndarray, " K"]


def labelled_boxes(dataset: Any, num_classes: int) -> LabelledBoxes:
    """Count a training set as the host reads it; boxes that it ignores do not count."""
    boxes = np.zeros(num_classes, dtype=np.int64)
    for index in range(len(dataset)):
        for one in dataset.get_data_info(index)["instances"]:
            if not one.get("ignore_flag"):
                boxes[one["bbox_label"]] += 1
    return LabelledBoxes(len(dataset), boxes)


def scores_and_labels(
    records: Iterable[Record],
) -> tuple[Float[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Of all boxes on all pictures."""
    found = [(one["score"], one["label"]) for record in records for one in record["objects"]]
    scores, labels = zip(*found, strict=True) if found else ((), ())
    return np.array(scores, dtype=np.float64), np.array(labels, dtype=np.int64)


def coco_file(
    records: Iterable[Record],
    classes: Sequence[str],
    thresholds: Float[np.ndarray, " K"],
    low: float | None,
    header: Mapping[str, Any],
) -> dict[str, Any]:
    """All pictures, those without a box too, the boxes that are believed, and crowds.

    Its ``info`` is the header, with counts and the pictures on which nothing is believed.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    counts: dict[str, int] = defaultdict(int)
    without = []
    for number, record in enumerate(records, start=1):
        image = {"id": number, "file_name": record["file"]}
        images.append({**image, "width": record["width"], "height": record["height"]})
        scores, labels = scores_and_labels([record])
        believed = 0
        for one, kind in zip(
            record["objects"], kinds(scores, labels, thresholds, low).tolist(), strict=True
        ):
            if kind:
                annotations.append(_annotation(one, len(annotations) + 1, number, kind == CROWDS))
                counts["boxes" if kind != CROWDS else "crowds"] += 1
                believed += kind != CROWDS
        counts["pictures_with_boxes"] += believed > 0
        if not believed:
            without.append(record["file"])
    info = {**header, "counts": {"pictures": len(images), **counts}, "without_boxes": without}
    categories = [{"id": one, "name": name} for one, name in enumerate(classes, start=1)]
    return dict(info=info, images=images, annotations=annotations, categories=categories)


def _annotation(found: Mapping[str, Any], number: int, image: int, crowd: bool) -> dict[str, Any]:
    left, top, right, bottom = found["bbox"]
    box = [left, top, round(right - left, 2), round(bottom - top, 2)]
    one = dict(id=number, image_id=image, category_id=found["label"] + 1, bbox=box)
    one.update(area=round(box[2] * box[3], 2), iscrowd=int(crowd), score=found["score"])
    if "mask" in found:
        one["segmentation"] = found["mask"]
    return one


def sentences(
    file: Mapping[str, Any], labelled: LabelledBoxes, scores: Float[np.ndarray, " N"]
) -> list[str]:
    """What the student will see, and what it would see at other thresholds."""
    counts = file["info"]["counts"]
    pictures, found, human = counts["pictures"], counts.get("boxes", 0), labelled.boxes.sum()
    others = (f"at {one} {(scores >= one).sum() / pictures:.1f}" for one in (0.3, 0.5, 0.7))
    return [
        f"boxes a picture: {human / max(labelled.pictures, 1):.1f} labelled, "
        f"{found / pictures:.1f} found; {', '.join(others)}",
        f"student will see {human} human and {found} pseudo boxes, and {counts.get('crowds', 0)} "
        f"crowds; {len(file['info']['without_boxes'])} of {pictures} pictures have none",
    ]


def band_trouble(detector: Any, low: float) -> str | None:
    """What becomes of crowds, unless each of a detector's assigners ignores what lies in them.

    Args:
        detector: built; its assigners are known by ``ignore_iof_thr``, as mmdet's are.
        low: the score from which on boxes are written as crowds.
    """
    heads = {
        type(module).__name__: _ignores(module)
        for module in detector.modules()
        if _assigners(module)
    }
    blind = [name for name, ignores in heads.items() if not ignores]
    if heads and not blind:
        return None
    who = ", ".join(blind) or type(detector).__name__
    return (
        f"--score-low {low}: expected a detector that ignores crowds in training, got {who}, to "
        "which they are background; set ignore_iof_thr of its assigner above 0 in its train_cfg, "
        "or leave --score-low out"
    )


def _assigners(module: Any) -> list[Any]:
    """Of a head; a cascade has several."""
    found: list[Any] = []
    for name in ("assigner", "bbox_assigner"):
        one = vars(module).get(name)
        found += one if isinstance(one, list) else [one] if one is not None else []
    return found


def _ignores(module: Any) -> bool:
    return all(getattr(one, "ignore_iof_thr", -1) > 0 for one in _assigners(module))


def compare(pseudo: Mapping[str, Any], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Precision and recall of what is believed, at two IoUs, by class and by score.

    Args:
        pseudo: a file as :func:`coco_file` makes it.
        truth: a COCO file of people's labels; pictures that both name are compared.
    """
    names = {one["file_name"] for one in pseudo["images"]} & {
        one["file_name"] for one in truth["images"]
    }
    own, theirs = (_by_picture_and_class(file, names) for file in (pseudo, truth))
    report: dict[str, Any] = {"pictures": len(names)}
    if not names:
        return report
    report["boxes a picture"] = {
        "expected": sum(map(len, theirs.values())) / len(names),
        "found": sum(map(len, own.values())) / len(names),
    }
    for iou in IOUS:
        right: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for key in own.keys() | theirs.keys():
            found = sorted(own.get(key, []), key=lambda one: -one["score"])
            hits = matches(found, theirs.get(key, []), iou)
            for row in ("all", key[1]):
                right[row][0] += sum(hits)
                right[row][1] += len(found)
                right[row][2] += len(theirs.get(key, []))
            for one, hit in zip(found, hits, strict=True):
                place = min(int(np.searchsorted(BINS, one["score"], "right")), len(BINS) - 1)
                row = f"score {BINS[place - 1]:.1f}-{BINS[place]:.1f}"
                right[row][0] += hit
                right[row][1] += 1
        report[f"IoU {iou}"] = {
            row: {
                "precision": hits / found if found else None,
                "recall": hits / real if real else None,
            }
            for row, (hits, found, real) in sorted(right.items())
        }
    return report


def matches(
    found: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]], iou: float
) -> list[bool]:
    """Which boxes, the best first, meet a real one that none before has taken."""
    if not found or not real:
        return [False] * len(found)
    import pycocotools.mask as coco_masks  # here: it comes with mmdet alone

    boxes = [np.array([one["bbox"] for one in side], dtype=np.float64) for side in (found, real)]
    overlaps = coco_masks.iou(*boxes, [0] * len(real))
    hits = []
    for row in overlaps:
        best = int(row.argmax())
        hits.append(bool(row[best] >= iou))
        if hits[-1]:
            overlaps[:, best] = -1
    return hits


def _by_picture_and_class(
    file: Mapping[str, Any], names: set[str]
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    pictures = {one["id"]: one["file_name"] for one in file["images"]}
    classes = {one["id"]: one["name"] for one in file["categories"]}
    found = defaultdict(list)
    for one in file["annotations"]:
        if not one.get("iscrowd") and pictures[one["image_id"]] in names:
            found[pictures[one["image_id"]], classes[one["category_id"]]].append(one)
    return found
