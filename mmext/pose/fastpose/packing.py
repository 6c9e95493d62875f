"""Keypoints and identities from a pipeline's results into mmdet's data samples.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmdet's PackDetInputs and PackTrackInputs
Letters   G objects; K points
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from mmdet.datasets.transforms import PackDetInputs, PackTrackInputs

from mmext.errors import BadInputError
from mmext.registry import TRANSFORMS

DET_KEYS = (
    *("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction"),
    *("flip_pairs", "sigmas", "scale_index", "valid_range"),
)
TRACK_KEYS = (
    *DET_KEYS,
    *("frame_id", "frame_number", "video_id", "video_length", "ori_video_length"),
    *("is_labeled", "ignore_regions", "instances"),
)
POINTS = {"gt_point_places": "keypoints", "gt_points_visible": "keypoints_visible"}


def halves(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (G, K, 2) and what is visible (G, K): 0 unlabelled, 1 hidden, 2 visible."""
    return keypoints[..., :2], keypoints[..., 2].astype(np.int64)


@TRANSFORMS.register_module()
class PackPoseDetInputs(PackDetInputs):
    """mmdet's, and ``keypoints`` (G, K, 2), ``keypoints_visible`` (G, K) and ``instances_ids``.

    Args:
        meta_keys: as mmdet's, with what heads and tests want to know of points and scales.
    """

    mapping_table: ClassVar[dict[str, str]] = {
        **PackDetInputs.mapping_table,
        **POINTS,
        "gt_instances_ids": "instances_ids",
    }

    def __init__(self, meta_keys: Sequence[str] = DET_KEYS) -> None:
        super().__init__(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a picture."""
        if "gt_keypoints" in results:
            results = {**results, **dict(zip(POINTS, halves(results["gt_keypoints"]), strict=True))}
        return super().transform(results)


@TRANSFORMS.register_module()
class PackPoseTrackInputs(PackTrackInputs):
    """mmdet's, and ``keypoints`` (G, K, 2) and ``keypoints_visible`` (G, K) in each frame.

    Args:
        meta_keys: more than the default ones.
        default_meta_keys: as mmdet's, with what heads and metrics want to know.

    Raises:
        BadInputError: the frames differ in size.
    """

    mapping_table: ClassVar[dict[str, str]] = {**PackTrackInputs.mapping_table, **POINTS}

    def __init__(
        self,
        meta_keys: Sequence[str] | str | None = None,
        default_meta_keys: Sequence[str] = TRACK_KEYS,
    ) -> None:
        more = (meta_keys,) if isinstance(meta_keys, str) else tuple(meta_keys or ())
        super().__init__(more, tuple(default_meta_keys))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a clip."""
        sizes = {image.shape[:2] for image in results.get("img", ())}
        if len(sizes) > 1:
            raise BadInputError(
                f"expected frames of one size in a clip, got {sorted(sizes)}; set "
                "share_random_params=True in TransformBroadcaster"
            )
        results = dict(results)
        if "gt_bboxes" in results:  # the host packs arrays alone
            results["gt_bboxes"] = [getattr(one, "tensor", one) for one in results["gt_bboxes"]]
        if "gt_keypoints" in results:
            split = zip(*map(halves, results["gt_keypoints"]), strict=True)
            results.update({key: list(one) for key, one in zip(POINTS, split, strict=True)})
        return super().transform(results)
