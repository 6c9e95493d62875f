"""Repairs of mmdet 3: candidates that a level loses, recalls, clips as text."""

import functools
import sys
from typing import Any

from mmext.compat.repair import Exchanging, Wrapping, without_modes

NAME = "filter_scores_and_topk"


class MmdetNmsPre(Exchanging):
    """``nms_pre=-1``, mmdet's default, keeps all candidates of a level.

    mmdet cuts the sorted candidates with a slice that ends at ``nms_pre``; an end of -1 drops the
    last. Its heads hold the function under their own names, so every module that has it gets the
    other.
    """

    name = "mmdet_nms_pre"
    why = "nms_pre=-1, which means all, loses the candidate of the lowest score on every level"
    after = ("mmdet.models.utils.misc",)

    def needed(self) -> bool:
        """Try it on two candidates, once the function is there."""
        if self.after[0] not in sys.modules:
            return False
        plain = getattr(sys.modules[self.after[0]], NAME, None)

        def kept() -> int:
            import torch

            return len(plain(torch.ones(2, 1), 0, -1)[0])

        return plain is not None and without_modes(kept) < 2

    def apply(self) -> None:
        """Say how many all are."""
        plain = getattr(sys.modules[self.after[0]], NAME)

        @functools.wraps(plain)
        def filter_scores_and_topk(
            scores: Any, score_thr: Any, topk: int, results: Any = None
        ) -> Any:
            return plain(scores, score_thr, scores.numel() if topk < 0 else topk, results)

        self.exchange(plain, filter_scores_and_topk)


class MmdetRecalls(Wrapping):
    """Recall and proposals are evaluated also where images have different numbers of boxes.

    mmdet collects a matrix an image in ``numpy.array``, which makes an array of objects no more.
    The one module gets a numpy whose ``array`` still does.
    """

    name = "mmdet_recalls"
    why = "VOCMetric's recall and CocoMetric's proposal_fast end in an error of numpy's"
    after = ("mmdet.evaluation.functional.recall",)

    def needed(self) -> bool:
        """Try it on matrices of two sizes, once the function is there."""
        if self.after[0] not in sys.modules:
            return False
        import numpy as np

        try:
            np.array([np.zeros((1, 2)), np.zeros((2, 2))])
        except ValueError:
            return True
        return False

    def apply(self) -> None:
        """Give this one module another ``np``."""
        self.wrap(sys.modules[self.after[0]], "np", lambda _: _Numpy())


class _Numpy:
    """numpy, but for lists of arrays of different sizes."""

    def __getattr__(self, name: str) -> Any:
        import numpy as np

        return getattr(np, name)

    @staticmethod
    def array(values: Any, **options: Any) -> Any:
        import numpy as np

        try:
            return np.array(values, **options)
        except ValueError:
            found = np.empty(len(values), dtype=object)
            for place, value in enumerate(values):
                found[place] = value
            return found


class MmdetClips(Wrapping):
    """A clip takes its frames without writing them out as text.

    A part of a message of mmdet's stands on a line of its own, so it is made each time: numbers of
    all tensors of the first frame, for each of which a GPU is waited for, several times a step.
    """

    name = "mmdet_clips"
    why = "mmdet writes out the tensors of each clip as text, for which it waits for the GPU"
    after = ("mmdet.structures.track_data_sample",)

    def needed(self) -> bool:
        """Try it with a frame that says whether it is written out."""
        host: Any = sys.modules.get(self.after[0])
        if host is None:
            return False
        written = []

        class Frame(host.DetDataSample):
            def __repr__(self) -> str:
                written.append(self)
                return "frame"

        host.TrackDataSample().video_data_samples = [Frame()]
        return bool(written)

    def apply(self) -> None:
        """Set what is right as the host does; what is wrong goes to the host, which says so."""
        host: Any = sys.modules[self.after[0]]

        def ours(plain: property) -> property:
            def video_data_samples(clip: Any, frames: Any) -> None:
                some = [frames] if isinstance(frames, host.DetDataSample) else frames
                if isinstance(some, list) and some and isinstance(some[0], host.DetDataSample):
                    clip.set_field(some, "_video_data_samples", dtype=list)
                else:
                    plain.__set__(clip, frames)

            return plain.setter(video_data_samples)

        self.wrap(host.TrackDataSample, "video_data_samples", ours)
