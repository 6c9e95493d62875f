"""A detector's labels: what is believed, what is between two thresholds, what is not there."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmext.cli.pseudo_label.arguments import refuse_unless_forced
from mmext.errors import BadInputError, some
from mmext.files import write_whole
from mmext.inference.labelling import Shards
from mmext.inference.teacher import BoxTeacher, classes_of
from mmext.self_training.pseudo_labels import boxes, thresholds

FLOOR = 0.05
"""Score below which no box is kept, unless --score-low is lower."""


def label_boxes(
    args: argparse.Namespace,
    model: Any,
    names: Sequence[str],
    labelled: Any,
    identity: Mapping[str, Any],
    header: Mapping[str, Any],
) -> Path:
    """A detector's labels; returns the COCO file."""
    classes = classes_of(model)
    if args.score_low is not None and (trouble := boxes.band_trouble(model, args.score_low)):
        print(f"warning: {trouble}")
    floor = min(FLOOR, args.score_low or FLOOR)
    shards = Shards(args.out, names, size=args.shard_size, identity={**identity, "floor": floor})
    shards.fill(BoxTeacher(model, args.images, floor=floor))
    scores, labels = boxes.scores_and_labels(shards)
    real = boxes.labelled_boxes(labelled, len(classes))
    chosen = thresholds.Thresholds(np.full(len(classes), args.score_thr), [])
    if args.score_thr == "auto":
        chosen = thresholds.auto_thresholds(
            scores,
            labels,
            pictures=len(names),
            labelled_boxes=real.boxes,
            labelled_pictures=real.pictures,
            per_class=args.per_class,
            classes=classes,
        )
    for note in chosen.notes:
        print(note)
    rounded = [round(float(one), 6) for one in chosen.scores]
    header = {**header, "score_thr": dict(zip(classes, rounded, strict=True))}
    header["score_low"] = args.score_low
    content = boxes.coco_file(shards, classes, np.array(rounded), args.score_low, header)
    counts = content["info"]["counts"]
    print("\n".join(boxes.sentences(content, real, scores)))
    if args.labels:
        print(json.dumps(compared(args.labels, content), indent=1))
    if not counts.get("boxes"):
        raise BadInputError(
            f"{args.images}: expected boxes of a score of "
            f"{some(map(str, sorted(set(rounded))))} or more, got none of {len(scores)}; lower "
            "--score-thr, or train the teacher longer"
        )
    refuse_unless_forced(args, thresholds.why_not_boxes(counts["pictures_with_boxes"], len(names)))
    print(write_whole(args.out / "pseudo.json", json.dumps(content)))
    return args.out / "pseudo.json"


def compared(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Precision and recall against true boxes.

    Raises:
        BadInputError: it is no COCO file, or names none of the pictures.
    """
    try:
        report = boxes.compare(content, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"--labels {file}: expected a COCO file of boxes, got {type(error).__name__}: {error}; "
            "check the path"
        ) from None
    if not report["pictures"]:
        raise BadInputError(
            f"--labels {file}: expected true boxes on some of the pictures, got other file names; "
            "put labelled pictures into --images to compare them"
        )
    return report
