"""From the samples of a tracked video to frames that can be scored, over all ranks.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmengine.BaseMetric
Measure   PoseTrack's: a point is found if it lies within half a head, .6 of the diagonal of the
          head's box, of where it is
Letters   G true and P found persons; K points
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from mmengine.dist import broadcast_object_list, gather_object, is_main_process
from mmengine.evaluator import BaseMetric

from mmext.errors import BadInputError
from mmext.pose.fastpose.scoring import FramePairs

HEAD_SHARE = 0.6
"""Of the diagonal of a head's box: what PoseTrack calls the size of a head."""
HEADS_A_BODY = 8
"""Of the diagonal of a person's box, where no head is marked."""


@dataclass(frozen=True)
class Record:
    """What is there and what was found in a frame."""

    video: Any
    frame: int
    marked: int  # persons of the file, with points or without
    true_ids: np.ndarray  # (G,)
    true_points: np.ndarray  # (G, K, 2)
    true_has: np.ndarray  # (G, K)
    heads: np.ndarray  # (G,) sizes, pixels
    found_ids: np.ndarray  # (P,)
    found_points: np.ndarray  # (P, K, 2)
    found_has: np.ndarray  # (P, K)
    labelled: bool = True


def inside_polygon(
    points: Float[np.ndarray, "*N 2"], polygon: Sequence[Sequence[int | float]]
) -> Bool[np.ndarray, "*N"]:
    """Which points lie in a polygon, by the number of its sides to their right.

    Example:
        >>> inside_polygon(np.array([[1.0, 1], [5.0, 1]]), [(0, 0), (4, 0), (4, 4), (0, 4)])
        array([ True, False])
    """
    corners = np.asarray(polygon, float)
    ahead = np.roll(corners, -1, 0)
    x, y = points[..., None, 0], points[..., None, 1]
    (x0, y0), (x1, y1) = corners.T, ahead.T
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1, y1 - y0)
    return (crosses & (x < x0 + (y - y0) * (x1 - x0) / rise)).sum(-1) % 2 == 1


def head_size(instance: Mapping[str, Any], norm: str, where: str) -> float:
    """What distances of a person's points are measured by.

    Raises:
        BadInputError: by heads, and its head is not marked.
    """
    if norm == "box":
        x0, y0, x1, y1 = instance["bbox"]
        return float(np.hypot(x1 - x0, y1 - y0)) / HEADS_A_BODY
    if "head_box" not in instance:
        raise BadInputError(
            f"{where}: expected bbox_head of each person, got one without; add it to the file, or "
            "set norm='box'"
        )
    x0, y0, x1, y1 = instance["head_box"]
    return HEAD_SHARE * float(np.hypot(x1 - x0, y1 - y0))


def record_of(sample: Any, *, norm: str, point_thr: float) -> Record:
    """A frame's record, of mmdet's sample with ``pred_track_instances`` and the file's instances.

    Raises:
        BadInputError: an identity stands twice in it, a person of the file has none, or the
            tracker gave no points, or another number of them.
    """
    meta = sample.metainfo
    where = f"video {meta.get('video_id')}, frame {meta.get('frame_number', meta.get('frame_id'))}"
    found = sample.get("pred_track_instances")
    if found is None or "keypoints" not in found:
        raise BadInputError(
            f"{where}: expected pred_track_instances with keypoints, got none; use mmext.FastPose "
            "with mmext.MTNRoIHead and mmext.OcclusionAwareTracker"
        )
    ids = _array(found.instances_id).astype(np.int64)
    points, scores = _array(found.keypoints), _array(found.keypoint_scores)
    people = [one for one in meta["instances"] if not one.get("ignore_flag")]
    named = [one for one in people if one.get("keypoints") is not None]
    none = np.zeros((0, points.shape[1], 3))
    true = np.array([one["keypoints"] for one in named], float) if named else none
    true_ids = np.array([one["track_id"] for one in named], np.int64)
    _refuse_ids(where, true_ids, ids)
    if len(true) and len(points) and true.shape[1] != points.shape[1]:
        raise BadInputError(
            f"{where}: expected {true.shape[1]} keypoints of each person, got {points.shape[1]}; "
            f"set num_keypoints={true.shape[1]} in the model's heads"
        )
    true_has, found_has = true[..., 2] > 0, scores > point_thr
    for region in meta.get("ignore_regions") or ():
        true_has = true_has & ~inside_polygon(true[..., :2], region)
        found_has = found_has & ~inside_polygon(points, region)
    here, seen = true_has.any(1), found_has.any(1)
    heads = [head_size(named[at], norm, where) for at in np.flatnonzero(here)]
    return Record(
        *(meta.get("video_id"), int(meta.get("frame_number", meta.get("frame_id", 0)))),
        len(people),
        *(true_ids[here], true[here, :, :2], true_has[here], np.array(heads, float)),
        *(ids[seen], points[seen], found_has[seen]),
        labelled=bool(meta.get("is_labeled", True)),
    )


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().double().numpy()


