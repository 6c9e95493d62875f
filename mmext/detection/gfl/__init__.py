"""Generalized Focal Loss, its second version, and the heads around them.

Paper     GFL, Li et al. 2020, https://arxiv.org/abs/2006.04388 (losses.py, head.py, quality*.py)
          GFL version 2, Li et al. 2020, https://arxiv.org/abs/2011.12885 (v2.py)
Idea      One score says class and box quality, one histogram a side says where the box ends; the
          shape of the histograms tells how good the box is. Positives are ATSS's
          (mmext/detection/atss.py).
Host      mmdet 3.x (drop-in for mmdet.GFLHead, QualityFocalLoss, DistributionFocalLoss;
          in place of mmdet.RetinaHead, ATSSHead, FCOSHead)
Deviates  each file marks its differences with DEVIATION; the folder README lists them.
Letters   B images, N or A anchors (all levels), P positives, K classes, R = reg_max + 1 bins a
          side.
"""

from mmext.detection.gfl.losses import distribution_focal_loss, integral, quality_focal_loss
from mmext.registry import parts_of

__all__ = ["distribution_focal_loss", "integral", "quality_focal_loss"]

__getattr__ = parts_of(__name__)
