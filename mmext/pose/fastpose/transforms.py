"""Transforms under which keypoints go where their pixels go.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      mmdet's transforms move boxes and masks, and leave keypoints where they were. Each of them
          is one matrix, and points follow it
Host      mmdet's Resize, RandomFlip, RandomAffine, RandomCrop and LoadAnnotations
Letters   G objects; K points
"""

from typing import Any

import numpy as np
from mmdet.datasets import transforms as host

from mmext.errors import BadInputError
from mmext.pose.fastpose import points
from mmext.pose.fastpose.annotations import UNKNOWN
from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPoseAnnotations(host.LoadAnnotations):
    """mmdet's, and ``gt_keypoints`` (G, K, 3) and ``gt_instances_ids`` (G,), -1 for unknown.

    Objects of classes without points have all of them unlabelled.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load what the data set says of the objects."""
        results = super().transform(results)
        instances = results.get("instances") or []
        stated = [one["keypoints"] for one in instances if one.get("keypoints") is not None]
        number = results.get("num_keypoints", len(stated[0]) if stated else 0)
        keypoints = np.zeros((len(instances), number, 3), np.float32)
        for place, one in enumerate(instances):
            if one.get("keypoints") is not None:
                keypoints[place] = np.reshape(one["keypoints"], (-1, 3))
        results["gt_keypoints"] = keypoints
        ids = [one.get("instance_id", UNKNOWN) for one in instances]
        results["gt_instances_ids"] = np.array(ids, np.int64)
        return results


class PointsFollow:
    """Before a transform of mmdet: its points, identities and labels follow its boxes.

    What comes in stays as it is: boxes are copied, since mmdet moves them in place.
    """

    FOLLOWING = ("gt_bboxes_labels", "gt_keypoints", "gt_instances_ids")
    cuts = False
    """Whether points can leave the picture."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Let the host transform, then move the points; None if the host gives the sample up."""
        kept = {key: results[key] for key in self.FOLLOWING if key in results}
        own = {key: value for key, value in results.items() if key not in kept}
        before = own.pop("homography_matrix", None)
        if boxes := "gt_bboxes" in own:
            own["gt_bboxes"] = copied(own["gt_bboxes"])
            # The host takes the labels of the boxes that it keeps: numbers of rows in their place
            # say which these are.
            own["gt_bboxes_labels"] = np.arange(len(own["gt_bboxes"]))
        moved: dict[str, Any] | None = super().transform(own)
        if moved is None:
            return None
        rows = moved.pop("gt_bboxes_labels") if boxes else slice(None)
        moved.update({key: value[rows] for key, value in kept.items()})
        step = self.step(moved)
        moved["homography_matrix"] = step if before is None else step @ before
        if "gt_keypoints" in moved:
            moved["gt_keypoints"] = points.moved(
                moved["gt_keypoints"], step, moved.get("flip_pairs")
            )
            if self.cuts:
                moved["gt_keypoints"] = points.without_outside(
                    moved["gt_keypoints"], *moved["img_shape"]
                )
        return moved

    def step(self, moved: dict[str, Any]) -> points.Matrix:
        """The matrix of what the host did."""
        return moved.pop("homography_matrix", np.eye(3, dtype=np.float32))


def copied(boxes: Any) -> Any:
    """Boxes of their own, of mmdet's class or an array."""
    return boxes.clone() if hasattr(boxes, "clone") else boxes.copy()


@TRANSFORMS.register_module()
class PoseResize(PointsFollow, host.Resize):
    """mmdet's Resize with points that follow; it clips boxes to the picture, and no points."""


@TRANSFORMS.register_module()
class PoseFlip(PointsFollow, host.RandomFlip):
    """mmdet's RandomFlip with points that follow, and left and right swapped.

    Raises:
        BadInputError: the data set does not say which points are left and right.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Flip, or leave the picture as it is."""
        keypoints = results.get("gt_keypoints")
        if keypoints is not None and keypoints.shape[1] and results.get("flip_pairs") is None:
            raise BadInputError(
                "expected flip_pairs of the data set, since a mirrored left hand is a right one, "
                "got none; write the pairs of points into metainfo of the data set, () if no "
                "point has a side"
            )
        return super().transform(results)


@TRANSFORMS.register_module()
class PoseAffine(PointsFollow, host.RandomAffine):
    """mmdet's RandomAffine with points and identities that follow.

    Points that leave the picture count as not labelled.
    """

    cuts = True

    def _get_random_homography_matrix(self, height: int, width: int) -> points.Matrix:
        self.last_matrix = super()._get_random_homography_matrix(height, width)
        return self.last_matrix

    def step(self, moved: dict[str, Any]) -> points.Matrix:
        """The matrix that was drawn, which the host does not tell."""
        moved.pop("homography_matrix", None)
        return self.last_matrix


@TRANSFORMS.register_module()
class PoseCrop(PointsFollow, host.RandomCrop):
    """mmdet's RandomCrop with points that follow.

    Points that are cut off count as not labelled. An object whose box is cut off goes with its
    points; a picture without objects left is another one's turn, unless ``allow_negative_crop``.
    """

    cuts = True
