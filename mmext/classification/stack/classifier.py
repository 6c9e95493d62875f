"""A backbone, perhaps a neck, and a head, in mmengine's three modes."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModel, ImgDataPreprocessor
from torch import Tensor

from mmext.registry import MODELS


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A classifier of whole pictures.

    Args:
        backbone: config of a module that gives a map, features, or a tuple whose last one counts.
        head: config of a part with ``forward``, ``loss`` and ``predict``.
        neck: config of a module between the two.
        data_preprocessor: config; mmengine's ``ImgDataPreprocessor`` if it names no type, which
            pads pictures of a batch to the largest.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: Any | None = None,
    ) -> None:
        preprocessor: Any = data_preprocessor or {}
        if isinstance(preprocessor, dict):
            preprocessor = {"type": ImgDataPreprocessor, **preprocessor}
        super().__init__(preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.head = MODELS.build(head)

    def extract_feat(self, inputs: Tensor) -> Any:
        """What the head gets of a batch (B, C, H, W)."""
        feats = self.backbone(inputs)
        return feats if self.neck is None else self.neck(feats)

    def forward(
        self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Logits, losses or samples with predictions.

        Args:
            inputs: pictures as the preprocessor makes them.
            data_samples: one a picture; needed for losses.
            mode: ``tensor``, ``loss`` or ``predict``.

        Raises:
            ValueError: another mode.
        """
        feats = self.extract_feat(inputs)
        if mode == "tensor":
            return self.head(feats)
        if mode == "loss":
            return self.head.loss(feats, data_samples)
        if mode == "predict":
            return self.head.predict(feats, data_samples)
        raise ValueError(f"mode must be tensor, loss or predict, got {mode!r}; give one of these")
