"""PoseTrackVisHook: pictures of tracked people, with skeletons and numbers, from a test.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Host      mmengine.Hook; mmdet's TrackVisualizationHook knows boxes alone
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook

from mmext.errors import BadInputError
from mmext.inference.outputs import save_picture
from mmext.inference.people import draw_people
from mmext.inference.reading import read_picture
from mmext.pose.fastpose import layouts
from mmext.registry import HOOKS


@HOOKS.register_module()
class PoseTrackVisHook(Hook):
    """Writes ``<work_dir>/<folder>/<video>/<frame>.jpg`` while a tracking model is tested.

    Args:
        interval: of a video's frames, draw every so many; frame 0 is the first.
        folder: below the work_dir.
        score_thr: people above it are drawn.
    """

    def __init__(
        self, *, interval: int = 1, folder: str = "tracked", score_thr: int | float = 0.0
    ) -> None:
        if interval < 1:
            raise BadInputError(f"interval: expected 1 or more, got {interval}; change it")
        self.interval, self.folder, self.score_thr = interval, folder, score_thr

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the frames of a batch."""
        self._draw(runner, runner.test_dataloader, outputs)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the frames of a batch."""
        self._draw(runner, runner.val_dataloader, outputs)

    def _draw(self, runner: Any, loader: Any, clips: Sequence[Any] | None) -> None:
        bones = getattr(loader.dataset, "metainfo", {}).get("skeleton")
        for frame in (one for clip in clips or () for one in clip.video_data_samples):
            meta = frame.metainfo
            if meta["frame_id"] % self.interval:
                continue
            people = list(people_of(frame.pred_track_instances, self.score_thr))
            number = len(people[0].get("keypoints", ())) // 3 if people else 0
            skeleton = layouts.usual_skeleton(number) if bones is None else bones
            picture = read_picture(Path(meta["img_path"]))
            place = Path(runner.work_dir, self.folder, str(meta.get("video_id", "video")))
            place.mkdir(parents=True, exist_ok=True)
            drawn = draw_people(picture, people, skeleton)
            save_picture(drawn, place / f"{meta.get('frame_number', meta['frame_id']):06}.jpg")


def people_of(found: Any, score_thr: int | float) -> Iterator[dict[str, Any]]:
    """Tracked instances, as they are drawn."""
    found = found[found.scores > score_thr].cpu()
    boxes = found.bboxes.double().numpy()
    visible = "keypoints_visible" if "keypoints_visible" in found else "keypoint_scores"
    for row, identity in enumerate(found.instances_id.tolist()):
        left, top, right, bottom = boxes[row].tolist()
        one: dict[str, Any] = dict(track_id=identity, bbox=[left, top, right - left, bottom - top])
        if "keypoints" in found:
            parts = found.keypoints[row].double().numpy(), found[visible][row].double().numpy()
            one["keypoints"] = np.concatenate([parts[0], parts[1][:, None]], 1).ravel().tolist()
        yield one
