"""Objects with keypoints in COCO's files.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      mmdet's CocoDataset passes over the keypoints of its own files; this one keeps them, and
          tells transforms, heads and metrics what they are
Host      mmdet.CocoDataset
"""

from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

from mmdet.datasets import CocoDataset

from mmext.pose.fastpose.annotations import UNKNOWN, PointReader, ReadsPoints, identity
from mmext.registry import DATASETS


@DATASETS.register_module()
class PoseCocoDataset(ReadsPoints, CocoDataset):
    """mmdet's CocoDataset with ``keypoints`` (K, 3) and ``instance_id`` in its instances.

    ``metainfo`` may have keypoint_names, flip_pairs (of places or names), skeleton and sigmas;
    what it lacks comes from the layout, the file's categories, or names with left and right.

    Args:
        *args: the host's.
        layout: "coco", "posetrack15" or "posetrack17": points of a person that heads shall have,
            whichever of them the file has; the others count as not labelled.
        joint_map: for points of the layout, their name in the file, or names to take the middle of.
        point_offset: what to add to the file's coordinates. COCO's points are numbers of pixels,
            whose middle lies half a pixel further; ``CocoKeypointMetric`` takes it off again.
        **kwargs: the host's.

    Raises:
        BadInputError: an annotation or a class has another number of keypoints than the others.
    """

    def __init__(
        self,
        *args: Any,
        layout: str | None = None,
        joint_map: Mapping[str, str | Sequence[str]] | None = None,
        point_offset: int | float = 0.5,
        **kwargs: Any,
    ) -> None:
        self._points: dict[str, Any] = dict(
            layout=layout, joint_map=joint_map, point_offset=point_offset
        )
        self._reader: PointReader | None = None
        super().__init__(*args, **kwargs)  # this loads the file

    @property
    def reader(self) -> PointReader:
        """How points are read; made while the host has the file open."""
        if self._reader is None:
            self._reader = self.reader_for(
                {**self._points, "metainfo": self._metainfo},
                list(self.coco.cats.values()),
                self.ann_file,
            )
            self._metainfo.update(
                self._reader.metainfo, joint_map=dict(self._points["joint_map"] or {})
            )
        return self._reader

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The host's instances, each with its points and identity."""
        # The host leaves annotations out, and hands their outline through as it is: an annotation
        # in the outline's place says which one an instance is.
        reader = self.reader  # though there may be nothing to read: it tells what the points are
        own = [{**one, "segmentation": one} for one in raw_data_info["raw_ann_info"]]
        info = super().parse_data_info({**raw_data_info, "raw_ann_info": own})
        for instance in info["instances"]:
            annotation = instance.pop("mask")
            if annotation.get("segmentation"):
                instance["mask"] = annotation["segmentation"]
            known = identity(annotation)
            instance["instance_id"] = UNKNOWN if known is None else known
            points = reader.points(annotation)
            if points is not None:
                instance["keypoints"] = points
        return info

    def get_data_info(self, idx: SupportsIndex) -> dict[str, Any]:
        """The host's, and what transforms want to know of the points."""
        info = super().get_data_info(idx)
        return {**info, **self.reader.told_to_transforms} if self._reader else info
