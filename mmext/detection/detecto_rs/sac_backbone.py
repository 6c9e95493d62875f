"""Any backbone with switchable atrous convolutions, by a config."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule, kaiming_init
from torch import Tensor

from mmext.detection.detecto_rs.convert import convert_to_sac
from mmext.detection.detecto_rs.initialisation import additions, loads_of
from mmext.detection.detecto_rs.recursive import below_backbone
from mmext.detection.detecto_rs.sac import SAC, keep_identity
from mmext.registry import MODELS


@MODELS.register_module()
class SACBackbone(BaseModule):
    """Any backbone, with SACs in place of some convolutions; at first it computes what it did.

    Files of the plain backbone, or of a detector with it, load as they are: a switchable
    convolution that loads a plain one's weight acts as that. For feedback too, put it into
    ``mmext.RFPFeedback``, where the modules' names begin with ``backbone.``.

    Args:
        backbone: config of the backbone.
        select: patterns of the convolutions' names, such as ``"layer[5-7].*"``; by default all
            3 x 3 ones that can be replaced. See :func:`convert_to_sac`.
        use_deform: see :class:`SAC`.
        backend: see :class:`SAC`.
        init_cfg: of mmengine; the backbone has its own.

    Raises:
        ValueError: nothing is selected, or what is selected cannot be replaced.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        *,
        select: str | Sequence[str] | None = None,
        use_deform: bool = False,
        backend: str = "auto",
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        plain = MODELS.build(backbone)
        self.backbone = convert_to_sac(plain, select, use_deform=use_deform, backend=backend)
        self.register_load_state_dict_pre_hook(below_backbone)

    def init_weights(self) -> None:
        """Start the backbone in its own way; the switchable convolutions act as plain ones.

        What a file brings is left as it is, whoever loads it.
        """
        if self.is_init:
            return
        with loads_of(self.backbone) as loaded:
            super().init_weights()
        for name, module in self.backbone.named_modules():
            if isinstance(module, SAC) and f"{name}.weight" not in loaded:
                # mmengine finds layers by their class's name, and so passes these by.
                kaiming_init(module)
        keep_identity(self.backbone, loaded)

    def train(self, mode: bool = True) -> "SACBackbone":
        """Switch the mode; hosts freeze stages anew here, but not what the paper adds to them."""
        kept = {p: p.requires_grad for _, p in additions(self.backbone)}
        super().train(mode)
        for parameter, wanted in kept.items():
            parameter.requires_grad_(wanted)
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The backbone's maps."""
        return tuple(self.backbone(x))
