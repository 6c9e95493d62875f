"""Pictures without labels: those of a folder, or the frames of a video."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmext.errors import BadInputError
from mmext.landmarks.stack.datasets import LandmarkFiles
from mmext.registry import DATASETS

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@DATASETS.register_module()
class VideoFrames(LandmarkFiles):
    """Unlabelled frames: pictures of the folder ``data_prefix["img_path"]``, or of a video there.

    Args:
        every: take each so many-th frame.
        num_keypoints: K; that of ``keypoint_names`` if None.
        **files_cfg: of :class:`~mmext.landmarks.stack.datasets.LandmarkFiles`.

    Raises:
        ValueError: another ``every``.
    """

    NEEDS_LABELS = False

    def __init__(self, every: int = 1, num_keypoints: int | None = None, **files_cfg: Any) -> None:
        if every < 1:
            raise ValueError(f"VideoFrames: expected every to be 1 or more, got {every}; change it")
        self.every, self.num_keypoints = every, num_keypoints
        super().__init__(**files_cfg)

    def read(self) -> Iterable[dict[str, Any]]:
        """A sample a frame.

        Raises:
            BadInputError: there is no such folder or video, or nothing in it.
        """
        path = Path(self.data_prefix["img_path"])
        count = self.num_keypoints or len(self._metainfo["keypoint_names"])
        nothing = {"keypoints": np.full((count, 2), np.nan), "labeled": False}
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
            if not found:
                raise BadInputError(
                    f"{path}: expected pictures, got an empty folder; put frames there that end in "
                    f"{', '.join(PICTURES)}, or name a video"
                )
            return [
                {"img_path": str(one), "key": one.name, **nothing} for one in found[:: self.every]
            ]
        video = cv2.VideoCapture(str(path))
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        video.release()
        if frames <= 0:
            raise BadInputError(
                f"{path}: expected a folder of pictures or a video, got neither; correct data_root "
                "and data_prefix"
            )
        return [
            {"img_path": str(path), "key": f"{path.name}#{n}", "frame_idx": n, **nothing}
            for n in range(0, frames, self.every)
        ]
