"""Generalized Focal Loss: one score says class and box quality, one histogram a side says where the box ends.

Paper     Li et al. 2020, https://arxiv.org/abs/2006.04388
Idea      Classification is trained towards the IoU of the predicted box, box sides as distributions.
Host      mmdet 3.x (drop-in for mmdet.GFLHead, mmdet.QualityFocalLoss, mmdet.DistributionFocalLoss)
Deviates  losses.py and head.py mark each difference with DEVIATION.
Letters   B images, N or A anchors (all levels), P positives, K classes, R = reg_max + 1 bins a side.
"""

from mmext.detection.gfl.losses import distribution_focal_loss, integral, quality_focal_loss

__all__ = ["distribution_focal_loss", "integral", "quality_focal_loss"]
