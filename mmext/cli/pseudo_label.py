"""Let a teacher label pictures: mmext pseudo-label CONFIG CHECKPOINT --images DIR --out DIR.

Detectors write ``pseudo.json``, a COCO file with boxes, masks if the model has them, and scores;
segmentors write ``maps/`` and ``pseudo.json`` with counts. A killed run goes on where it was when
it is started again. Train the student on the config that --config-out writes.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS

from mmext.engine import launch
from mmext.engine.config import check_types, find_config, load_config
from mmext.errors import BadInputError, some
from mmext.inference.labelling import Shards, digest, digest_of, pictures_below, write_whole
from mmext.inference.tasks import build_model
from mmext.inference.teacher import BoxTeacher, MapTeacher, classes_of
from mmext.self_training.pseudo_labels import boxes, maps, student, thresholds

FLOOR = 0.05
"""Score below which no box is kept, unless --score-low is lower."""
SCOPES = {"mmdet": "detector", "mmseg": "segmentor"}


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description="Let a teacher label pictures for a student")
    parser.add_argument("config", help="config file of the teacher, a detector or a segmentor")
    parser.add_argument("checkpoint", help="its checkpoint file")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures to label")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, or to go on in")
    parser.add_argument(
        "--score-thr",
        type=_threshold,
        default=0.5,
        help="score from which a box or pixel is believed, or auto: as many boxes a picture as the "
        "labelled set has (default: %(default)s)",
    )
    parser.add_argument(
        "--score-low",
        type=float,
        help="boxes from here to --score-thr are written as crowds, which training ignores",
    )
    parser.add_argument(
        "--per-class", action="store_true", help="with auto, a threshold for each class"
    )
    parser.add_argument(
        "--labels", type=Path, help="COCO file of true boxes on some of the pictures, to compare"
    )
    parser.add_argument("--force", action="store_true", help="write labels that look worthless")
    parser.add_argument(
        "--confidence", action="store_true", help="of a segmentor: keep each pixel's score"
    )
    parser.add_argument("--config-out", type=Path, help="config of the student, to write")
    parser.add_argument(
        "--shard-size", type=int, default=100, help="pictures a shard (default: %(default)s)"
    )
    gpu = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=gpu, help="default here: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in mmext train")
    return parser.parse_args(argv)


def _threshold(word: str) -> float | str:
    return word if word == "auto" else float(word)


def check_args(cfg: Config, args: argparse.Namespace) -> None:
    """Find what cannot work before the host is imported.

    Raises:
        BadInputError: there is such a thing.
    """
    scope = cfg.get("default_scope")
    if scope not in SCOPES:
        raise BadInputError(
            f"{args.config}: expected a default_scope of {' or '.join(SCOPES)}, got {scope!r}; "
            "pseudo labels are written for detectors and segmentors"
        )
    only_boxes = {"auto": args.score_thr == "auto", "--score-low": args.score_low is not None}
    only_boxes |= {"--per-class": args.per_class, "--labels": args.labels is not None}
    if scope == "mmseg" and any(only_boxes.values()):
        wrong = some(key for key, given in only_boxes.items() if given)
        raise BadInputError(
            f"{wrong}: expected a detector, whose boxes these are for, got a segmentor; leave it "
            "out, and give --score-thr as a probability"
        )
    if args.per_class and args.score_thr != "auto":
        raise BadInputError(
            f"--per-class: expected --score-thr auto, got {args.score_thr}; one number is the same "
            "for all classes"
        )
    for flag, score in (("--score-thr", args.score_thr), ("--score-low", args.score_low)):
        if isinstance(score, float) and not 0 <= score <= 1:
            raise BadInputError(f"{flag} {score}: expected a score from 0 to 1; change it")
    low = -1 if args.score_low is None else args.score_low
    if isinstance(args.score_thr, float) and low >= args.score_thr:
        raise BadInputError(
            f"--score-low {low}: expected less than --score-thr {args.score_thr}; the band is "
            "between them"
        )
    if args.shard_size < 1:
        raise BadInputError(f"--shard-size {args.shard_size}: expected 1 or more; change it")
    if args.config_out and args.cfg_options:
        raise BadInputError(
            "--config-out: expected no --cfg-options, which the student's config would not have; "
            "write them into a config, and give that"
        )


def pseudo_label(args: argparse.Namespace) -> None:
    """Check, run the teacher on what is missing, judge, write labels and the student's config."""
    cfg = load_config(args.config, args.cfg_options)
    check_args(cfg, args)
    names = pictures_below(args.images)
    check_types(cfg)
    if args.config_out:
        student.check(cfg, args.config)  # before hours of labelling
    labelled = labelled_set(cfg)
    model = build_model(cfg, args.checkpoint, device=args.device, strict=True)
    refuse_other_classes(args, classes_of(model), labelled)
    identity = {
        "checkpoint": digest(args.checkpoint),
        "config": digest_of(json.dumps(cfg.model.to_dict(), sort_keys=True, default=str)),
        "images": str(args.images),
    }
    label = label_boxes if cfg.default_scope == "mmdet" else label_maps
    header = {
        "config": args.config,
        "checkpoint": args.checkpoint,
        "sha256": identity["checkpoint"],
    }
    file = label(args, model, names, labelled, identity, header)
    if args.config_out:
        source = find_config(args.config)
        student.check_sizes(json.loads(file.read_text(encoding="utf-8")), args.images, file)
        for note in student.write(
            cfg,
            source,
            args.config_out,
            pseudo=file,
            images=args.images,
            metainfo=labelled.metainfo,
        ):
            print(f"{args.config_out}: {note}")
        print(args.config_out)


def labelled_set(cfg: Config) -> Any:
    """The teacher's training set, built as the host builds it."""
    try:
        return DATASETS.build(cfg.train_dataloader.dataset)
    except (AttributeError, FileNotFoundError) as error:
        raise BadInputError(
            f"{cfg.filename}: expected the labelled set of its train_dataloader, got {error}; "
            "pseudo labels are measured by it"
        ) from None


def refuse_other_classes(args: argparse.Namespace, own: Sequence[str], labelled: Any) -> None:
    """Compare the teacher's classes with the labelled set's.

    Raises:
        BadInputError: they differ.
    """
    wanted = tuple(labelled.metainfo["classes"])
    if tuple(own) != wanted:
        raise BadInputError(
            f"{args.checkpoint}: expected a teacher of the labelled set's classes "
            f"({some(wanted)}), got one of {some(own)}; train it on this set, or correct metainfo"
        )


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
    print(write_whole(args.out / "pseudo.json", content))
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
    if not found.classes.sum():
        raise BadInputError(
            f"{args.images}: expected pixels of a score of {args.score_thr} or more, got none; "
            "lower --score-thr, or train the teacher longer"
        )
    shares = [maps.foreground(one, classes) for one in (found, real)]
    refuse_unless_forced(args, thresholds.why_not_maps(*shares))
    (args.out / "pictures.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    print(write_whole(args.out / "pseudo.json", content))
    return args.out / "pseudo.json"


def refuse_unless_forced(args: argparse.Namespace, trouble: str | None) -> None:
    """End, or warn where --force is given.

    Raises:
        BadInputError: the labels look worthless.
    """
    if trouble and not args.force:
        raise BadInputError(f"{args.images}: {trouble}")
    if trouble:
        print(f"warning: {args.images}: {trouble}")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(pseudo_label, parse_args(argv))
