"""One optimiser that is SGD for the detector and Adam for the network that weights its samples.

Paper     Learning a unified sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmengine: schedulers, gradient clipping, loss scaling and resuming see one optimiser
"""

from collections.abc import Callable
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as ROOT_OPTIMIZERS
from torch import nn
from torch.optim import Optimizer

from mmext.detection.sample_weighting.weighting import SampleWeighting
from mmext.registry import OPTIM_WRAPPER_CONSTRUCTORS

ADAM = dict(type="Adam", lr=1e-3, weight_decay=1e-4)
"""The authors' optimiser of the network."""


class CompositeOptimizer(Optimizer):
    """Several optimisers that act as one: their parameter groups in a row, one state.

    DEVIATION: the authors' checkpoints hold no momentum, so that their resumed training is another one.

    Args:
        parts: optimisers without a parameter in common.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.defaults = parts[0].defaults  # mmengine logs these rates as the base ones
        self._share()

    def _share(self) -> None:
        """Let every part work on our state and on its own groups of ours."""
        start = 0
        for part in self.parts:
            stop = start + len(part.param_groups)
            part.param_groups = self.param_groups[start:stop]
            part.state = self.state
            start = stop

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore state and groups, which torch replaces by new objects."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SWNOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds one optimiser: the config's for the detector, and another for all sample weighting networks.

    Args:
        optim_wrapper_cfg: as in mmengine; ``optimizer`` is the detector's.
        paramwise_cfg: as in mmengine, for both; besides ``swn``, config of the networks' optimiser, by
            default the authors' Adam (rate 1e-3, decay 1e-4).

    Raises:
        ValueError: the model has no sample weighting network.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        rest = dict(paramwise_cfg or {})
        self.swn = rest.pop("swn", ADAM)
        super().__init__(optim_wrapper_cfg, rest)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser and its wrapper."""
        model = getattr(model, "module", model)
        ours = {
            parameter
            for module in model.modules()
            if isinstance(module, SampleWeighting)
            for parameter in module.parameters()
        }
        if not ours:
            raise ValueError(
                "SWNOptimWrapperConstructor expects a model with a sample weighting network, got none; use a "
                "head such as mmext.SWNShared2FCBBoxHead with mode='mlp', or leave out the constructor"
            )
        groups: list[dict] = []
        self.add_params(groups, model)
        networks = [group for group in groups if ours.issuperset(group["params"])]
        detector = [group for group in groups if not ours.issuperset(group["params"])]
        # One group where nothing tells the parameters apart: optimisers are quicker then.
        if not self.paramwise_cfg:
            networks, detector = ([_joined(part)] for part in (networks, detector))
        optimizer = CompositeOptimizer(
            [
                ROOT_OPTIMIZERS.build(dict(cfg, params=part))
                for cfg, part in ((self.optimizer_cfg, detector), (self.swn, networks))
            ]
        )
        wrapper = dict(type="OptimWrapper") | dict(self.optim_wrapper_cfg)
        return OPTIM_WRAPPERS.build(wrapper, default_args=dict(optimizer=optimizer))


def _joined(groups: list[dict]) -> dict:
    return dict(params=[parameter for group in groups for parameter in group["params"]])
