"""The flags of ``mmext pseudo-label``, and what cannot work found before a host is imported."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

from mmext.errors import BadInputError, some

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
        "--labels",
        type=Path,
        help="true labels of some of the pictures, to compare: a COCO file, or a folder of maps",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="join several views of each picture, as mmext test --tta does",
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
    _check_for_boxes(args) if scope == "mmdet" else _check_for_maps(args)
    for flag, score in (("--score-thr", args.score_thr), ("--score-low", args.score_low)):
        if isinstance(score, float) and not 0 <= score <= 1:
            raise BadInputError(f"{flag} {score}: expected a score from 0 to 1; change it")
    if args.shard_size < 1:
        raise BadInputError(f"--shard-size {args.shard_size}: expected 1 or more; change it")
    if args.config_out and args.cfg_options:
        raise BadInputError(
            "--config-out: expected no --cfg-options, which the student's config would not have; "
            "write them into a config, and give that"
        )


def _check_for_boxes(args: argparse.Namespace) -> None:
    if args.confidence:
        raise BadInputError(
            "--confidence: expected a segmentor, whose pixels have scores, got a detector, whose "
            "boxes are written with theirs; leave it out"
        )
    if args.per_class and args.score_thr != "auto":
        raise BadInputError(
            f"--per-class: expected --score-thr auto, got {args.score_thr}; one number is the same "
            "for all classes"
        )
    low = -1 if args.score_low is None else args.score_low
    if isinstance(args.score_thr, float) and low >= args.score_thr:
        raise BadInputError(
            f"--score-low {low}: expected less than --score-thr {args.score_thr}; the band is "
            "between them"
        )


def _check_for_maps(args: argparse.Namespace) -> None:
    only_boxes = {"auto": args.score_thr == "auto", "--score-low": args.score_low is not None}
    only_boxes |= {"--per-class": args.per_class}
    if any(only_boxes.values()):
        wrong = some(key for key, given in only_boxes.items() if given)
        raise BadInputError(
            f"{wrong}: expected a detector, whose boxes these are for, got a segmentor; leave it "
            "out, and give --score-thr as a probability"
        )
    out = args.out.resolve()
    if args.images.resolve() in (out, *out.parents):
        raise BadInputError(
            f"--out {args.out}: expected a folder outside --images {args.images}, where its maps "
            "would be taken for pictures, got one inside; give another"
        )


def refuse_unless_forced(args: argparse.Namespace, trouble: str | None) -> None:
    """End, or warn where --force is given.

    Raises:
        BadInputError: the labels look worthless.
    """
    if trouble and not args.force:
        raise BadInputError(f"{args.images}: {trouble}")
    if trouble:
        print(f"warning: {args.images}: {trouble}")
