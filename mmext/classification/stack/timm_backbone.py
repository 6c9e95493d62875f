"""Any of timm's nets as a backbone, where timm is installed: for mmdet, mmseg and classifiers."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from jaxtyping import Float
from mmengine.model import BaseModule
from torch import Tensor

from mmext.errors import BadInputError
from mmext.registry import MODELS


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Maps of one of timm's nets, by timm's names: ``type="mmext.TimmBackbone"`` in any host.

    What a neck or head needs to know of it is ``out_channels``. mmseg has such a part, mmdet has
    none.

    Args:
        model_name: timm's, such as ``resnet50.a1_in1k``.
        out_indices: which maps, the finest is 0; None takes all.
        in_channels: of the pictures.
        pretrained: whether timm fetches its own weights when the model is made.
        init_cfg: mmengine's, in place of them.
        **timm_cfg: further arguments of timm's ``create_model``.

    Raises:
        BadInputError: timm is missing, or the torchvision that it imports does not fit torch.
    """

    def __init__(
        self,
        model_name: str = "resnet50",
        out_indices: Sequence[int] | None = None,
        in_channels: int = 3,
        pretrained: bool = False,
        init_cfg: Any | None = None,
        **timm_cfg: Any,
    ) -> None:
        super().__init__(init_cfg)
        if out_indices is not None:
            timm_cfg["out_indices"] = tuple(out_indices)
        self.net = _timm().create_model(
            model_name,
            features_only=True,
            pretrained=pretrained,
            in_chans=in_channels,
            **timm_cfg,
        )

    @property
    def out_channels(self) -> list[int]:
        """Channels of each map."""
        return self.net.feature_info.channels()

    def init_weights(self) -> None:
        """Follow ``init_cfg`` if there is one: timm has drawn or fetched its weights already."""
        if self.init_cfg:
            super().init_weights()

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """The maps, the finest first."""
        return tuple(self.net(x))


def _timm() -> ModuleType:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision of another build: RuntimeError
        raise BadInputError(
            "mmext.TimmBackbone: expected the package timm and the torchvision of torch's own "
            f"build, which timm imports, got {error}; pip install 'mmext[timm]'"
        ) from error
    return timm
