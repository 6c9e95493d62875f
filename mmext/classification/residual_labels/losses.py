"""Residual labels as losses for every host, and the control that learns nothing."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmext.classification.residual_labels.residual import residual_label_loss
from mmext.functional import reduce_loss
from mmext.registry import MODELS

UPDATES = ("all", "error")


class _WithResidual(nn.Module):
    """What both losses share: the hosts' interface around :func:`residual_label_loss`."""

    def __init__(
        self,
        num_classes: int,
        alpha: float = 0.3,
        ignore_index: int = -100,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        loss_name: str = "loss_residual",
        use_sigmoid: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if use_sigmoid:
            raise ValueError(
                f"{name} is defined on a softmax over all classes: use_sigmoid must be False, got "
                "True; a head of sigmoids needs another loss"
            )
        if num_classes < 2:
            raise ValueError(f"num_classes of {name} must be at least 2, got {num_classes}")
        if alpha < 0:
            raise ValueError(f"alpha of {name} must be at least 0, got {alpha}")
        self.num_classes = num_classes
        self.alpha = alpha
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key under which mmseg logs the loss."""
        return self._loss_name

    def extra_repr(self) -> str:
        """What the printed model says of it."""
        return f"num_classes={self.num_classes}, alpha={self.alpha}"

    def forward(
        self,
        cls_score: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | float | Tensor | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """Return the weighted, reduced loss.

        Args:
            cls_score: (N, C) or (N, C, H, W) logits.
            target: (N,) or (N, H, W) classes; or (N, C) coefficients of at most two classes each,
                as mixup and CutMix make them.
            weight: factor of each sample or pixel.
            avg_factor: what ``mean`` divides by; without it all samples, ignored ones too.
            reduction_override: replaces ``reduction`` in this call.
            ignore_index: replaces the loss's own in this call.

        Raises:
            ValueError: logits, targets and ``num_classes`` do not go together.
        """
        self._check_shapes(cls_score, target)
        ignored = self.ignore_index if ignore_index is None else ignore_index
        # One label a sample, or two and how much each counts.
        share, labels = _two_labels(target) if target.is_floating_point() else (None, [target])
        found = [self._per_sample(cls_score, label, ignored) for label in labels]
        net, update, counted = (
            sum(one if share is None else one * share[i] for i, one in enumerate(several))
            for several in zip(*found, strict=True)
        )
        scale = None if weight is None else weight.flatten().to(net.dtype)
        how: dict[str, Any] = dict(
            reduction=reduction_override or self.reduction, avg_factor=avg_factor
        )
        loss = reduce_loss(net, scale, **how) + self._of_matrix(update, counted, scale, how)
        return self.loss_weight * loss

    def _per_sample(
        self, cls_score: Tensor, target: Tensor, ignored: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of the net, loss of the matrix, and whether the matrix learns from the sample."""
        matrix = self._matrix_for(cls_score)
        net, update = residual_label_loss(
            cls_score, target, matrix, self.alpha, ignore_index=ignored
        )
        counted = self._moves_matrix(cls_score.detach(), target) & (target != ignored)
        counted = counted.flatten().to(net.dtype)
        return net.flatten(), update.flatten() * counted, counted

    def _matrix_for(self, cls_score: Tensor) -> Tensor:
        raise NotImplementedError

    def _moves_matrix(self, cls_score: Tensor, target: Tensor) -> Tensor:
        return torch.ones_like(target, dtype=torch.bool)

    def _of_matrix(
        self, update: Tensor, counted: Tensor, weight: Tensor | None, how: dict[str, Any]
    ) -> Tensor:
        raise NotImplementedError

    def _check_shapes(self, cls_score: Tensor, target: Tensor) -> None:
        shape, name = tuple(cls_score.shape), type(self).__name__
        if cls_score.dim() < 2 or shape[1] != self.num_classes:
            raise ValueError(
                f"{name} with num_classes={self.num_classes} needs logits (N, {self.num_classes}) "
                f"or (N, {self.num_classes}, H, W), got {shape}; give it the head's number of "
                "channels, which for mmdet's box heads is num_classes + 1"
            )
        labels = shape[:1] + shape[2:]
        if tuple(target.shape) != (shape if target.is_floating_point() else labels):
            raise ValueError(
                f"{name} needs a class for each sample {labels}, or coefficients {shape}, got "
                f"{target.dtype} {tuple(target.shape)}"
            )


@MODELS.register_module()
class ResidualLabelLoss(_WithResidual):
    """Cross-entropy with a residual label that is learnt while the net is.

    The matrix is a parameter, ``residual_matrix``: the net's optimiser moves it, checkpoints hold
    it. Leave weight decay off it: ``paramwise_cfg=dict(custom_keys={"residual_matrix":
    dict(decay_mult=0.0)})``.

    Args:
        num_classes: C; for mmdet's box heads one more than theirs, since background is a class.
        alpha: weight of both residual terms; 1 where labels are noisy.
        update_on: ``all`` samples move the matrix, as in the paper, or those whose arg max is not
            the target (``error``), with their own mean; better where labels are noisy.
        ignore_index: a target whose sample loses nothing.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: factor on the result.
        loss_name: mmseg's key of the log.
        use_sigmoid: kept for mmdet's configs; must be false.

    Raises:
        ValueError: an option that does not exist, fewer than two classes, a negative ``alpha``, or
            ``use_sigmoid``.
    """

    def __init__(
        self,
        num_classes: int,
        alpha: float = 0.3,
        update_on: str = "all",
        ignore_index: int = -100,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        loss_name: str = "loss_residual",
        use_sigmoid: bool = False,
    ) -> None:
        super().__init__(
            num_classes, alpha, ignore_index, reduction, loss_weight, loss_name, use_sigmoid
        )
        if update_on not in UPDATES:
            raise ValueError(
                f"update_on of ResidualLabelLoss must be one of {UPDATES}, got {update_on!r}"
            )
        self.update_on = update_on
        # At 0 every wrong class is as likely as the next one, which is the control's label.
        self.residual_matrix = nn.Parameter(torch.zeros(num_classes, num_classes))

    def extra_repr(self) -> str:
        """What the printed model says of it."""
        return (
            f"{super().extra_repr()}, update_on={self.update_on!r}, "
            f"residual_matrix={tuple(self.residual_matrix.shape)}"
        )

    def _matrix_for(self, cls_score: Tensor) -> Tensor:
        return self.residual_matrix

    def _moves_matrix(self, cls_score: Tensor, target: Tensor) -> Tensor:
        if self.update_on == "all":
            return super()._moves_matrix(cls_score, target)
        # DEVIATION: Algorithm 1 lets every sample move the matrix. From errors alone a row learns
        # what its label is given to by mistake, which helps where labels are noisy.
        return cls_score.argmax(1) != target

    def _of_matrix(
        self, update: Tensor, counted: Tensor, weight: Tensor | None, how: dict[str, Any]
    ) -> Tensor:
        """The matrix's loss; from errors alone ``mean`` divides by their number over all ranks."""
        if self.update_on == "error" and how["reduction"] == "mean":
            number = (counted if weight is None else counted * weight).sum()
            all_reduce(number, op="mean")
            how = {**how, "avg_factor": number}
        return reduce_loss(update, weight, **how)


@MODELS.register_module()
class UniformResidualLoss(_WithResidual):
    """The control: the residual label is the same for all wrong classes, and nothing is learnt.

    Args:
        num_classes: C; for mmdet's box heads one more than theirs, since background is a class.
        alpha: weight of the residual term.
        ignore_index: a target whose sample loses nothing.
        reduction: ``none``, ``mean`` or ``sum``.
        loss_weight: factor on the result.
        loss_name: mmseg's key of the log.
        use_sigmoid: kept for mmdet's configs; must be false.

    Raises:
        ValueError: fewer than two classes, a negative ``alpha``, or ``use_sigmoid``.
    """

    def _matrix_for(self, cls_score: Tensor) -> Tensor:
        return cls_score.new_zeros(self.num_classes, self.num_classes)

    def _of_matrix(
        self, update: Tensor, counted: Tensor, weight: Tensor | None, how: dict[str, Any]
    ) -> Tensor:
        return update.new_zeros(())


def _two_labels(target: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Shares and classes of the two labels that are mixed in each row of coefficients (N, C)."""
    shares, labels = target.topk(2, 1)
    # Seen on a CPU; a GPU would have to be waited for.
    if target.device.type == "cpu" and not torch.allclose(shares.sum(1), target.sum(1), atol=1e-4):
        raise ValueError(
            "targets with coefficients must mix at most two classes each, as mixup and CutMix do, "
            f"got {int((target[0] != 0).sum())} in the first sample; leave label smoothing out, "
            "which the residual label takes the place of"
        )
    return [shares[:, 0], shares[:, 1]], [labels[:, 0], labels[:, 1]]
