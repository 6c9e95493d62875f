"""Show what a model makes of pictures or videos: mmext demo CONFIG CHECKPOINT INPUT [flags].

Detection      a picture, a folder of pictures or a video: boxes are drawn
Segmentation   the same: classes are laid over as colours
Classification the same: the best classes are written on it
Action         a video, or a folder of frames of one clip: its best classes are written on the
               frames
Landmarks      the same: points are drawn; a table for DeepLabCut's tools lies beside
JSON           beside each drawing, what it shows: ``a.png`` and ``a.png.json``
Needs          no GPU and no screen; a GPU is used where there is one
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from mmengine.config import Config, DictAction

from mmext.engine import launch
from mmext.engine.config import check_types, load_config
from mmext.errors import BadInputError
from mmext.inference.drawing import write_scores
from mmext.inference.inputs import FolderClip, Picture, VideoClip, find_input
from mmext.inference.outputs import save_facts, save_picture, write_video
from mmext.inference.points import PointFinder, finds_points, save_table
from mmext.inference.reading import read_picture
from mmext.inference.tasks import Classifier, Detector, Recognizer, Segmentor, build_model

Source: TypeAlias = list[Path] | VideoClip

SCOPES = ("mmdet", "mmseg", "mmaction", "mmengine")
Annotator: TypeAlias = Detector | Segmentor | Classifier | PointFinder


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description="Show what a model makes of pictures or videos")
    parser.add_argument(
        "config",
        help="config file of a detector, segmentor, classifier, recognizer or of landmarks",
    )
    parser.add_argument("checkpoint", help="its checkpoint file")
    parser.add_argument("input", type=Path, help="picture, folder or video")
    parser.add_argument(
        "--out", type=Path, default=Path("work_dirs/demo"), help="default: %(default)s"
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.3,
        help="draw boxes or points above it (default: %(default)s)",
    )
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="of the face or animal whose landmarks are sought (default: the whole picture)",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=5,
        help="classes of a picture or clip to name (default: %(default)s)",
    )
    parser.add_argument(
        "--every", type=int, default=1, help="of a video, annotate every so many frames alone"
    )
    gpu = "cuda:0" if torch.cuda.is_available() else "cpu"
    parser.add_argument(
        "--device", default=gpu, help="such as cuda:0 or cpu (default here: %(default)s)"
    )
    parser.add_argument(
        "--no-strict", action="store_true", help="load what fits of another model's checkpoint"
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="as in mmext train")
    return parser.parse_args(argv)


def check_args(cfg: Config, args: argparse.Namespace, source: Source) -> None:
    """Find what cannot work before the host is imported.

    Raises:
        BadInputError: there is such a thing.
    """
    if cfg.get("default_scope") not in SCOPES:
        raise BadInputError(
            f"{args.config}: expected a default_scope of {', '.join(SCOPES)}, got "
            f"{cfg.get('default_scope')!r}; give a config of one of the tasks"
        )
    if (
        cfg.default_scope == "mmaction"
        and args.input.is_file()
        and not isinstance(source, VideoClip)
    ):
        raise BadInputError(
            f"{args.input}: expected a video or a folder of frames, got a picture, in which "
            "nothing moves; give one of these"
        )
    folder = args.input if args.input.is_dir() else args.input.parent
    if args.out.resolve() == folder.resolve():
        raise BadInputError(
            f"{args.out}: expected another folder than the input's, whose files it would replace; "
            "change --out"
        )
    if args.every < 1 or args.top < 1:
        raise BadInputError(
            f"--every {args.every}, --top {args.top}: expected 1 or more; change them"
        )
    if args.box and not (args.box[0] < args.box[2] and args.box[1] < args.box[3]):
        raise BadInputError(
            f"--box {' '.join(f'{side:g}' for side in args.box)}: expected left, top, right and "
            "bottom of a box with an area; change them"
        )
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInputError(
            f"--device {args.device}: expected a CUDA device, torch finds none; leave it out"
        )


def annotate(annotator: Annotator, args: argparse.Namespace, source: Source) -> Iterator[Path]:
    """Draw on each picture, or on the frames of a video; yields what was written."""
    if isinstance(source, VideoClip):
        yield from annotate_video(annotator, args, source)
        return
    told = []
    for file in source:
        picture, found = annotator.annotate(file)
        out = save_picture(picture, args.out / file.name)
        height, width = picture.shape[:2]
        told.append((str(file), found))
        yield save_facts({"input": str(file), "width": width, "height": height, **found}, out)
        yield out
    if isinstance(annotator, PointFinder):
        name = f"{args.input.resolve().name}.csv"
        yield save_table(args.out / name, Path(args.config).stem, told)


def annotate_video(
    annotator: Annotator, args: argparse.Namespace, clip: VideoClip
) -> Iterator[Path]:
    """Draw on every so many frames of a video; yields what was written."""
    told: list[dict[str, Any]] = []

    def drawn() -> Iterator[Picture]:
        for index in range(0, len(clip), args.every):
            picture, found = annotator.annotate(clip[index])
            told.append({"frame": index, "seconds": round(index / clip.fps, 3), **found})
            yield picture

    out = args.out / f"{args.input.stem}.mp4"
    write_video(out, drawn(), clip.fps / args.every)
    yield save_facts({"input": str(args.input), "fps": clip.fps, "frames": told}, out)
    if isinstance(annotator, PointFinder):
        rows = ((str(one["frame"]), one) for one in told)
        yield save_table(out.with_name(f"{out.name}.csv"), Path(args.config).stem, rows)
    yield out


def recognize(recognizer: Recognizer, args: argparse.Namespace, source: Source) -> Iterator[Path]:
    """Name a clip's classes, on its frames and in a JSON file; yields what was written."""
    clip = source if isinstance(source, VideoClip) else FolderClip(source, read_picture)
    scores = recognizer.recognize(clip)
    classes = [{"class": one, "score": round(score, 6)} for one, score in scores]
    facts = {"input": str(args.input), "frames": len(clip), "classes": classes}
    if isinstance(clip, FolderClip):
        out = args.out / args.input.resolve().name
        out.mkdir(exist_ok=True)
        for index, file in enumerate(clip.files):
            save_picture(write_scores(clip[index], scores), out / file.name)
    else:
        out = args.out / f"{args.input.resolve().stem}.mp4"
        frames = (write_scores(clip[index], scores) for index in range(0, len(clip), args.every))
        write_video(out, frames, clip.fps / args.every)
    yield save_facts(facts, out)
    yield out


def demo(args: argparse.Namespace) -> None:
    """Check the inputs, build the model, write what it finds."""
    cfg = load_config(args.config, args.cfg_options)
    source = find_input(args.input)
    check_args(cfg, args, source)
    check_types(cfg)
    model = build_model(cfg, args.checkpoint, device=args.device, strict=not args.no_strict)
    args.out.mkdir(parents=True, exist_ok=True)
    if cfg.default_scope == "mmaction":
        written = recognize(Recognizer(model, top=args.top), args, source)
    elif cfg.default_scope == "mmseg":
        written = annotate(Segmentor(model), args, source)
    elif finds_points(model.cfg.test_pipeline):
        finder = PointFinder(model, score_thr=args.score_thr, box=args.box)
        written = annotate(finder, args, source)
    elif cfg.default_scope == "mmengine":
        written = annotate(Classifier(model, top=args.top), args, source)
    else:
        written = annotate(Detector(model, score_thr=args.score_thr), args, source)
    for path in written:
        print(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(demo, parse_args(argv))
