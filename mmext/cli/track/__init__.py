"""Give people identities: mmext track DETECTIONS.json --images IMAGES.json --out DIR.

Or, with a model: mmext track CONFIG CHECKPOINT VIDEO --out DIR. Written are ``tracks.json``, the
images with annotations that have a track_id, a MOT file for each video, and where there are
pictures a video with people, their skeletons and numbers drawn on it. What is seen of a person
decides what its appearance may do, so that people keep their numbers behind each other.
"""

import argparse
import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mmext.cli.track.arguments import check_args, is_dump, parse_args, tracker_of
from mmext.engine import launch
from mmext.errors import BadInputError
from mmext.inference.inputs import FRAMES_A_SECOND, Picture, VideoClip, find_input
from mmext.inference.outputs import write_video
from mmext.inference.people import draw_people
from mmext.inference.reading import read_picture
from mmext.pose.fastpose import calibration, dumped, layouts, video_files
from mmext.pose.fastpose.dumped import Seen

logger = logging.getLogger("mmext")

Told = list[tuple[Mapping[str, Any], list[dict[str, Any]]]]
"""Images of a video and their tracked detections."""


class Dump:
    """Frames with detections from files, and with pictures if there are any."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.file = args.source[0]
        self.videos, self.data, odd = dumped.read_detections(self.file, args.images)
        for sentence in odd:
            logger.warning(sentence)
        self.options: dict[str, Any] = {}
        self.categories = self.data.get("categories") or []
        self.draw = args.draw
        self.clip = find_clip(args.draw, len(self.videos)) if args.draw else None
        self.fps = self.clip.fps if self.clip else FRAMES_A_SECOND

    def __iter__(self) -> Iterator[Seen]:
        first: dict[Any, int] = {}
        for frame in dumped.frames_of(self.videos, str(self.file)):
            start = first.setdefault(frame.video, frame.number)
            yield replace(frame, picture=self.picture(frame, frame.number - start))

    def picture(self, frame: Seen, place: int) -> Picture | None:
        """What to draw on."""
        if self.clip:
            return self.clip[place]
        if not self.draw:
            return None
        if "file_name" not in frame.image:
            raise BadInputError(
                f"image {frame.image['id']}: expected file_name, to draw on, got none; write it, "
                "or give the video as --draw"
            )
        return read_picture(self.draw / frame.image["file_name"])

    def skeleton(self, num_points: int) -> Sequence[tuple[int, ...]]:
        """Lines between points: as the file says, else as their number tells."""
        for one in self.categories:
            layout = layouts.of_category(one)
            if layout and layout.skeleton and len(layout.names) == num_points:
                return layout.skeleton
        return layouts.usual_skeleton(num_points)


def find_clip(path: Path, videos: int) -> VideoClip | None:
    """The video to draw on; None for a folder of pictures.

    Raises:
        BadInputError: it is one video, and there are detections of several.
    """
    if path.is_dir():
        return None
    source = find_input(path)
    if not isinstance(source, VideoClip) or videos > 1:
        raise BadInputError(
            f"--draw {path}: expected the video of these detections, or the folder of their "
            f"pictures, got one file for {videos} videos; give the folder"
        )
    return source


def calibrated(args: argparse.Namespace, frames: Iterable[Seen]) -> float:
    """Print how alike the embedding finds people, and return the threshold for lost ones."""
    found = calibration.alikeness(
        *calibration.sightings(frames, video_files.parsed(Path(args.calibrate)))
    )
    print(
        f"{args.calibrate}: one person {found.same:.3f} alike, two {found.other:.3f}, so "
        f"lost_score={found.lost_score:.3f}"
    )
    return round(found.lost_score, 3)


def track(args: argparse.Namespace) -> None:
    """Check, calibrate, follow, and write."""
    check_args(args)
    tracker_of(args.options)  # before minutes of detecting
    source: Any
    if is_dump(args):
        source = Dump(args)
    else:
        from mmext.cli.track.of_models import ModelFrames

        source = ModelFrames(args, video_files.parsed(args.calibrate) if args.calibrate else None)
    options = {**source.options, **args.options}
    if args.every > 1:
        options.setdefault("recent_frames", 2 * args.every)
    if args.calibrate:
        options["lost_score"] = calibrated(args, source)
    args.out.mkdir(parents=True, exist_ok=True)
    everything: dict[str, Any] = dict(images=[], annotations=[], categories=source.categories)
    frames = dumped.follow(source, tracker_of(options))
    for video, own in groupby(frames, key=lambda pair: pair[0].video):
        told: Told = []
        name = str(video).replace("/", "_")
        drawn = (one for one in shown(own, told, source) if one is not None)
        first = next(drawn, None)
        if first is not None:
            write_video(args.out / f"{name}.mp4", chained(first, drawn), source.fps)
            print(args.out / f"{name}.mp4")
        deque(drawn, maxlen=0)
        print(write_mot(args.out / f"{name}.txt", told))
        add(everything, told, name)
    file = args.out / "tracks.json"
    file.write_text(json.dumps(everything, ensure_ascii=False), encoding="utf-8")
    print(file)


def chained(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    """A stream whose first picture was taken already."""
    yield first
    yield from rest


def shown(
    frames: Iterable[tuple[Seen, np.ndarray]], told: Told, source: Any
) -> Iterator[Picture | None]:
    """Write down who is in each frame, and draw them if there is a picture."""
    for frame, ids in frames:
        people = dumped.annotations_of(frame, ids)
        told.append((frame.image, people))
        points = frame.found["keypoints"]
        skeleton = source.skeleton(points.shape[1]) if points is not None else ()
        yield None if frame.picture is None else draw_people(frame.picture, people, skeleton)


def write_mot(path: Path, told: Told) -> Path:
    """Write a video's MOT file."""
    numbers = [video_files.number(image) for image, _ in told]
    # They count frames from 1, and so do some data sets.
    first = min(1, numbers[0])
    people = (one for _, one in told)
    lines = dumped.mot_lines(zip([one - first for one in numbers], people, strict=True))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def add(everything: dict[str, Any], told: Told, name: str) -> None:
    """Add a video to what is written as JSON, with identities below 1,000."""
    if not any(people for _, people in told):
        logger.warning(
            "%s: expected people, got none in %d frames; lower birth_score with --options, or look "
            "whether the detector finds any",
            name,
            len(told),
        )
    small = dumped.small_ids([[one["track_id"] for one in people] for _, people in told])
    for (image, people), ids in zip(told, small, strict=True):
        everything["images"].append(dict(image))
        for one, number in zip(people, ids, strict=True):
            own = {**one, "track_id": number, "id": len(everything["annotations"]) + 1}
            everything["annotations"].append(own)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(track, parse_args(argv))
