"""The picture of tracks: frames of videos that mmext track drew, a row for each.

Run ``python -m dev.demo.tracked work_dirs/walkers/1.mp4 work_dirs/mouse/video.mp4 --start 40 0
--step 12 4 --out docs/tracked.jpg`` after the two commands of docs/tracking.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dev.demo.mouse import SHOWN, sheet
from mmext.inference.inputs import Picture, VideoClip


def frames_of(video: Path, *, start: int, step: int) -> list[Picture]:
    """Some frames of a video, equally far apart.

    Raises:
        SystemExit: it ends before.
    """
    clip = VideoClip(video)
    if len(clip) <= (last := start + step * (SHOWN - 1)):
        raise SystemExit(f"{video}: expected frame {last}, got {len(clip)} frames; lessen --step")
    return [clip[start + step * number] for number in range(SHOWN)]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path, help="that mmext track drew")
    parser.add_argument("--start", nargs="+", type=int, help="first frame of each (default: 0)")
    parser.add_argument("--step", nargs="+", type=int, help="frames between two (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("docs/tracked.jpg"))
    args = parser.parse_args(argv)
    starts = args.start or [0] * len(args.videos)
    steps = args.step or [10] * len(args.videos)
    rows = [
        frames_of(video, start=start, step=step)
        for video, start, step in zip(args.videos, starts, steps, strict=True)
    ]
    sheet(rows).save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
