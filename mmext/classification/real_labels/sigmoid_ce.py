"""Sigmoid cross-entropy: each class is a question of its own, and a picture may have several."""

import math

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmext.functional import at_least_float32, reduce_loss
from mmext.registry import MODELS


def sigmoid_cross_entropy(
    cls_score: Float[Tensor, "N K"], target: Int[Tensor, " N"] | Float[Tensor, "N K"]
) -> Float[Tensor, " N"]:
    """Binary cross-entropy summed over classes: sum_k softplus(z_k) - t_k z_k.

    Args:
        cls_score: logits z.
        target: one label, or t from 0 to 1 for each class.
    """
    z = at_least_float32(cls_score)
    if target.is_floating_point():
        return (F.softplus(z) - target * z).sum(1)
    return F.softplus(z).sum(1) - z.gather(1, target[:, None]).squeeze(1)


def first_loss(num_classes: int) -> float:
    """The loss of a net whose logits are all -log K, with one label a picture.

    Example:
        >>> round(first_loss(1000), 4), round(first_loss(10), 4)
        (7.9073, 3.2557)
    """
    return math.log1p(num_classes) + (num_classes - 1) * math.log1p(1 / num_classes)


@MODELS.register_module()
class SigmoidCELoss(nn.Module):
    """Sigmoid cross-entropy, summed over classes and averaged over pictures.

    Libraries that average over classes too give a loss K times smaller: multiply their rate, or
    ``loss_weight`` here, by what that makes. A head starts its biases at :meth:`initial_bias`.

    Args:
        loss_weight: factor of the loss.
        loss_name: key of the loss in the log.
        use_sigmoid: True, as some heads want to be told; a softmax is another loss.
    """

    def __init__(
        self, loss_weight: float = 1.0, loss_name: str = "loss_bce", use_sigmoid: bool = True
    ) -> None:
        super().__init__()
        if not use_sigmoid:
            raise ValueError(
                "SigmoidCELoss: expected use_sigmoid=True, got False; take mmext.CrossEntropyLoss "
                "for a softmax"
            )
        self.loss_weight, self.loss_name, self.use_sigmoid = loss_weight, loss_name, True

    @staticmethod
    def initial_bias(num_classes: int) -> float:
        """The bias with which a net of many classes does not begin by unlearning: -log K."""
        return -math.log(num_classes)

    def forward(
        self,
        cls_score: Float[Tensor, "N K"],
        target: Int[Tensor, " N"] | Float[Tensor, "N K"],
        weight: Float[Tensor, " N"] | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The mean over pictures, or as the arguments say.

        Args:
            cls_score: logits.
            target: one label a picture, or 0 to 1 for each class.
            weight: a factor for each picture.
            avg_factor: what the sum is divided by instead of the number of pictures.
            reduction_override: ``none``, ``mean`` or ``sum``.
        """
        loss = sigmoid_cross_entropy(cls_score, target)
        return self.loss_weight * reduce_loss(
            loss, weight, reduction=reduction_override or "mean", avg_factor=avg_factor
        )
