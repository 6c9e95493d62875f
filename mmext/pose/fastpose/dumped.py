"""Detections of any detector, as COCO's results have them, and tracks as PoseTrack and MOT do.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      none
Files     in: a list of image_id, category_id, bbox (x, y, w, h) and score, with keypoints (x, y and
          how sure, for each) and embedding where there are any; and COCO's images with video_id (or
          vid_id) and frame_id. Out: those images, annotations with track_id; a text file a video
Letters   N detections; K points; D numbers of an embedding
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mmext.errors import BadInputError
from mmext.pose.fastpose.tracks import OcclusionAwareTracks
from mmext.pose.fastpose.video_files import Video, number, oddities, parsed, videos_of

MOST_IDS = 1000
"""PoseTrack's files have identities from 0 to 999."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A frame and what was found in it; ``found`` are the arguments of a tracker's step."""

    video: Any
    number: int
    image: Entry
    found: dict[str, np.ndarray | None]
    picture: Any = None  # to draw on


def read_detections(file: Path, images: Path | None) -> tuple[list[Video], dict[str, Any], list]:
    """Videos with their detections, what the images' file says, and what is odd, in sentences.

    Args:
        file: detections; a list, or a file with images and annotations of its own.
        images: COCO's file with the images, whose annotations do not count.

    Raises:
        BadInputError: they are no such files, a detection is of no image, or a frame is listed
            twice.
    """
    own = parsed(file)
    data = parsed(images) if images else own
    if not isinstance(data, dict) or "images" not in data:
        raise BadInputError(
            f"{images or file}: expected images with video_id and frame_id, got none; name a file "
            "that has them with --images"
        )
    listed = own.get("annotations", ()) if isinstance(own, dict) else own
    known = {one["id"] for one in data["images"]}
    for one in listed:
        missing = [key for key in ("image_id", "bbox", "score") if key not in one]
        if missing or one["image_id"] not in known:
            got = f"no {missing[0]}" if missing else f"image_id {one['image_id']} of none of them"
            raise BadInputError(
                f"{file}: expected detections with score and bbox of the images of "
                f"{images or file}, got {got}; write COCO's results"
            )
    plain = [{k: v for k, v in one.items() if k != "track_id"} for one in listed]
    told = {**data, "annotations": plain, "file": str(images or file)}
    videos = videos_of(told)
    return videos, told, list(oddities(told, videos))


def frames_of(videos: Iterable[Video], file: str) -> Iterator[Seen]:
    """Every frame of every video, in order of time.

    Raises:
        BadInputError: numbers of keypoints or of an embedding differ.
    """
    sizes: tuple[int, int] | None = None
    for video in videos:
        for image, detected in zip(video.frames, video.annotations, strict=True):
            found, sizes = arrays_of(detected, sizes, f"{file}: image {image['id']}")
            yield Seen(video.key, number(image), image, found)


def arrays_of(
    detected: Sequence[Entry], sizes: tuple[int, int] | None, where: str
) -> tuple[dict[str, np.ndarray | None], tuple[int, int] | None]:
    """Detections of a frame as arrays, and how many numbers their points and embeddings have.

    Raises:
        BadInputError: they differ from ``sizes``, or among themselves.
    """
    for one in detected:
        own = len(one.get("keypoints") or ()), len(one.get("embedding") or ())
        sizes = sizes or own
        for name, now, first in zip(("keypoints", "embedding"), own, sizes, strict=True):
            if now != first or (name == "keypoints" and now % 3):
                raise BadInputError(
                    f"{where}: expected {first - first % 3 if name == 'keypoints' else first} "
                    f"numbers in {name} of each detection, got {now}; write x, y and how sure for "
                    "every point, and embeddings of one model"
                )
    boxes = np.array([one["bbox"] for one in detected], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    keys = [(one.get("keypoints") or (), one.get("embedding") or ()) for one in detected]
    number = (sizes or (0, 0))[0] // 3
    points = np.array([one for one, _ in keys], float).reshape(len(detected), number, 3)
    looks = np.array([one for _, one in keys], float) if sizes and sizes[1] and keys else None
    found: dict[str, np.ndarray | None] = dict(
        boxes=boxes,
        scores=np.array([one["score"] for one in detected], float),
        keypoints=points[..., :2] if points.shape[1] else None,
        visibility=certainty(points[..., 2], where) if points.shape[1] else None,
        embeddings=looks,
        labels=np.array([one.get("category_id", 0) for one in detected], np.int64),
    )
    return found, sizes


def certainty(values: Float[np.ndarray, "N K"], where: str) -> Float[np.ndarray, "N K"]:
    """How sure it is that each point is seen, from 0 to 1, of scores or of COCO's 0, 1 and 2.

    Raises:
        BadInputError: they are neither.

    Example:
        >>> certainty(np.array([[0.0, 1.0, 2.0]]), "file").tolist()
        [[0.0, 0.0, 1.0]]
    """
    if np.isin(values, (0, 1, 2)).all() and (values == 2).any():
        return (values == 2).astype(float)
    if len(values) and (values.min() < 0 or values.max() > 1):
        worst = max(values.max(), -values.min())
        raise BadInputError(
            f"{where}: expected scores of points from 0 to 1, or 0, 1 and 2 as COCO has them, got "
            f"{worst:g}; put them through a sigmoid"
        )
    return values


def small_ids(frames: Sequence[Sequence[int]], most: int = MOST_IDS) -> list[list[int]]:
    """Identities of a video's frames as numbers below ``most``; as they are where they all fit.

    A number is used again when all are taken: that of whoever is gone longest.

    Raises:
        BadInputError: there are more people than numbers in one frame.

    Example:
        >>> small_ids([[7, 1200], [1200]])
        [[0, 1], [1]]
        >>> small_ids([[1], [2], [2, 3]], most=2)
        [[0], [1], [1, 0]]
    """
    if all(one < most for frame in frames for one in frame):
        return [list(frame) for frame in frames]
    last = {one: place for place, frame in enumerate(frames) for one in frame}
    held: dict[int, int] = {}
    free = list(range(most))
    told = []
    for place, frame in enumerate(frames):
        for one in frame:
            if one in held:
                continue
            if not free:
                gone = sorted((last[old], old) for old in held if last[old] < place)
                if not gone:
                    raise BadInputError(
                        f"expected at most {most} people in a frame, got {len(frame)}; raise the "
                        "tracker's birth_score"
                    )
                free.append(held.pop(gone[0][1]))
            held[one] = free.pop(0)
        told.append([held[one] for one in frame])
    return told


def annotations_of(frame: Seen, ids: np.ndarray) -> list[dict[str, Any]]:
    """The tracked detections of a frame, as PoseTrack's files have them."""
    found, told = frame.found, []
    boxes, points = found["boxes"], found["keypoints"]
    scores, labels, sure = found["scores"], found["labels"], found["visibility"]
    assert boxes is not None
    assert scores is not None
    assert labels is not None
    for row in np.flatnonzero(ids >= 0):
        left, top, right, bottom = boxes[row].tolist()
        one: dict[str, Any] = dict(
            image_id=frame.image["id"], category_id=int(labels[row]), track_id=int(ids[row])
        )
        one["bbox"] = [round(side, 3) for side in (left, top, right - left, bottom - top)]
        one["score"] = round(float(scores[row]), 6)
        if points is not None and sure is not None:
            values = np.concatenate([points[row], sure[row][:, None]], 1)
            one["keypoints"] = values.round(3).ravel().tolist()
        told.append(one)
    return told


def mot_lines(frames: Iterable[tuple[int, Sequence[Entry]]]) -> Iterator[str]:
    """Lines of a MOT Challenge file: frame and identity from 1, box, score, and three unused.

    Example:
        >>> list(mot_lines([(0, [dict(track_id=0, bbox=[1, 2, 3, 4], score=0.5)])]))
        ['1,1,1.00,2.00,3.00,4.00,0.5000,-1,-1,-1']
    """
    for place, found in frames:
        for one in found:
            box = ",".join(f"{side:.2f}" for side in one["bbox"])
            yield f"{place + 1},{one['track_id'] + 1},{box},{one['score']:.4f},-1,-1,-1"


def follow(
    frames: Iterable[Seen], tracks: OcclusionAwareTracks
) -> Iterator[tuple[Seen, np.ndarray]]:
    """Each frame with the identities of its detections; each video begins anew."""
    video: Any = _NONE
    for frame in frames:
        if frame.video != video:
            tracks.reset()
            video = frame.video
        yield frame, tracks.step(**frame.found, frame_id=frame.number)


_NONE = object()
