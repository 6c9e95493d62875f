"""Test views of the paper: the video in T segments, one random frame each, several times over."""

import random
import zlib
from pathlib import PurePath
from typing import Any

import numpy as np
from jaxtyping import Int
from mmcv.transforms import BaseTransform

from mmext.registry import TRANSFORMS


def sample_segments(
    total_frames: int, num_segments: int, num_repeats: int, rng: np.random.Generator
) -> Int[np.ndarray, "R T"]:
    """Cut ``total_frames`` into equal segments and take one frame of each, anew in each repeat.

    Example:
        >>> sample_segments(4, 4, 2, np.random.default_rng(0)).tolist()
        [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    length = total_frames / num_segments
    places = (np.arange(num_segments) + rng.random((num_repeats, num_segments))) * length
    return np.minimum(places.astype(np.int64), total_frames - 1)


@TRANSFORMS.register_module()
class SegmentRepeatSample(BaseTransform):
    """Sample frames for a test of several views, where ``mmaction.SampleFrames`` has one or two.

    With ``ThreeCrop`` after it, ten repeats are the paper's 30 views. Frames of a view lie in a
    row. Needs ``total_frames`` and ``start_index`` (``DecordInit`` or a list of frames), and adds
    ``frame_inds``, ``clip_len``, ``frame_interval`` and ``num_clips``.

    Args:
        num_segments: T, frames of a view.
        num_repeats: views in time.
        seed: with it a video of a name has the same views in every run, in every worker and in
            whatever folder it lies; None draws new ones.
        allow_short: take frames of a video more than once if it has fewer than T.

    Raises:
        ValueError: a video without frames, or with fewer than T.
    """

    def __init__(
        self,
        num_segments: int,
        *,
        num_repeats: int = 10,
        seed: int | None = None,
        allow_short: bool = False,
    ) -> None:
        self.num_segments, self.num_repeats = num_segments, num_repeats
        self.seed, self.allow_short = seed, allow_short

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the indices of ``num_repeats`` views."""
        name = str(results.get("filename") or results.get("frame_dir") or "the video")
        total = results["total_frames"]
        if total < (1 if self.allow_short else self.num_segments):
            raise ValueError(
                f"{name}: expected at least {self.num_segments} frames, one a segment, got "
                f"{total}; leave it out of the list"
                + (", or set allow_short=True" if total else "")
            )
        # DEVIATION: the paper draws anew in every test; a seed of the file's own makes a test
        # repeatable, by its name alone, so that the data may lie elsewhere.
        draws = None if self.seed is None else [self.seed, zlib.crc32(PurePath(name).name.encode())]
        # Without a seed, one from Python's own generator, which the hosts seed differently in each
        # worker.
        rng = np.random.default_rng(random.randrange(2**31) if draws is None else draws)
        views = sample_segments(total, self.num_segments, self.num_repeats, rng)
        results["frame_inds"] = (views.reshape(-1) + results["start_index"]).astype(np.int32)
        results["clip_len"], results["frame_interval"] = 1, 1
        results["num_clips"] = views.size
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_segments={self.num_segments}, "
            f"num_repeats={self.num_repeats}, seed={self.seed}, allow_short={self.allow_short})"
        )
