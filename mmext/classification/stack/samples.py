"""What a data set says of a picture and a model answers, under the names that metrics look for."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from mmengine.structures import BaseDataElement
from torch import Tensor


class ClsDataSample(BaseDataElement):
    """The label of one picture, and what a model says of it.

    Fields: ``gt_label`` (1,), ``gt_score`` (K,) where classes are mixed, ``pred_score`` (K,),
    ``pred_label`` (1,).
    """

    def set_gt_label(self, label: int | Sequence[int] | Tensor) -> "ClsDataSample":
        """Set the class, or the classes if it has several."""
        self.gt_label = torch.as_tensor(label, dtype=torch.long).reshape(-1)
        return self

    def set_gt_score(self, score: Any) -> "ClsDataSample":
        """Set a target for each class: a mixture of labels, or 0 and 1 where there are several."""
        self.gt_score = torch.as_tensor(score, dtype=torch.float32)
        return self

    def set_pred_score(self, score: Float[Tensor, " K"]) -> "ClsDataSample":
        """Set the score of each class, and the class of the best one."""
        self.pred_score = score
        self.pred_label = score.argmax(keepdim=True)
        return self


def targets(samples: Sequence[Any]) -> Int[Tensor, " B"] | Float[Tensor, "B K"]:
    """The labels of a batch, or the scores if its samples have some; of any class of samples.

    Raises:
        ValueError: a sample has none of the two, or several labels and no score.
    """
    if all("gt_score" in sample for sample in samples):
        return torch.stack([sample.gt_score for sample in samples])
    labels = [sample.gt_label for sample in samples if "gt_label" in sample]
    if len(labels) != len(samples) or any(label.numel() != 1 for label in labels):
        raise ValueError(
            "expected one gt_label for each sample, or a gt_score for each, got samples with none "
            "or several labels; see that the data set has labels, and give several as gt_score"
        )
    return torch.cat([label.reshape(1) for label in labels])
