"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.pose.fastpose import (  # noqa: F401
    keypoint_head,
    reid_head,
    roi_head,
    scale_tta,
    snip_assigner,
)
