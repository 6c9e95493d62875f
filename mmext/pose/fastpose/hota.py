"""HOTA: detection and association weighed alike, at nineteen thresholds of likeness.

Host      none: numpy and scipy
Sources   Luiten et al. 2020, https://arxiv.org/abs/2009.07736; PoseTrack21's evaluation of points
          (Doering et al. 2022)
Letters   K points, 1 for boxes; G true and P found objects; A thresholds
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmext.pose.fastpose.scoring import ALPHAS, FramePairs, all_ids

TINY = np.finfo(float).eps


@dataclass
class Hota:
    """Sums of HOTA (A, K); they add up over videos."""

    hits: np.ndarray
    misses: np.ndarray
    false_positives: np.ndarray
    association: np.ndarray  # sum over hits of TPA / (TPA + FNA + FPA)
    likeness: np.ndarray  # sum over hits

    @classmethod
    def none(cls, num_points: int) -> "Hota":
        """Nothing counted yet."""
        return cls(*(np.zeros((len(ALPHAS), num_points)) for _ in fields(cls)))

    def __add__(self, other: "Hota") -> "Hota":
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Hota(*(one + another for one, another in pairs))

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """HOTA, DetA, AssA and LocA (K,), each the mean over the thresholds."""
        hits = np.maximum(self.hits, 1)
        det = self.hits / np.maximum(self.hits + self.misses + self.false_positives, 1)
        ass = self.association / hits
        located = np.where(self.hits > 0, self.likeness / hits, 1)
        parts = dict(HOTA=np.sqrt(det * ass), DetA=det, AssA=ass, LocA=located)
        return {name: one.mean(0) for name, one in parts.items()}


def hota(
    frames: Iterable[FramePairs],
    *,
    reach: float = 1.0,
    num_points: int = 1,
    by_identity: bool = True,
) -> Hota:
    """Sums of one video.

    Args:
        frames: of one video.
        reach: distance at which likeness, 1 at 0, is 0: 1 for 1 - IoU.
        num_points: K.
        by_identity: choose the pairs of a frame by likeness times how well the two identities fit
            over the video, as HOTA says; PoseTrack21 chooses by likeness alone.
    """
    frames = list(frames)
    true, found = all_ids(frames)
    places = [
        (np.searchsorted(true, one.true_ids), np.searchsorted(found, one.found_ids))
        for one in frames
    ]
    alike = [_likeness(one, reach) for one in frames]
    counts = [np.zeros((num_points, len(true))), np.zeros((num_points, len(found)))]
    for frame, (rows, columns) in zip(frames, places, strict=True):
        counts[0][:, rows] += frame.true_has
        counts[1][:, columns] += frame.found_has
    total = counts[0][:, :, None] + counts[1][:, None]  # (K, all G, all P)
    fit = _fit(alike, places, total) if by_identity else np.ones_like(total)
    sums, shared = Hota.none(num_points), np.zeros((len(ALPHAS), *total.shape))
    for frame, likeness, place in zip(frames, alike, places, strict=True):
        _count(sums, shared, frame, likeness, place, fit)
    sums.association += (shared**2 / np.maximum(total - shared, 1)).sum((2, 3))
    return sums


def _likeness(frame: FramePairs, reach: float) -> np.ndarray:
    both = frame.true_has[..., None] & frame.found_has[:, None]
    return np.where(both, np.clip(1 - frame.distance / reach, 0, None), 0)


def _fit(
    alike: Sequence[np.ndarray], places: Sequence[tuple[np.ndarray, ...]], total: np.ndarray
) -> np.ndarray:
    """How well each true and each found identity fit over the video, as an IoU of their frames."""
    shared = np.zeros_like(total)
    for likeness, (rows, columns) in zip(alike, places, strict=True):
        union = likeness.sum(1, keepdims=True) + likeness.sum(2, keepdims=True) - likeness
        share = np.divide(likeness, union, out=np.zeros_like(likeness), where=union > TINY)
        shared[np.ix_(np.arange(len(total)), rows, columns)] += share
    return shared / np.maximum(total - shared, 1)


def _count(
    sums: Hota,
    shared: np.ndarray,
    frame: FramePairs,
    likeness: np.ndarray,
    place: tuple[np.ndarray, ...],
    fit: np.ndarray,
) -> None:
    """Add a frame."""
    rows, columns = place
    for k in range(len(likeness)):
        score = likeness[k] * fit[k][np.ix_(rows, columns)]
        g, p = linear_sum_assignment(score, maximize=True)
        worth = likeness[k, g, p]
        # a pair of points that are not there is none, whatever the threshold
        hit = (worth >= ALPHAS[:, None] - TINY) & (worth > 0)  # (A, pairs)
        number = hit.sum(1)
        sums.hits[:, k] += number
        sums.misses[:, k] += frame.true_has[k].sum() - number
        sums.false_positives[:, k] += frame.found_has[k].sum() - number
        sums.likeness[:, k] += (hit * worth).sum(1)
        shared[:, k, rows[g], columns[p]] += hit
