"""PoseTrack's numbers: MOTA of each point as poseval counts it, and HOTA as PoseTrack21 does.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmengine.BaseMetric
Sources   poseval (github.com/leonid-pishchulin/poseval) and PoseTrack21's evaluation
          (github.com/anDoer/PoseTrack21), read and written anew
Letters   K points
"""

import logging
from functools import reduce
from operator import add

import numpy as np
from mmengine.logging import print_log

from mmext.errors import some
from mmext.pose.fastpose.hota import Hota, hota
from mmext.pose.fastpose.scoring import (
    Clear,
    FramePairs,
    clear_mot,
    identity_counts,
    idf1,
)
from mmext.pose.fastpose.track_records import Record, TrackedPoses, frame_pairs
from mmext.registry import METRICS

LIMIT = 0.5
"""Heads up to which a point is found."""
REACH = 0.5001
"""Heads at which likeness is 0, in PoseTrack21."""


def as_poseval(video: list[Record]) -> list[FramePairs]:
    """The frames of a video that poseval counts, as it counts them.

    It passes over frames of which the file marks nobody, and over the last one of the others. Where
    nobody was found, or all points lie in ignored regions, it counts one miss and one false
    positive of each point, however many people there are.
    """
    marked = [one for one in video if one.marked][:-1]
    return [
        frame_pairs(one) if len(one.true_ids) and len(one.found_ids) else _nobody(one)
        for one in marked
    ]


def _nobody(record: Record) -> FramePairs:
    num_points = record.true_has.shape[1]
    there, zero = np.ones((num_points, 1), bool), np.zeros(1, np.int64)
    return FramePairs(zero, zero, np.full((num_points, 1, 1), np.inf), there, there)


def mean_percent(values: np.ndarray) -> float:
    """Mean over the points that have a number, in percent; NaN if none has.

    Example:
        >>> mean_percent(np.array([0.5, np.nan]))
        50.0
    """
    known = values[np.isfinite(values)]
    return 100 * float(known.mean()) if len(known) else float("nan")


@METRICS.register_module()
class PoseTrackMetric(TrackedPoses):
    """MOTA, MOTP, precision and recall of each point, as poseval counts them; IDF1 and switches.

    All are in percent, switches are a count over all points. ``MOTA`` is the mean over the points
    that are labelled anywhere; numbers published before June 2018 average a zero in for each that
    is not. ``MOTA_all_frames`` stands beside it: of every labelled frame and person.

    Args:
        poseval_compat: whether MOTA, MOTP, precision, recall and switches are of the frames that
            poseval counts; False for all.
        norm: "head" or "box".
        point_thr: score above which a found point counts as given.
        prefix: before the names of the numbers.
    """

    default_prefix = "posetrack"

    def __init__(
        self,
        *,
        poseval_compat: bool = True,
        norm: str = "head",
        point_thr: float = 0.0,
        prefix: str | None = None,
    ) -> None:
        super().__init__(norm=norm, point_thr=point_thr, prefix=prefix)
        self.poseval_compat = poseval_compat

    def score(self, videos: list[list[Record]], names: list[str]) -> dict[str, float]:
        """Numbers, of the labelled frames of each video."""
        num_points = videos[0][0].true_has.shape[1]
        whole = [[frame_pairs(one) for one in video] for video in videos]
        chosen = [as_poseval(video) for video in videos] if self.poseval_compat else whole

        def counted(parts: list[list[FramePairs]]) -> Clear:
            each = (clear_mot(one, limit=LIMIT, num_points=num_points) for one in parts)
            return reduce(add, each, Clear.none(num_points))

        counts = counted(chosen)
        identities = sum(identity_counts(one, limit=LIMIT, num_points=num_points) for one in whole)
        never = [names[k] for k in np.flatnonzero(counts.objects == 0)]
        if never:
            print_log(
                f"{len(never)} points are labelled nowhere and left out: {some(never)}",
                "current",
                logging.INFO,
            )
        return dict(
            MOTA=mean_percent(counts.mota),
            MOTA_all_frames=mean_percent(counted(whole).mota),
            MOTP=mean_percent(counts.motp),
            precision=mean_percent(counts.precision),
            recall=mean_percent(counts.recall),
            IDF1=mean_percent(idf1(np.asarray(identities))),
            switches=float(counts.switches.sum()),
            points_left_out=float(len(never)),
            **{f"MOTA_{name}": 100 * float(counts.mota[k]) for k, name in enumerate(names)},
        )


@METRICS.register_module()
class PoseHOTAMetric(TrackedPoses):
    """HOTA, DetA, AssA and LocA in percent, means over the points that are labelled anywhere.

    The likeness of two points falls from 1 to 0 over half a head, and the pairs of a frame are
    those of the greatest likeness, as in PoseTrack21.

    Args:
        by_identity: choose pairs as the paper of HOTA does, which prefers identities that fit over
            the whole video.
        norm: "head" or "box".
        point_thr: score above which a found point counts as given.
        prefix: before the names of the numbers.
    """

    default_prefix = "posetrack"

    def __init__(
        self,
        *,
        by_identity: bool = False,
        norm: str = "head",
        point_thr: float = 0.0,
        prefix: str | None = None,
    ) -> None:
        super().__init__(norm=norm, point_thr=point_thr, prefix=prefix)
        self.by_identity = by_identity

    def score(self, videos: list[list[Record]], names: list[str]) -> dict[str, float]:
        """Numbers, of the labelled frames of each video."""
        num_points = videos[0][0].true_has.shape[1]
        # DEVIATION: in a frame where nobody is, or nobody was found, PoseTrack21 adds the points of
        # the whole video to its errors; here those of the frame.
        each = (
            hota(
                [frame_pairs(one) for one in video],
                reach=REACH,
                num_points=num_points,
                by_identity=self.by_identity,
            )
            for video in videos
        )
        sums = reduce(add, each, Hota.none(num_points))
        labelled = (sums.hits + sums.misses)[0] > 0
        return {name: mean_percent(one[labelled]) for name, one in sums.numbers.items()}
