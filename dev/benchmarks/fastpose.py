"""Rows of FastPose: the loss over the cells of keypoints, and the tracker.

The keypoint loss is that of 64 positives with 17 points each, a quarter of a step's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmext.pose.fastpose.keypoints import cell_cross_entropy

from .cases import Case, train


def keypoint_head(side: str) -> Case:
    """Cross-entropy over 56 x 56 cells; "upstream": of maps in full size with one-hot targets."""
    maps = torch.randn(64, 17, 28, 28).requires_grad_()
    cell = torch.randint(0, 56 * 56, (64, 17))
    valid = torch.rand(64, 17) < 0.7

    def one_hot() -> Tensor:
        large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        target = F.one_hot(cell, 56 * 56).to(maps)
        return (-(target * large.flatten(2).log_softmax(2)).sum(2) * valid).sum() / valid.sum()

    def ours() -> Tensor:
        return cell_cross_entropy(maps, cell, valid).sum() / valid.sum()

    return train({"ours": ours, "upstream": one_hot}[side], [maps])
