"""IoU-balanced losses: a positive counts by how well its predicted box fits.

Paper     Wu et al. 2019, https://arxiv.org/abs/1908.05641
Idea      Positives are weighted by IoU**eta in classification and by IoU**lam in localisation.
Host      mmdet 3.x (drop-in for its RetinaHead, SSDHead, ATSSHead, FCOSHead and ConvFCBBoxHead
          family)
Deviates  balance.py marks each difference with DEVIATION; the folder README lists them.
Letters   P positives of one step, S scopes (sets of positives that share a normaliser), K classes;
          iou is that of the decoded prediction with its ground truth, in [0, 1]; boxes xyxy in
          pixels
"""

from mmext.detection.iou_balanced.losses import iou_balanced_weight
from mmext.registry import parts_of

__all__ = ["iou_balanced_weight"]

__getattr__ = parts_of(__name__)
