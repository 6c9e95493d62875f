"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.pose.fastpose import (  # noqa: F401  registers the parts
    coco_dataset,
    keypoint_head,
    keypoint_metric,
    packing,
    posetrack_metric,
    reid_head,
    roi_head,
    scale_range,
    scale_tta,
    snip_assigner,
    tracker,
    transforms,
    video_dataset,
    video_model,
    vis_hook,
)
