"""A segmentor's labels: a map of classes for each picture, 255 where it is not sure."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmext.cli.pseudo_label.arguments import refuse_unless_forced
from mmext.errors import BadInputError
from mmext.files import write_whole
from mmext.inference.labelling import Shards
from mmext.inference.teacher import MapTeacher, classes_of
from mmext.self_training.pseudo_labels import maps, thresholds


def label_maps(
    args: argparse.Namespace,
    model: Any,
    names: Sequence[str],
    labelled: Any,
    identity: Mapping[str, Any],
    header: Mapping[str, Any],
) -> Path:
    """A segmentor's labels; returns the file with their counts."""
    classes = classes_of(model)
    identity = {**identity, "score_thr": args.score_thr, "confidence": args.confidence}
    shards = Shards(args.out, names, size=args.shard_size, identity=identity)
    confidence = args.out / "confidence" if args.confidence else None
    teacher = MapTeacher(
        model, args.images, args.out / "maps", score_thr=args.score_thr, confidence=confidence
    )
    shards.fill(teacher)
    found = maps.pixels_of(shards)
    real = maps.labelled_pixels(labelled, len(classes))
    header = {**header, "score_thr": args.score_thr, "classes": list(classes)}
    content = {"info": {**header, "counts": maps.counts(found)}, "images": list(shards)}
    print(maps.sentence(found, real, classes))
    if args.labels:
        print(json.dumps(compared(args, names, labelled, classes), indent=1))
    if not found.classes.sum():
        raise BadInputError(
            f"{args.images}: expected pixels of a score of {args.score_thr} or more, got none; "
            "lower --score-thr, or train the teacher longer"
        )
    shares = [maps.foreground(one, classes) for one in (found, real)]
    refuse_unless_forced(args, thresholds.why_not_maps(*shares))
    (args.out / "pictures.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    print(write_whole(args.out / "pseudo.json", json.dumps(content)))
    return args.out / "pseudo.json"


def compared(
    args: argparse.Namespace, names: Sequence[str], labelled: Any, classes: Sequence[str]
) -> dict[str, Any]:
    """Agreement with people's maps of some of the pictures: ``a.png`` or ``a.jpg.png`` of a.jpg.

    Raises:
        BadInputError: there are none, or one is of another size than its picture's.
    """
    pairs = [
        (args.out / "maps" / f"{name}.png", file)
        for name in names
        for file in (args.labels / f"{name}.png", (args.labels / name).with_suffix(".png"))
        if file.is_file()
    ]
    if not pairs:
        raise BadInputError(
            f"--labels {args.labels}: expected a folder with a PNG map for some of the pictures, "
            f"such as {Path(names[0]).with_suffix('.png')}, got none; check the path"
        )
    counted = np.zeros((len(classes), len(classes) + 1), dtype=np.int64)
    for own, file in pairs:
        found, stored = (np.asarray(Image.open(one)) for one in (own, file))
        if found.shape != stored.shape:
            raise BadInputError(
                f"--labels {file}: expected a map of {found.shape[1]} x {found.shape[0]} pixels of "
                f"one number each, got one of the shape {stored.shape}; give the maps of these "
                "pictures"
            )
        counted += maps.confusion(found, maps.true_classes(stored, labelled), len(classes))
    return {"pictures": len(pairs), **maps.compare(counted, classes)}
