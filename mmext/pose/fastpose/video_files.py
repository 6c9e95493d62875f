"""Videos in files of PoseTrack 2018 and 2021 and of mmdet (COCO with videos): frames in order.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none
Files     images with vid_id or video_id and frame_id; annotations with track_id or instance_id. The
          data set is one file, or a folder of them as PoseTrack has one a video
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from mmext.errors import BadInputError, some
from mmext.pose.fastpose.annotations import identity

Entry = Mapping[str, Any]


@dataclass
class Video:
    """Its frames in order of time; of each the annotations, by the same place."""

    file: str
    key: Any
    frames: list[Entry] = field(default_factory=list)
    annotations: list[list[Entry]] = field(default_factory=list)


def files_of(path: str | Path) -> list[Path]:
    """The file itself, or those in the folder.

    Raises:
        BadInputError: there is none.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise BadInputError(
            f"{path}: expected a file of annotations or a folder with one a video, got none; "
            "correct ann_file"
        )
    return files


def parsed(file: Path) -> Any:
    """A JSON file.

    Raises:
        BadInputError: it is missing, or no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInputError(f"{file}: expected a JSON file, got none; check the path") from None
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected JSON, got something else ({error}); write it again"
        ) from None


def read(path: str | Path) -> list[dict[str, Any]]:
    """The parsed files, each with its name under ``file``.

    Raises:
        BadInputError: one is no file of annotations, or no JSON, or their categories differ.
    """
    found: list[dict[str, Any]] = []
    for file in files_of(path):
        data = parsed(file)
        missing = [key for key in ("images", "annotations", "categories") if key not in data]
        if missing:
            raise BadInputError(
                f"{file}: expected images, annotations and categories, got no {some(missing)}; "
                "convert files of 2017 to the form of 2018"
            )
        if found and _names(data) != _names(found[0]):
            raise BadInputError(
                f"{file}: expected the categories of {found[0]['file']}, got others; give files "
                "of other categories a data set of their own"
            )
        found.append({**data, "file": str(file)})
    return found


def _names(data: Entry) -> list[tuple[Any, ...]]:
    return [(one["id"], one["name"], *(one.get("keypoints") or ())) for one in data["categories"]]


def videos_of(data: Entry) -> list[Video]:
    """The videos of a parsed file.

    Raises:
        BadInputError: an image belongs to no video, a frame is listed twice, or an identity twice
            in one frame.
    """
    file = str(data["file"])
    of_image: dict[Any, list[Entry]] = defaultdict(list)
    for one in data["annotations"]:
        of_image[one["image_id"]].append(one)
    videos: dict[Any, Video] = {}
    for image in data["images"]:
        key = image.get("video_id", image.get("vid_id"))
        if key is None or image.get("frame_id") is None:
            lacking = "frame_id" if key is not None else "vid_id or video_id"
            raise BadInputError(
                f"{file}: image {image['id']}: expected {lacking}, got none; write it, use "
                "mmext.PoseCocoDataset, or single_frames=True for single pictures"
            )
        videos.setdefault(key, Video(file, key)).frames.append(image)
    for video in videos.values():
        video.frames.sort(key=number)
        video.annotations = [of_image[frame["id"]] for frame in video.frames]
        check(video)
    return list(videos.values())


def each_a_video(data: Entry) -> dict[str, Any]:
    """A file of pictures as one of videos of one frame, with an identity for each object.

    What has a video or an identity keeps it.

    Example:
        >>> own = each_a_video(dict(images=[dict(id=7)], annotations=[dict(id=3, image_id=7)]))
        >>> own["images"], own["annotations"]
        ([{'vid_id': 7, 'frame_id': 0, 'id': 7}], [{'track_id': 3, 'id': 3, 'image_id': 7}])
    """
    images = [
        one if "video_id" in one else {"vid_id": one["id"], "frame_id": 0, **one}
        for one in data["images"]
    ]
    annotations = [
        one if "instance_id" in one else {"track_id": one["id"], **one}
        for one in data["annotations"]
    ]
    return {**data, "images": images, "annotations": annotations}


def number(frame: Entry) -> int:
    """The number of a frame, by which distances in time are measured.

    Raises:
        BadInputError: it is none.
    """
    value = frame["frame_id"]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInputError(
            f"image {frame.get('id')}: expected a number as frame_id, got {value!r}; number the "
            "frames of each video"
        )
    return int(value)


def check(video: Video) -> None:
    """Refuse what no tracker can be trained or judged on.

    Raises:
        BadInputError: a frame is listed twice, or an identity twice in one frame.
    """
    for one, other in pairwise(video.frames):
        if number(one) == number(other):
            raise BadInputError(
                f"{video.file}: video {video.key}: expected each frame once, got frame "
                f"{number(one)} twice (images {one['id']} and {other['id']}); remove one"
            )
    for frame, annotations in zip(video.frames, video.annotations, strict=True):
        seen = set()
        for known in (identity(one) for one in annotations if not one.get("iscrowd")):
            if known is not None and known in seen:
                raise BadInputError(
                    f"{video.file}: video {video.key}: expected each identity once in a frame, got "
                    f"{known} twice in frame {number(frame)} (image {frame['id']}); correct one"
                )
            seen.add(known)


def oddities(data: Entry, videos: Sequence[Video]) -> Iterator[str]:
    """Sentences of what is used as it is, and may not be meant: order and gaps of frames."""
    listed: dict[Any, list[int]] = defaultdict(list)
    for image in data["images"]:
        listed[image.get("video_id", image.get("vid_id"))].append(number(image))
    mixed = [key for key, numbers in listed.items() if numbers != sorted(numbers)]
    if mixed:
        yield (
            f"{data['file']}: expected frames in the order of frame_id, got others in "
            f"{len(mixed)} videos, the first {mixed[0]}; they are taken in the order of frame_id"
        )
    holes = [(video.key, hole) for video in videos if (hole := _hole(video))]
    if holes:
        key, (one, other) = holes[0]
        yield (
            f"{data['file']}: expected frames at equal distances, got gaps in {len(holes)} videos, "
            f"the first in {key} between frames {one} and {other}; time is counted by frame_id"
        )


def _hole(video: Video) -> tuple[int, int] | None:
    """The first pair of frames that lie further apart than the nearest pair does."""
    pairs = [(number(one), number(other)) for one, other in pairwise(video.frames)]
    step = min((other - one for one, other in pairs), default=0)
    return next((pair for pair in pairs if pair[1] - pair[0] > step), None)


def regions(frame: Entry) -> list[list[tuple[float, float]]]:
    """Polygons of a frame in which nobody marked anything, though there may be people.

    Raises:
        BadInputError: a polygon has more x than y, or fewer.

    Example:
        >>> regions(dict(ignore_regions_x=[[0, 9, 9]], ignore_regions_y=[[0, 0, 5]]))
        [[(0.0, 0.0), (9.0, 0.0), (9.0, 5.0)]]
    """
    columns, rows = (frame.get(f"ignore_regions_{axis}") or () for axis in "xy")
    if columns and not isinstance(columns[0], Sequence):  # a single one, as some files have it
        columns, rows = [columns], [rows]
    if [len(one) for one in columns] != [len(one) for one in rows]:
        raise BadInputError(
            f"image {frame.get('id')}: expected ignore_regions_x and ignore_regions_y of the same "
            "lengths, got others; write x and y of every corner"
        )
    return [
        [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(columns, rows, strict=True)
        if len(xs)
    ]
