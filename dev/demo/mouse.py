"""The README's picture of landmarks: what people marked, what a model finds there, and on a video.

Run ``python -m dev.demo.mouse CONFIG CHECKPOINT --out docs/mouse.jpg`` with a model of the running
mouse that did not see the frames of test_20.json. Above four of these as people marked them, in the
middle what the model finds on them, below what it finds on four frames of the video.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmext.engine.config import load_config
from mmext.inference.drawing import colours, draw_points
from mmext.inference.inputs import Picture, VideoClip
from mmext.inference.points import PointFinder
from mmext.inference.reading import read_picture
from mmext.inference.tasks import build_model
from mmext.prepare import mouse

SHOWN = 4
SIDE = 264
"""Pixels across of a frame in the picture."""
GAP = 6
SCORE = 0.2
"""Of points that are drawn, unless the command line says another; a short training needs less."""


def truth(root: Path, image: dict) -> Picture:
    """A frame with the points that people marked."""
    found = {one["image_id"]: one for one in mouse.read_split(root, "test_20")["annotations"]}
    rows = np.reshape(found[image["id"]]["keypoints"], (-1, 3))
    points = [(float(x), float(y)) if seen else None for x, y, seen in rows]
    frame = read_picture(root / "images" / image["file_name"])
    return draw_points(frame, points, mouse.SKELETON, colours(len(points)))


def sheet(rows: Sequence[Sequence[Picture]]) -> Image.Image:
    """The frames beside and below each other, on white; those of a row have one size."""
    heights = [round(SIDE * row[0].shape[0] / row[0].shape[1]) for row in rows]
    size = len(rows[0]) * (SIDE + GAP) - GAP, sum(heights) + GAP * (len(rows) - 1)
    made, top = Image.new("RGB", size, "white"), 0
    for height, frames in zip(heights, rows, strict=True):
        for column, frame in enumerate(frames):
            small = Image.fromarray(frame).resize((SIDE, height), Image.Resampling.LANCZOS)
            made.paste(small, (column * (SIDE + GAP), top))
        top += height + GAP
    return made


def draw(config: str, checkpoint: str, root: Path, out: Path, *, score_thr: float) -> None:
    """Write the picture."""
    model = build_model(load_config(config), checkpoint, device="cpu", strict=True)
    finder = PointFinder(model, score_thr=score_thr)
    images = mouse.read_split(root, "test_20")["images"][:SHOWN]
    clip = VideoClip(root / "video.mp4")
    frames = [clip[len(clip) * number // SHOWN] for number in range(SHOWN)]
    rows = [
        [truth(root, one) for one in images],
        [finder.annotate(root / "images" / one["file_name"])[0] for one in images],
        [finder.annotate(frame)[0] for frame in frames],
    ]
    sheet(rows).save(out, quality=88)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help="of a model of landmarks")
    parser.add_argument("checkpoint", help="its checkpoint")
    parser.add_argument("--root", type=Path, default=mouse.ROOT, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("docs/mouse.jpg"))
    parser.add_argument("--score-thr", type=float, default=SCORE, help="default: %(default)s")
    args = parser.parse_args(argv)
    draw(args.config, args.checkpoint, args.root, args.out, score_thr=args.score_thr)
    print(args.out)


if __name__ == "__main__":
    main()
