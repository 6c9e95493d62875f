"""What a backbone hands the recursive pyramid: maps and itself; what one around another loads."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Recursive(Protocol):
    """A backbone that takes feedback in some of its stages, which are counted from 0."""

    rfp_inplanes: int | None
    out_indices: Sequence[int]

    @property
    def rfp_stages(self) -> tuple[int, ...]:
        """Stages that take feedback, counted from 0."""

    @property
    def level_channels(self) -> list[int] | None:
        """Channels of each map that it gives; None if only running it can tell."""

    def rfp_forward(
        self, x: Tensor, rfp_feats: Sequence[Tensor | None], **known: Any
    ) -> tuple[Tensor, ...]:
        """Maps of the image with each stage's feedback."""


class Levels(tuple[Tensor, ...]):
    """The image and a backbone's maps, as mmdet passes them on, that remember who made them.

    The pyramid needs the backbone twice: to run it again where all steps share it, and to see
    whether another one would repeat its stem. A detector hands on the tuple but not the backbone;
    and a reference kept in the neck would be lost, or doubled in the state dict, when the model is
    copied or saved.

    Args:
        tensors: the image first, then one map a level.
        backbone: the module that made the maps; None if somebody rebuilt the tuple on the way.
    """

    backbone: Any

    def __new__(cls, tensors: Iterable[Tensor], backbone: Any = None) -> "Levels":
        """Make the tuple and attach the backbone."""
        levels = super().__new__(cls, tensors)
        levels.backbone = backbone
        return levels


def below_backbone(self: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Pre-load hook of a module with a child ``backbone``: bare keys of that belong below it."""
    own = tuple(f"{name}." for name, _ in self.named_children())
    for key in [k for k in state_dict if k.startswith(prefix)]:
        name = key.removeprefix(prefix)
        if not name.startswith(own):
            state_dict[f"{prefix}backbone.{name}"] = state_dict.pop(key)
