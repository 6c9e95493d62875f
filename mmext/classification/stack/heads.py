"""From a backbone's map to class scores: pooling, one linear layer, loss and prediction."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmext.classification.stack.samples import ClsDataSample, targets
from mmext.registry import MODELS

Features = Tensor | Sequence[Tensor]


def pooled(feats: Features) -> Float[Tensor, "B C"]:
    """The last of a backbone's outputs, averaged over its places if it is a map."""
    last = feats if isinstance(feats, Tensor) else feats[-1]
    return last.mean((2, 3)) if last.dim() == 4 else last


class ClsHead(BaseModule):
    """Loss and prediction of whatever gives logits; a subclass writes ``forward``.

    Args:
        num_classes: classes that it tells apart.
        loss: config of the loss; cross-entropy if None.
        init_cfg: mmengine's.
    """

    def __init__(
        self, num_classes: int, loss: dict | None = None, init_cfg: Any | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.loss_module = MODELS.build(loss or dict(type="mmext.CrossEntropyLoss"))
        has = getattr(self.loss_module, "num_classes", num_classes)
        if has != num_classes:
            raise ValueError(
                f"{type(self).__name__}: expected a loss for its {num_classes} classes, got "
                f"{type(self.loss_module).__name__} for {has}; set both to the same number"
            )

    def forward(self, feats: Features) -> Float[Tensor, "B K"]:
        """Logits of each class."""
        raise NotImplementedError

    def loss(self, feats: Features, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """The loss under the name that it gives itself, ``loss_cls`` otherwise."""
        cls_score = self(feats)
        target = targets(data_samples)
        if not cls_score.is_cuda and not target.is_floating_point() and len(target):
            self._refuse_wrong(target)
        name = getattr(self.loss_module, "loss_name", "loss_cls")
        return {name: self.loss_module(cls_score, target)}

    def _refuse_wrong(self, target: Tensor) -> None:
        """A sentence instead of torch's, where looking costs no wait for a device."""
        ignored = getattr(self.loss_module, "ignore_index", -100)
        wrong = target[((target < 0) | (target >= self.num_classes)) & (target != ignored)]
        if len(wrong):
            raise ValueError(
                f"{type(self).__name__}: expected labels from 0 to {self.num_classes - 1}, got "
                f"{int(wrong[0])}; set num_classes of the head to the number of classes of the data"
            )

    def predict(self, feats: Features, data_samples: Sequence[Any] | None) -> list[Any]:
        """The samples with ``pred_score`` and ``pred_label``; new ones where none are given."""
        cls_score = self(feats).float()
        # What a loss compares decides what a score is: classes with each other, or each with none.
        each = getattr(self.loss_module, "use_sigmoid", False)
        scores = cls_score.sigmoid() if each else cls_score.softmax(-1)
        samples = data_samples or [ClsDataSample() for _ in scores]
        for sample, score, label in zip(samples, scores, scores.argmax(1, True), strict=True):
            sample.pred_score, sample.pred_label = score, label
        return list(samples)


@MODELS.register_module()
class LinearClsHead(ClsHead):
    """Global average pooling and one linear layer.

    Args:
        num_classes: classes that it tells apart.
        in_channels: of the backbone's last output.
        loss: config of the loss; cross-entropy if None.
        dropout: share of the pooled features that training sets to zero.
        init_cfg: mmengine's; None draws weights with a deviation of 0.01 and takes the biases from
            which the loss wants to start.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: dict | None = None,
        dropout: float = 0.0,
        init_cfg: Any | None = None,
    ) -> None:
        super().__init__(num_classes, loss, init_cfg)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)
        if init_cfg is None:
            start = getattr(self.loss_module, "initial_bias", None)
            bias = start(num_classes) if start else 0.0
            self.init_cfg = dict(type="Normal", layer="Linear", std=0.01, bias=bias)

    def forward(self, feats: Features) -> Float[Tensor, "B K"]:
        """Logits of each class."""
        return self.fc(self.dropout(pooled(feats)))
