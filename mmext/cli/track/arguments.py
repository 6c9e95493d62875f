"""The flags of ``mmext track``, and what cannot work found before a host is imported."""

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction

from mmext.errors import BadInputError, did_you_mean
from mmext.pose.fastpose.tracks import OcclusionAwareTracks


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(
        description="Give the people of a video identities that outlast occlusions",
        usage="mmext track DETECTIONS.json --images IMAGES.json --out DIR [flags]\n"
        "       mmext track CONFIG CHECKPOINT VIDEO --out DIR [flags]",
    )
    parser.add_argument(
        "source",
        nargs="+",
        type=Path,
        help="detections of any detector as COCO's results have them; or config and checkpoint of "
        "one, and a video or a folder of frames",
    )
    parser.add_argument(
        "--images",
        type=Path,
        help="COCO file whose images have video_id and frame_id (default: the detections' own)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("work_dirs/track"), help="default: %(default)s"
    )
    parser.add_argument(
        "--draw", type=Path, help="of detections: the video, or the folder of their pictures"
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="LABELS.json",
        help="print how alike the embedding finds one person and two in frames labelled with "
        "track_id, and set lost_score a quarter of the way up",
    )
    parser.add_argument(
        "--options",
        nargs="+",
        action=DictAction,
        default={},
        help="of the tracker, as key=value: birth_score, lost_score, memory, gates=\"['reading',"
        "'birth']\" …",
    )
    parser.add_argument(
        "--every", type=int, default=1, help="of a video, look at every so many frames alone"
    )
    gpu = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=gpu, help="default here: %(default)s")
    parser.add_argument(
        "--no-strict", action="store_true", help="load what fits of another model's checkpoint"
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in mmext train")
    return parser.parse_args(argv)


def is_dump(args: argparse.Namespace) -> bool:
    """Whether detections are given, and no model."""
    return len(args.source) == 1


def check_args(args: argparse.Namespace) -> None:
    """Find what cannot work.

    Raises:
        BadInputError: there is such a thing.
    """
    if len(args.source) not in (1, 3):
        raise BadInputError(
            f"expected one file of detections, or config, checkpoint and video, got "
            f"{len(args.source)} words; see mmext track --help"
        )
    if args.every < 1:
        raise BadInputError(f"--every {args.every}: expected 1 or more; change it")
    if is_dump(args) and args.source[0].suffix != ".json":
        raise BadInputError(
            f"{args.source[0]}: expected a JSON file of detections, got another; a config needs "
            "its checkpoint and a video behind it"
        )
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInputError(
            f"--device {args.device}: expected a CUDA device, torch finds none; leave it out"
        )
    for one in (args.source[-1], args.draw, args.images):
        if one and args.out.resolve() == (one if one.is_dir() else one.parent).resolve():
            raise BadInputError(
                f"{args.out}: expected another folder than that of {one.name}, whose files it "
                "could replace; change --out"
            )
    if is_dump(args) and args.every > 1:
        raise BadInputError(
            f"--every {args.every}: expected a video, got detections; dump those of fewer frames"
        )


def tracker_of(options: dict[str, Any]) -> OcclusionAwareTracks:
    """The tracker with these options.

    Raises:
        BadInputError: it has no such option.
    """
    known = list(inspect.signature(OcclusionAwareTracks).parameters)
    for name in options:
        if name not in known:
            raise BadInputError(
                f"--options: expected some of {', '.join(known)}, got {name!r}"
                f"{did_you_mean(name, known)}; correct it"
            )
    return OcclusionAwareTracks(**options)
