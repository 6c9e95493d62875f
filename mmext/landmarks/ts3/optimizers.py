"""One optimizer for each student and one for the teacher."""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as ANY_CONSTRUCTORS
from torch import nn

from mmext.errors import BadInputError
from mmext.landmarks.groups import is_cpm
from mmext.landmarks.ts3.model import MEMBERS, bare
from mmext.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TS3OptimWrapperConstructor:
    """Builds an ``OptimWrapperDict`` with the wrappers of both students and of the teacher.

    ``optim_wrapper = dict(constructor="mmext.TS3OptimWrapperConstructor", student_a=dict(
    optimizer=...), student_b=dict(optimizer=...), teacher=dict(optimizer=...))``. What stands
    beside the members (``type``, ``loss_scale``, ``dtype``, ``clip_grad``, ``optimizer``) is each
    member's unless it says otherwise, so ``--amp`` sets the precision of all three. A member's
    ``paramwise_cfg`` works as mmengine's; without one, a pose machine gets its groups of rates.

    Args:
        optim_wrapper_cfg: as above.
        paramwise_cfg: of each member that has none.

    Raises:
        BadInputError: a member has no optimizer.
    """

    def __init__(self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Any = None) -> None:
        common = {name: one for name, one in optim_wrapper_cfg.items() if name not in MEMBERS}
        if paramwise_cfg is not None:
            common["paramwise_cfg"] = paramwise_cfg
        common.setdefault("type", "OptimWrapper")
        self.members = {
            name: {**copy.deepcopy(common), **copy.deepcopy(dict(optim_wrapper_cfg.get(name, {})))}
            for name in MEMBERS
        }
        lacking = [name for name, one in self.members.items() if not one.get("optimizer")]
        if lacking:
            raise BadInputError(
                f"optim_wrapper expected an optimizer for {', '.join(MEMBERS)}, got none for "
                f"{', '.join(lacking)}; add optim_wrapper.{lacking[0]}=dict(optimizer=dict(...))"
            )

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """A wrapper a member."""
        whole: Any = model.module if is_model_wrapper(model) else model
        return OptimWrapperDict(
            **{name: _built(bare(getattr(whole, name)), cfg) for name, cfg in self.members.items()}
        )


def _built(member: nn.Module, cfg: dict[str, Any]) -> OptimWrapper:
    cfg = dict(cfg)
    paramwise = cfg.pop("paramwise_cfg", None)
    constructor = cfg.pop("constructor", "mmengine.DefaultOptimWrapperConstructor")
    if paramwise is None and any(is_cpm(one) for one in member.modules()):
        constructor = "mmext.CPMOptimWrapperConstructor"
    made = ANY_CONSTRUCTORS.build(
        dict(type=constructor, optim_wrapper_cfg=cfg, paramwise_cfg=paramwise)
    )
    return made(member)
