"""What a detector finds in the frames of a video, for ``mmext track``."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmext.data_checks.needs import type_name
from mmext.engine.config import check_types, load_config
from mmext.errors import BadInputError
from mmext.inference.inputs import Clip, FolderClip, VideoClip, find_input
from mmext.inference.reading import Preparation, read_picture
from mmext.inference.tasks import Model, bones, build_model, predict
from mmext.pose.fastpose import layouts
from mmext.pose.fastpose.dumped import Seen
from mmext.pose.fastpose.state import arguments_of
from mmext.pose.fastpose.video_files import number


class ModelFrames:
    """The frames of a video, each with what a model finds in it.

    Args:
        args: with config, checkpoint and video as ``source``.
        labelled: a file's images, whose frame_id says which frame each is; None for none.

    Raises:
        BadInputError: the config is no detector's, or the input no video.
    """

    def __init__(self, args: argparse.Namespace, labelled: dict[str, Any] | None = None) -> None:
        config, checkpoint, video = args.source
        cfg = load_config(str(config), args.cfg_options)
        if cfg.get("default_scope") != "mmdet":
            raise BadInputError(
                f"{config}: expected a default_scope of mmdet, got {cfg.get('default_scope')!r}; "
                "give a config of a detector, best with mmext.MTNRoIHead, or of mmext.FastPose"
            )
        self.clip, self.name = clip_of(video), video.resolve().stem
        self.options = tracker_options(cfg)
        check_types(cfg)
        self.model = build_model(
            cfg, str(checkpoint), device=args.device, strict=not args.no_strict
        )
        if sigmas := self.model.dataset_meta["sigmas"]:
            self.options.setdefault("sigmas", sigmas)
        self.preparation = Preparation(picture_pipeline(cfg.test_pipeline), config)
        self.every = args.every
        self.labelled = {number(one): one for one in (labelled or {}).get("images", ())}

    def __iter__(self) -> Iterator[Seen]:
        for place in range(0, len(self.clip), self.every):
            picture, data = self.preparation.of_frame(self.clip[place])
            image = dict(id=place, video_id=self.name, frame_id=place)
            image.update(self.labelled.get(place, {}))
            yield Seen(self.name, place, image, arguments_of(found(self.model, data)), picture)

    @property
    def fps(self) -> float:
        """Of what is drawn."""
        return self.clip.fps / self.every

    def skeleton(self, num_points: int) -> Sequence[tuple[int, ...]]:
        """Lines between points: as the data set says, else as their number tells."""
        return bones(self.model.dataset_meta) or layouts.usual_skeleton(num_points)

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The classes, as COCO's files name them."""
        names = self.model.dataset_meta["classes"]
        return [dict(id=place, name=name) for place, name in enumerate(names)]


def clip_of(path: Path) -> Clip:
    """A video, or the pictures of a folder as one.

    Raises:
        BadInputError: it is neither.
    """
    source = find_input(path)
    if isinstance(source, VideoClip):
        return source
    if path.is_file():
        raise BadInputError(
            f"{path}: expected a video or a folder of frames, got a picture, in which nobody "
            "moves; give one of these"
        )
    return FolderClip(source, read_picture)


def tracker_options(cfg: Config) -> dict[str, Any]:
    """Those of a config's own tracker, if it is ours."""
    own = dict(cfg.model.get("tracker") or {})
    return own if own.pop("type", "").endswith("OcclusionAwareTracker") else {}


def picture_pipeline(pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps for a single picture: those for a clip's frames, packed one by one."""
    steps: list[dict[str, Any]] = []
    for step in pipeline:
        kind = type_name(step)
        if kind == "TransformBroadcaster":
            steps += step["transforms"]
        elif kind.startswith("Pack") and kind.endswith("TrackInputs"):
            steps.append(dict(type="mmext.PackPoseDetInputs"))
        else:
            steps.append(step)
    return steps


def found(model: Model, data: dict[str, Any]) -> Any:
    """The instances that a detector, or the detector of a tracking model, finds."""
    detector = getattr(model, "detector", None)
    if detector is None:
        return predict(model, data).pred_instances
    from mmdet.structures import TrackDataSample

    clip = TrackDataSample()
    clip.video_data_samples = [data["data_samples"]]
    with torch.no_grad():
        batch = model.data_preprocessor(
            dict(inputs=[data["inputs"][None]], data_samples=[clip]), training=False
        )
        return detector.predict(batch["inputs"][:, 0], clip.video_data_samples)[0].pred_instances
