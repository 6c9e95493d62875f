"""Row of residual labels: logits of a segmentation head, eight crops of 256 x 512, 19 classes."""

import warnings

import torch
from mmseg.models.losses import CrossEntropyLoss

from mmext.classification.residual_labels.losses import ResidualLabelLoss

from .cases import Case, train


def loss(side: str) -> Case:
    """Residual labels against mmseg's cross-entropy, forward and backward."""
    warnings.filterwarnings("ignore", message="Default ``avg_non_ignore``")
    scores = torch.randn(8, 19, 256, 512, requires_grad=True)
    target = torch.randint(0, 19, (8, 256, 512))
    target[:, :8] = 255
    part = ResidualLabelLoss(19) if side == "ours" else CrossEntropyLoss()
    return train(lambda: part(scores, target, ignore_index=255), [scores, *part.parameters()])
