"""The picture of tracks: frames of videos that mmext track drew, a row for each.

Run ``python -m dev.demo.tracked work_dirs/walkers/walkers.mp4 work_dirs/mouse/video.mp4
--start 60 20 --step 8 2 --crop .35,.15,.95,.65 0,0,1,1`` after the commands of docs/tracking.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dev.demo.mouse import SHOWN, sheet
from mmext.inference.inputs import Picture, VideoClip


def frames_of(video: Path, *, start: int, step: int, crop: str) -> list[Picture]:
    """Parts of some frames of a video, equally far apart.

    Args:
        video: its file.
        start: the first frame.
        step: frames between two.
        crop: left, top, right and bottom of the part, as shares of the frame.

    Raises:
        SystemExit: it ends before.
    """
    clip = VideoClip(video)
    if len(clip) <= (last := start + step * (SHOWN - 1)):
        raise SystemExit(f"{video}: expected frame {last}, got {len(clip)} frames; lessen --step")
    left, top, right, bottom = map(float, crop.split(","))
    found = []
    for number in range(SHOWN):
        frame = clip[start + step * number]
        height, width = frame.shape[:2]
        rows = slice(round(top * height), round(bottom * height))
        found.append(frame[rows, round(left * width) : round(right * width)])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path, help="that mmext track drew")
    parser.add_argument("--start", nargs="+", type=int, help="first frame of each (default: 0)")
    parser.add_argument("--step", nargs="+", type=int, help="frames between two (default: 10)")
    parser.add_argument(
        "--crop", nargs="+", help="part of each that is shown, in shares of it (default: 0,0,1,1)"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/tracked.jpg"))
    args = parser.parse_args(argv)
    starts = args.start or [0] * len(args.videos)
    steps = args.step or [10] * len(args.videos)
    crops = args.crop or ["0,0,1,1"] * len(args.videos)
    rows = [
        frames_of(video, start=start, step=step, crop=crop)
        for video, start, step, crop in zip(args.videos, starts, steps, crops, strict=True)
    ]
    sheet(rows).save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
