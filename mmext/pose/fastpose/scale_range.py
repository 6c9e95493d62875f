"""Scale-normalised training, the data's side: each scale learns objects of the sizes it is for.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      a picture is resized to one of several scales; an object that is too small or too large
          there is ignored, and is learned at a scale where its size is usual (SNIP)
Host      mmdet's pipelines: behind ``RandomChoiceResize`` with ``resize_type="mmext.PoseResize"``
Deviates  the paper gives neither scales nor ranges; those of the configs are our choice
Letters   S scales; G objects
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmext.errors import BadInputError
from mmext.pose.fastpose.points import out_of_range
from mmext.pose.fastpose.scale_views import RANGES
from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ScaleValidRange(BaseTransform):
    """Ignore objects whose size does not belong to the scale that was drawn.

    Adds ``scale_index`` and ``valid_range``, which packing hands on.

    Args:
        ranges: (S) for each scale of ``RandomChoiceResize`` the least and the greatest root of an
            object's area in pixels of the resized picture; None is open.

    Raises:
        BadInputError: no scale was drawn before, or there are more scales than ranges.
    """

    def __init__(self, ranges: Sequence[Sequence[int | float | None]] = RANGES) -> None:
        for low, high in ranges:
            if high is not None and (low or 0) >= high:
                raise BadInputError(
                    f"expected ranges that rise, got ({low}, {high}); write (least, greatest), "
                    "None for an open end"
                )
        self.ranges = [tuple(one) for one in ranges]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mark the objects; the flags that come in stay as they are."""
        index = results.get("scale_idx", 0 if len(self.ranges) == 1 else None)
        if index is None or index >= len(self.ranges):
            got = "no scale that was drawn" if index is None else f"scale {index}"
            raise BadInputError(
                f"expected one of {len(self.ranges)} scales of a RandomChoiceResize before "
                f"ScaleValidRange, got {got}; give as many ranges as scales, in the same order"
            )
        results = {**results, "scale_index": int(index), "valid_range": self.ranges[index]}
        if "gt_bboxes" in results:
            boxes = results["gt_bboxes"]
            corners = np.asarray(getattr(boxes, "tensor", boxes), np.float32)
            flags = np.asarray(results.get("gt_ignore_flags", np.zeros(len(corners))), bool)
            results["gt_ignore_flags"] = flags | out_of_range(corners, *self.ranges[index])
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ranges={self.ranges})"
