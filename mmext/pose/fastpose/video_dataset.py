"""Videos of objects with keypoints and identities.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      mmdet's BaseVideoDataset passes over keypoints, and puts an object's place in the list
          where the file says identity 0; this one keeps both
Host      mmdet.BaseVideoDataset: its samplers, its clips and TrackDataPreprocessor
Deviates  a region to be ignored is a polygon in the files and its box here; the polygon is in
          ``ignore_regions``
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

from mmdet.datasets import BaseVideoDataset
from mmengine.logging import print_log

from mmext.errors import BadInputError, some
from mmext.pose.fastpose import annotations, video_files
from mmext.pose.fastpose.annotations import UNKNOWN, PointReader, ReadsPoints, identity
from mmext.pose.fastpose.video_files import Entry, Video
from mmext.registry import DATASETS


@DATASETS.register_module()
class PoseVideoDataset(ReadsPoints, BaseVideoDataset):
    """mmdet's BaseVideoDataset on files with keypoints, PoseTrack's of 2018 and 2021 among them.

    A frame has ``frame_id``, its place in the video from 0 as mmdet's trackers count,
    ``frame_number``, the file's own number, by which time is measured, and ``ignore_regions``. An
    instance has ``keypoints`` (K, 3), ``instance_id``, a number of its own for each identity of
    each video, from 0, or -1 if unknown, ``track_id``, the file's own number, and ``head_box`` if
    the file has it. A ``person_id``, as in PoseTrack21, is one identity in all videos. Frames that
    nobody labelled are left out in training.

    Args:
        *args: the host's. ``ann_file`` may be a folder with one file a video; ``data_prefix`` names
            the pictures' folder ``img_path``.
        layout, joint_map, point_offset: as in :class:`PoseCocoDataset`. PoseTrack's points are
            no numbers of pixels, so nothing is added to them.
        visible_from: the v that means visible. Give 1 for PoseTrack, which writes 1 for what is
            visible, 0 for what is hidden, and three zeros for what nobody marked.
        single_frames: whether a picture without a video is a video of one frame, and an object
            without an identity the only one of its kind. A clip is then a picture beside altered
            copies of itself, from which embeddings can be learned without videos.
        **kwargs: the host's.

    Raises:
        BadInputError: a frame is listed twice, an identity stands twice in one frame, an image
            belongs to no video, or numbers of keypoints differ.
    """

    # what mmext verify asks
    videos_of = staticmethod(video_files.videos_of)
    each_a_video = staticmethod(video_files.each_a_video)
    oddities = staticmethod(video_files.oddities)
    regions = staticmethod(video_files.regions)
    identity = staticmethod(identity)

    def __init__(
        self,
        *args: Any,
        layout: str | None = None,
        joint_map: Mapping[str, str | Sequence[str]] | None = None,
        point_offset: int | float = 0.0,
        visible_from: int = 2,
        single_frames: bool = False,
        **kwargs: Any,
    ) -> None:
        self.single_frames = single_frames
        self._points: dict[str, Any] = dict(
            layout=layout,
            joint_map=joint_map,
            point_offset=point_offset,
            visible_from=visible_from,
        )
        self._reader: PointReader | None = None
        self._identities: dict[Any, int] = {}
        super().__init__(*args, **kwargs)  # this loads the files

    @property
    def num_identities(self) -> int:
        """How many identities the files name, over all videos."""
        self.full_init()
        return len(self._identities)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the files into videos."""
        files = video_files.read(self.ann_file)
        self._open(files[0])
        videos = []
        for data in files:
            if self.single_frames:
                data = video_files.each_a_video(data)
            found = video_files.videos_of(data)
            for sentence in video_files.oddities(data, found):
                print_log(sentence, "current", logging.WARNING)
            videos += found
        self._check_ids(videos)
        parsed = [self.parse_video(video) for video in videos]
        self._metainfo["num_identities"] = len(self._identities)
        print_log(
            f"{self.ann_file}: {len(self._identities)} identities in {len(videos)} videos",
            "current",
            logging.INFO,
        )
        return parsed

    def _open(self, data: Entry) -> None:
        """Set classes and points by the file's categories."""
        self._reader = self.reader_for(
            {**self._points, "metainfo": self._metainfo}, data["categories"], self.ann_file
        )
        self._metainfo.update(
            self._reader.metainfo, joint_map=dict(self._points["joint_map"] or {})
        )
        classes = self.metainfo["classes"]
        self.cat_ids = [one["id"] for one in data["categories"] if one["name"] in classes]
        self.cat2label = {one: label for label, one in enumerate(self.cat_ids)}

    def _check_ids(self, videos: Sequence[Video]) -> None:
        for what, ids in {
            "video": [video.key for video in videos],
            "image": [frame["id"] for video in videos for frame in video.frames],
        }.items():
            if len(set(ids)) < len(ids):
                twice = next(one for one in ids if ids.count(one) > 1)
                raise BadInputError(
                    f"{self.ann_file}: expected each {what} in one file, got {what} {twice} in two;"
                    " remove one of them"
                )

    def parse_video(self, video: Video) -> dict[str, Any]:
        """A video as the host lists it."""
        images = []
        for place, (frame, found) in enumerate(zip(video.frames, video.annotations, strict=True)):
            own = {**frame, "img_id": frame["id"], "frame_id": place}
            own.update(video_id=video.key, frame_number=video_files.number(frame))
            images.append(self.parse_data_info(dict(raw_img_info=own, raw_ann_info=found)))
        return dict(video_id=video.key, images=images, video_length=len(images))

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """The host's instances, each with its points and identity, and the regions to ignore."""
        frame = raw_data_info["raw_img_info"]
        size = {side: frame.get(side) or float("inf") for side in ("width", "height")}
        own = [completed(one, self._reader) for one in raw_data_info["raw_ann_info"]]
        # The host hands an outline through as it is: an annotation in its place says which one an
        # instance is, though the host leaves some out.
        given = [{**one, "segmentation": one} for one in own if one]
        info = super().parse_data_info(dict(raw_img_info={**frame, **size}, raw_ann_info=given))
        for instance in info["instances"]:
            self._tell(instance, instance.pop("mask"), frame["video_id"])
        for side in [side for side in size if not frame.get(side)]:
            del info[side]  # the file does not say it, and no transform asks
        info["ignore_regions"] = video_files.regions(frame)
        info["instances"] += [ignored(one) for one in info["ignore_regions"]]
        return info

    def _tell(self, instance: dict[str, Any], annotation: Entry, video: Any) -> None:
        """Write what the host passes over into an instance."""
        known = identity(annotation)
        instance["instance_id"] = UNKNOWN
        instance["track_id"] = UNKNOWN if known is None else known
        if known is not None:
            # Numbers of a video mean nothing in another, and a loss over identities wants each
            # once. PoseTrack21 has numbers of people that hold in all videos.
            person = annotation.get("person_id")
            whose = (video, known) if person is None else ("person", person)
            instance["instance_id"] = self._identities.setdefault(whose, len(self._identities))
        points = self._reader.points(annotation) if self._reader else None
        if points is not None:
            instance["keypoints"] = points
        if annotation.get("bbox_head"):
            x, y, w, h = annotation["bbox_head"]
            instance["head_box"] = [x, y, x + w, y + h]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out what cannot be learned from: frames that nobody labelled, small or empty ones.

        Raises:
            BadInputError: nothing is left.
        """
        if self.test_mode:
            return self.data_list
        wants = self.filter_cfg or {}
        least, no_empty = wants.get("min_size", 32), wants.get("filter_empty_gt", True)
        kept = []
        for video in self.data_list:
            images = [
                one
                for one in video["images"]
                if (one.get("is_labeled", True) or one.get("has_labeled_person"))
                and (one["instances"] or not no_empty)
                and min(one.get("width", least), one.get("height", least)) >= least
            ]
            if images:
                kept.append({**video, "images": images, "video_length": len(images)})
        if not kept:
            raise BadInputError(
                f"{self.ann_file}: expected frames with objects of {some(self.metainfo['classes'])}"
                f", got none among {sum(len(one['images']) for one in self.data_list)} frames; "
                "correct the classes, or set filter_cfg=dict(filter_empty_gt=False)"
            )
        return kept

    def get_data_info(self, idx: SupportsIndex) -> dict[str, Any]:
        """The host's, with what transforms want to know of the points in each frame."""
        info = super().get_data_info(idx)
        told = self._reader.told_to_transforms if self._reader else {}
        return {**info, "images": [{**one, **told} for one in info["images"]]}


def completed(annotation: Entry, reader: PointReader | None) -> dict[str, Any] | None:
    """An annotation with box and area, which PoseTrack's may lack; None if it has no place."""
    box = annotation.get("bbox")
    if not box:
        points = reader.points(annotation) if reader else None
        around = None if points is None else annotations.box_around(points)
        if around is None:
            return None
        left, top, right, bottom = around
        box = [left, top, right - left, bottom - top]
    area = annotation.get("area")
    return {**annotation, "bbox": box, "area": box[2] * box[3] if area is None else area}


def ignored(region: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """An instance to ignore, around a region."""
    xs, ys = zip(*region, strict=True)
    return dict(
        bbox=[min(xs), min(ys), max(xs), max(ys)],
        bbox_label=0,
        ignore_flag=1,
        instance_id=UNKNOWN,
        track_id=UNKNOWN,
    )
