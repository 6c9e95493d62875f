"""Table of contents: one import a paper. The registry loads this module and nothing else."""

from mmext.detection import atss, dnl  # noqa: F401  registers the parts
from mmext.detection.detecto_rs import (  # noqa: F401
    aws,
    backbone,
    feedback,
    neck,
    sac,
    sac_backbone,
)
from mmext.detection.gfl import head as gfl_head  # noqa: F401  registers the part
from mmext.detection.gfl import losses as gfl_losses  # noqa: F401  registers the parts
from mmext.detection.gfl import quality_atss, quality_fcos, quality_retina  # noqa: F401
from mmext.detection.gfl import v2 as gfl_v2  # noqa: F401  registers the part
from mmext.detection.iou_balanced import centerness_heads, dense_heads, roi_heads  # noqa: F401
from mmext.detection.sample_weighting import dense_heads as swn_dense_heads  # noqa: F401
from mmext.detection.sample_weighting import loss as swn_loss  # noqa: F401  registers the part
from mmext.detection.sample_weighting import mask as swn_mask  # noqa: F401  registers the part
from mmext.detection.sample_weighting import optimizer as swn_optimizer  # noqa: F401
from mmext.detection.sample_weighting import roi_heads as swn_roi_heads  # noqa: F401
from mmext.layers import em_attention  # noqa: F401  registers the plug-in
