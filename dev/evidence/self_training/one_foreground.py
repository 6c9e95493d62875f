"""Maps of many classes as maps of two: what shows something, and background."""

import numpy as np
from jaxtyping import Integer
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

IGNORED = 255


def one_foreground(classes: Integer[np.ndarray, "H W"]) -> Integer[np.ndarray, "H W"]:
    """1 for every class but the first; what is ignored stays so."""
    return np.where(classes == IGNORED, IGNORED, np.minimum(classes, 1)).astype(classes.dtype)


@TRANSFORMS.register_module()
class OneForeground(BaseTransform):
    """Joins all classes of a map but the first, after it is loaded; without a map, does nothing."""

    def transform(self, results: dict) -> dict:
        """Change the map."""
        if "gt_seg_map" in results:
            results["gt_seg_map"] = one_foreground(results["gt_seg_map"])
        return results