def _refuse_ids(where: str, true: np.ndarray, found: np.ndarray) -> None:
    if (true < 0).any():
        raise BadInputError(
            f"{where}: expected track_id of each person with keypoints, got one without; add it to "
            "the file"
        )
    for kind, ids in (("the file's", true), ("the tracker's", found)):
        if len(np.unique(ids)) < len(ids):
            twice = next(one for one in ids.tolist() if (ids == one).sum() > 1)
            raise BadInputError(
                f"{where}: expected each of {kind} identities once in a frame, got {twice} twice; "
                "remove one of the two"
            )


def frame_pairs(record: Record) -> FramePairs:
    """Distances in heads between all persons of a frame; a head without size is near to nothing."""
    offset = record.true_points[:, None] - record.found_points[None]
    heads = np.where(record.heads > 0, record.heads, np.nan)[:, None, None]
    distance = np.nan_to_num(np.linalg.norm(offset, axis=-1) / heads, nan=np.inf)
    return FramePairs(
        record.true_ids,
        record.found_ids,
        distance.transpose(2, 0, 1),
        record.true_has.T,
        record.found_has.T,
    )


def sized(record: Record, num_points: int) -> Record:
    """With K points where nobody is there, so that nobody knows how many there are."""
    if not len(record.true_ids):
        record = replace(
            record,
            true_points=np.zeros((0, num_points, 2)),
            true_has=np.zeros((0, num_points), bool),
        )
    if not len(record.found_ids):
        record = replace(
            record,
            found_points=np.zeros((0, num_points, 2)),
            found_has=np.zeros((0, num_points), bool),
        )
    return record


def by_video(records: Iterable[Record]) -> dict[Any, list[Record]]:
    """Labelled frames of each video in order, each once: two ranks may have seen the same one."""
    videos: dict[Any, dict[int, Record]] = defaultdict(dict)
    for one in records:
        if one.labelled:
            videos[one.video][one.frame] = one
    return {key: [frames[n] for n in sorted(frames)] for key, frames in sorted(videos.items())}


class TrackedPoses(BaseMetric):
    """Collects frames from all ranks; a subclass scores videos.

    Args:
        norm: "head" measures by heads, as PoseTrack does; "box" by an eighth of the diagonal of the
            person's box, for files without heads.
        point_thr: score above which a found point counts as given.
        prefix: before the names of the numbers.
    """

    def __init__(
        self, *, norm: str = "head", point_thr: float = 0.0, prefix: str | None = None
    ) -> None:
        super().__init__(prefix=prefix)
        if norm not in ("head", "box"):
            raise BadInputError(f"norm: expected 'head' or 'box', got {norm!r}; correct it")
        self.norm, self.point_thr = norm, point_thr

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the frames of a batch: of whole videos, or single ones."""
        for sample in data_samples:
            for frame in sample["video_data_samples"]:
                self.results.append(record_of(frame, norm=self.norm, point_thr=self.point_thr))

    def evaluate(self, size: int) -> dict[str, float]:
        """Score the frames of all ranks.

        The host's way cuts the list to ``size``, the number of videos, and mixes its parts.
        """
        parts = gather_object(self.results)
        told: list[Any] = [None]
        if is_main_process():
            told = [self.compute_metrics([one for part in parts or () for one in part])]
        broadcast_object_list(told)
        self.results.clear()
        prefix = f"{self.prefix}/" if self.prefix else ""
        return {f"{prefix}{name}": value for name, value in told[0].items()}

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Numbers of all videos.

        Raises:
            BadInputError: there is no labelled person in them.
        """
        counts = [len(row) for one in results for row in (*one.true_has, *one.found_has)]
        if not any(len(one.true_ids) for one in results if one.labelled):
            raise BadInputError(
                f"expected videos with labelled people, got none in {len(results)} frames; check "
                "ann_file"
            )
        videos = by_video(sized(one, counts[0]) for one in results)
        names = (self.dataset_meta or {}).get("keypoint_names") or range(counts[0])
        return self.score(list(videos.values()), [str(one) for one in names])

    def score(self, videos: list[list[Record]], names: list[str]) -> dict[str, float]:
        """Numbers, of the labelled frames of each video."""
        raise NotImplementedError
