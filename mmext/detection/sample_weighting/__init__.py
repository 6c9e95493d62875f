"""Sample weighting network (SWN): a small network learns how much each training sample counts.

Paper     Cai et al. 2020, https://arxiv.org/abs/2006.06568
Idea      From its IoU, score and losses each sample gets weights exp(-m) for classification, box
          and mask; the term lambda * m keeps the weights from vanishing. Nothing of it runs at test
          time.
Host      mmdet 3.x (box heads of R-CNN, StandardRoIHead with masks, RetinaHead; any box loss by a
          wrapper)
Deviates  each file marks its differences with DEVIATION; the folder README lists them.
Letters   N samples (RoIs or anchors), P positives, M negatives, K classes; m is a log variance,
          w = exp(-m)
"""

from mmext.detection.sample_weighting.predictor import clamp_log_variance, optimal_log_variance
from mmext.registry import parts_of

__all__ = ["clamp_log_variance", "optimal_log_variance"]

__getattr__ = parts_of(__name__)
