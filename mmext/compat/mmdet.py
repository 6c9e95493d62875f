"""Repair of mmdet 3: how many candidates a level keeps where a config asks for all."""

import functools
import sys
from typing import Any

from mmext.compat.repair import Repair, exchange, without_modes

NAME = "filter_scores_and_topk"


class MmdetNmsPre(Repair):
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
        plain = self.host = getattr(sys.modules[self.after[0]], NAME)

        @functools.wraps(plain)
        def filter_scores_and_topk(
            scores: Any, score_thr: Any, topk: int, results: Any = None
        ) -> Any:
            return plain(scores, score_thr, scores.numel() if topk < 0 else topk, results)

        self.ours = filter_scores_and_topk
        exchange(self.host, self.ours)

    def undo(self) -> None:
        """Give the host's function back to whoever has ours."""
        exchange(self.ours, self.host)
