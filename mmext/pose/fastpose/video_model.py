"""FastPose: a detector with poses and embeddings, and its tracker, on videos.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      one network gives boxes, poses and embeddings; the tracker needs no other
Host      mmdet.BaseMOTModel, its TrackDataPreprocessor and tools/test_tracking.py
Letters   B clips; T frames of each
"""

from typing import Any

from mmdet.models.mot import BaseMOTModel
from mmdet.registry import MODELS as HOST_MODELS
from mmdet.structures import DetDataSample, TrackDataSample
from torch import Tensor

from mmext.errors import BadInputError
from mmext.registry import MODELS


@MODELS.register_module()
class FastPose(BaseMOTModel):
    """Tracks poses with a two-stage detector.

    Args:
        detector: config of any two-stage detector of mmdet, with ``mmext.MTNRoIHead`` for poses
            and embeddings.
        tracker: config of a tracker; needed for predictions alone.
        data_preprocessor: ``mmdet.TrackDataPreprocessor``.
        init_cfg: as the host's.

    Raises:
        BadInputError: the detector has one stage.
    """

    def __init__(
        self,
        detector: dict[str, Any],
        tracker: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.detector = HOST_MODELS.build(detector)
        if not hasattr(self.detector, "roi_head"):
            raise BadInputError(
                "detector: expected one with a roi_head, where poses are found, got "
                f"{type(self.detector).__name__}; take mmdet.FasterRCNN, or give its boxes to "
                "mmext track"
            )
        self.tracker = HOST_MODELS.build(tracker) if tracker else None

    def loss(
        self,
        inputs: Tensor,
        data_samples: list[TrackDataSample] | list[DetDataSample],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The detector's losses of all frames of clips (B, T, C, H, W), or of pictures, 4D."""
        if inputs.ndim == 4:  # from a preprocessor with use_det_processor
            return self.detector.loss(inputs, data_samples, **kwargs)
        frames = [frame for clip in data_samples for frame in clip.video_data_samples]
        return self.detector.loss(inputs.flatten(0, 1), frames, **kwargs)

    def predict(
        self, inputs: Tensor, data_samples: list[TrackDataSample], **kwargs: Any
    ) -> list[TrackDataSample]:
        """Write ``pred_track_instances`` into each frame of one clip (1, T, C, H, W).

        Raises:
            BadInputError: there is more than one clip, or no tracker.
        """
        if len(data_samples) != 1:
            raise BadInputError(
                f"expected one video at a time, got {len(data_samples)}; set batch_size=1 in "
                "test_dataloader"
            )
        if self.tracker is None:
            raise BadInputError(
                "expected a tracker for predictions, got none; set "
                "tracker=dict(type='mmext.OcclusionAwareTracker')"
            )
        for index, frame in enumerate(data_samples[0].video_data_samples):
            found = self.detector.predict(inputs[:, index].contiguous(), [frame], **kwargs)
            frame.pred_track_instances = self.tracker.track(
                model=self, img=inputs[:, index], data_sample=found[0]
            )
        return data_samples
