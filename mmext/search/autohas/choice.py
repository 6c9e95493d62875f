"""A place in a model where one of several modules stands: a decision about the architecture."""

from typing import Any

from mmengine.model import BaseModule
from torch import nn

from mmext.registry import MODELS


@MODELS.register_module()
class Choice(BaseModule):
    """One of several modules of the same interface; all have weights, one is in use.

    ``AutoHASLoop`` finds every choice of a model and samples among them; under other loops
    ``active`` says which module is used. On several ranks the config needs
    ``find_unused_parameters = True``.

    Args:
        choices: configs of the modules.
        active: number of the one that is used until somebody chooses another.
        init_cfg: mmengine's.

    Raises:
        ValueError: there are fewer than two, or ``active`` is none of them.
    """

    def __init__(self, choices: list[dict], active: int = 0, init_cfg: Any | None = None) -> None:
        super().__init__(init_cfg)
        if len(choices) < 2:
            raise ValueError(f"choices of Choice must be two modules or more, got {len(choices)}")
        if not 0 <= active < len(choices):
            raise ValueError(
                f"active of Choice must be from 0 to {len(choices) - 1}, got {active}; change it"
            )
        self.choices = nn.ModuleList(MODELS.build(one) for one in choices)
        self.active = active

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the active module gives."""
        return self.choices[self.active](*args, **kwargs)

    def extra_repr(self) -> str:
        """What the printed model says of it."""
        return f"active={self.active}"
