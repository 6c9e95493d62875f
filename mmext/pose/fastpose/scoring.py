"""How well identities are kept: MOTA and its switches, IDF1, HOTA; for boxes or for each point.

Host      none: numpy and scipy
Sources   CLEAR MOT (Bernardin and Stiefelhagen 2008) as py-motmetrics counts it; IDF1 (Ristani et
          al. 2016); HOTA (Luiten et al. 2020) and its pairs in PoseTrack21 (Doering et al. 2022)
Letters   K points, 1 for boxes; G true and P found objects of a frame; A thresholds
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmext.pose.fastpose.similarity import iou

ALPHAS = np.arange(0.05, 0.99, 0.05)
FORBIDDEN = 1e6
"""Cost of a pair that may not be: more than all others of a frame together."""


@dataclass(frozen=True)
class FramePairs:
    """A frame: who is there, who was found, and how far each lies from each."""

    true_ids: np.ndarray  # (G,)
    found_ids: np.ndarray  # (P,)
    distance: np.ndarray  # (K, G, P), infinite where it is not defined
    true_has: np.ndarray  # (K, G) which points are labelled
    found_has: np.ndarray  # (K, P) which points are given


def box_pairs(
    true_ids: Sequence[int] | np.ndarray,
    true_boxes: np.ndarray,
    found_ids: Sequence[int] | np.ndarray,
    found_boxes: np.ndarray,
) -> FramePairs:
    """A frame of boxes, 1 - IoU apart; who was found without an identity is left out."""
    true, found = np.asarray(true_ids, np.int64), np.asarray(found_ids, np.int64)
    known = found >= 0
    boxes = np.asarray(found_boxes, np.float64).reshape(-1, 4)[known]
    distance = 1 - iou(np.asarray(true_boxes, np.float64).reshape(-1, 4), boxes)
    has = np.ones((1, len(true)), bool), np.ones((1, len(boxes)), bool)
    return FramePairs(true, found[known], distance[None], *has)


@dataclass
class Clear:
    """Counts of CLEAR MOT for each point; they add up over videos."""

    objects: np.ndarray
    matches: np.ndarray
    misses: np.ndarray
    false_positives: np.ndarray
    switches: np.ndarray
    distance: np.ndarray  # of all matches together

    @classmethod
    def none(cls, num_points: int) -> "Clear":
        """Nothing counted yet."""
        return cls(*(np.zeros(num_points) for _ in fields(cls)))

    def __add__(self, other: "Clear") -> "Clear":
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Clear(*(one + another for one, another in pairs))

    @property
    def mota(self) -> np.ndarray:
        """1 - (misses + switches + false positives) / objects; NaN for a point never labelled."""
        wrong = self.misses + self.switches + self.false_positives
        return 1 - _ratio(wrong, self.objects)

    @property
    def motp(self) -> np.ndarray:
        """1 - mean distance of the matches; 0 without matches, as poseval has it."""
        return np.where(self.matches > 0, 1 - _ratio(self.distance, self.matches), 0)

    @property
    def precision(self) -> np.ndarray:
        """Share of what was found that is right; NaN where nothing was found."""
        return _ratio(self.matches, self.matches + self.false_positives)

    @property
    def recall(self) -> np.ndarray:
        """Share of what is there that was found; NaN for a point never labelled."""
        return _ratio(self.matches, self.objects)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full_like(whole, np.nan, dtype=float), where=whole > 0)


def clear_mot(frames: Iterable[FramePairs], *, limit: float, num_points: int = 1) -> Clear:
    """Counts of one video, whose frames are in order.

    A pair of the last frames stays while it is within the limit; what is left is assigned anew, as
    many pairs as possible at the least distance. A switch is a true object whose new partner is
    another than its last one, however long ago.

    Args:
        frames: of one video.
        limit: distance up to which a pair may be.
        num_points: K.
    """
    counts = Clear.none(num_points)
    numbers: dict[int, int] = {}
    held = np.full((num_points, 0), -1, np.int64)
    for frame in frames:
        rows = _numbered(frame.true_ids, numbers)
        held = np.pad(held, ((0, 0), (0, len(numbers) - held.shape[1])), constant_values=-1)
        last = held[:, rows]  # (K, G)
        near = (frame.distance <= limit) & frame.true_has[..., None] & frame.found_has[:, None]
        pairs = near & (last[..., None] == frame.found_ids)
        pairs &= pairs.cumsum(1) == 1  # two objects may have had the same partner: the first keeps
        left = near & ~pairs.any(2, keepdims=True) & ~pairs.any(1, keepdims=True)
        new = _nearest_pairs(frame.distance, left)
        k, g, p = np.nonzero(new)
        counts.switches += np.bincount(
            k[(last[k, g] >= 0) & (last[k, g] != frame.found_ids[p])], minlength=num_points
        )
        held[k, rows[g]] = frame.found_ids[p]
        pairs |= new
        counts.objects += frame.true_has.sum(1)
        counts.matches += pairs.sum((1, 2))
        counts.misses += (frame.true_has & ~pairs.any(2)).sum(1)
        counts.false_positives += (frame.found_has & ~pairs.any(1)).sum(1)
        counts.distance += np.where(pairs, frame.distance, 0).sum((1, 2))
    return counts


def _numbered(ids: np.ndarray, numbers: dict[int, int]) -> np.ndarray:
    return np.array([numbers.setdefault(int(one), len(numbers)) for one in ids], np.int64)


def _nearest_pairs(distance: np.ndarray, near: np.ndarray) -> np.ndarray:
    """As many pairs as possible, at the least distance; most frames leave nothing to choose."""
    clash = (near.sum(2) > 1).any(1) | (near.sum(1) > 1).any(1)
    pairs = near & ~clash[:, None, None]
    for k in np.flatnonzero(clash):
        rows, columns = linear_sum_assignment(np.where(near[k], distance[k], FORBIDDEN))
        kept = near[k][rows, columns]
        pairs[k, rows[kept], columns[kept]] = True
    return pairs


def identity_counts(
    frames: Iterable[FramePairs], *, limit: float, num_points: int = 1
) -> np.ndarray:
    """IDTP, true and found objects (3, K) of one video; they add up over videos.

    Each true identity has at most one found identity for the whole video.
    """
    frames = list(frames)
    true, found = all_ids(frames)
    shared = np.zeros((num_points, len(true), len(found)))
    counts = np.zeros((3, num_points))
    for frame in frames:
        near = (frame.distance <= limit) & frame.true_has[..., None] & frame.found_has[:, None]
        place = np.ix_(
            np.arange(num_points),
            np.searchsorted(true, frame.true_ids),
            np.searchsorted(found, frame.found_ids),
        )
        shared[place] += near
        counts[1] += frame.true_has.sum(1)
        counts[2] += frame.found_has.sum(1)
    for k in range(num_points):
        counts[0, k] = shared[k][linear_sum_assignment(shared[k], maximize=True)].sum()
    return counts


def idf1(counts: np.ndarray) -> np.ndarray:
    """2 IDTP / (true + found), for each point; NaN where nothing is there and nothing was found."""
    return _ratio(2 * counts[0], counts[1] + counts[2])


def all_ids(frames: Sequence[FramePairs]) -> tuple[np.ndarray, np.ndarray]:
    """True and found identities of a video, sorted."""
    none = [np.zeros(0, np.int64)]
    return (
        np.unique(np.concatenate([*none, *(one.true_ids for one in frames)])),
        np.unique(np.concatenate([*none, *(one.found_ids for one in frames)])),
    )
