"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.pose.fastpose import (  # noqa: F401  registers the parts
    coco_dataset,
    keypoint_metric,
    packing,
    scale_range,
    transforms,
    video_dataset,
)
