"""The optimizer of a model with a CPM net, whose parts have rates of their own."""

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from mmext.errors import BadInputError
from mmext.landmarks.groups import cpm_groups
from mmext.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class CPMOptimWrapperConstructor:
    """Build an optimizer with the groups of :func:`~mmext.landmarks.groups.cpm_groups`.

    Args:
        optim_wrapper_cfg: config of the wrapper with its ``optimizer``.
        paramwise_cfg: none: the groups are the paper's.

    Raises:
        ValueError: a ``paramwise_cfg``.
        BadInputError: the optimizer has no rate that could be multiplied.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        if paramwise_cfg:
            raise ValueError(
                "CPMOptimWrapperConstructor: expected no paramwise_cfg, got one; take mmengine's "
                "DefaultOptimWrapperConstructor for rates of your own"
            )
        if "lr" not in (optim_wrapper_cfg.get("optimizer") or {}):
            raise BadInputError(
                "optim_wrapper.optimizer: expected a rate lr, of which trunk and stages of a pose "
                "machine have multiples, got none; give one, as dict(type='SGD', lr=5e-5)"
            )
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The wrapper of a model's optimizer."""
        model = getattr(model, "module", model)
        cfg = dict(self.optim_wrapper_cfg)
        cfg.setdefault("type", "OptimWrapper")
        optimizer = dict(cfg.pop("optimizer"))
        groups = cpm_groups(model, optimizer["lr"], optimizer.get("weight_decay", 0.0))
        optimizer["params"] = groups
        # mmengine's registries: ours would import every host to learn that SGD is none of their own
        return OPTIM_WRAPPERS.build(cfg, default_args={"optimizer": OPTIMIZERS.build(optimizer)})
