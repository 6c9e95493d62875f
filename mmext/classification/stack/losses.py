"""Cross-entropy under the calling convention that all hosts' classification losses share."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmext.functional import at_least_float32, reduce_loss
from mmext.registry import MODELS


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Softmax cross-entropy, of labels or of mixtures of them.

    Args:
        label_smoothing: share of the target that is spread evenly over all classes.
        loss_weight: factor of the loss.
        ignore_index: a label that counts for nothing, neither in the sum nor in what it is divided
            by.
        loss_name: key of the loss in the log.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        loss_weight: float = 1.0,
        ignore_index: int = -100,
        loss_name: str = "loss_ce",
    ) -> None:
        super().__init__()
        self.label_smoothing, self.loss_weight = label_smoothing, loss_weight
        self.ignore_index, self.loss_name = ignore_index, loss_name

    def forward(
        self,
        cls_score: Float[Tensor, "B K"],
        target: Int[Tensor, " B"] | Float[Tensor, "B K"],
        weight: Float[Tensor, " B"] | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """The mean over the samples that count, or as the arguments say.

        Args:
            cls_score: logits.
            target: labels, or a score for each class.
            weight: a factor for each sample.
            avg_factor: what the sum is divided by instead of the number of samples.
            reduction_override: ``none``, ``mean`` or ``sum``.
            ignore_index: in place of the loss's own.
        """
        ignored = self.ignore_index if ignore_index is None else ignore_index
        loss = F.cross_entropy(
            at_least_float32(cls_score),
            target,
            reduction="none",
            ignore_index=ignored,
            label_smoothing=self.label_smoothing,
        )
        reduction = reduction_override or "mean"
        if avg_factor is None and reduction == "mean" and not target.is_floating_point():
            avg_factor = (target != ignored).sum().clamp_min(1)
        return self.loss_weight * reduce_loss(
            loss, weight, reduction=reduction, avg_factor=avg_factor
        )
