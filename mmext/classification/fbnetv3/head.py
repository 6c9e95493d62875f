"""FBNetV3's head: one more widening, pooling, a wide layer without a norm, and the classifier."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from mmcv.cnn import ConvModule
from mmengine.model import kaiming_init
from torch import Tensor, nn

from mmext.classification.fbnetv3.arch import FEATURES, architecture
from mmext.classification.fbnetv3.blocks import H_SWISH
from mmext.classification.stack.heads import ClsHead
from mmext.registry import MODELS


@MODELS.register_module()
class FBNetV3Head(ClsHead):
    """The head of an architecture, for the last map of :class:`FBNetV3` with the same ``arch``.

    Args:
        num_classes: classes that it tells apart.
        arch: as the backbone's.
        loss: config of the loss; cross-entropy if None.
        dropout: share of the 1,984 features that training sets to zero.
        norm_cfg: mmcv's setting of the norm.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        num_classes: int,
        arch: str | Mapping[str, Any] = "a",
        loss: dict | None = None,
        dropout: float = 0.0,
        norm_cfg: Mapping[str, Any] = dict(type="BN"),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_classes, loss, init_cfg)
        sizes = architecture(arch)
        self.in_channels = sizes.out_channels[-1]
        self.expand = ConvModule(
            self.in_channels,
            sizes.head_channels,
            1,
            norm_cfg=dict(norm_cfg),
            act_cfg=H_SWISH,
            inplace=False,
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.features = nn.Conv2d(sizes.head_channels, FEATURES, 1, bias=False)
        self.act = nn.Hardswish()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(FEATURES, num_classes)
        kaiming_init(self.features)

    def init_weights(self) -> None:
        """Draw weights as in the backbone; the classifier keeps PyTorch's, and the loss's bias."""
        super().init_weights()
        bias = getattr(self.loss_module, "initial_bias", 0.0)
        if bias and not self.init_cfg:
            nn.init.constant_(self.fc.bias, bias)

    def forward(self, feats: Tensor | Sequence[Tensor]) -> Float[Tensor, "B K"]:
        """Logits of each class.

        Raises:
            ValueError: the map is of another architecture.
        """
        last = feats if isinstance(feats, Tensor) else feats[-1]
        if last.dim() != 4 or last.shape[1] != self.in_channels:
            raise ValueError(
                f"FBNetV3Head needs a map of {self.in_channels} channels, got {tuple(last.shape)}; "
                "give backbone and head the same arch, and stage 4 as the last of out_indices"
            )
        features = self.act(self.features(self.pool(self.expand(last))))
        return self.fc(self.dropout(features.flatten(1)))
