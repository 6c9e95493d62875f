"""One optimiser that is SGD for the detector and Adam for the network that weights its samples.

Paper     Sample weighting network, Cai et al. 2020, https://arxiv.org/abs/2006.06568
Host      mmengine: schedulers, gradient clipping, loss scaling and resuming see one optimiser
"""

from collections.abc import Callable
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as ROOT_OPTIMIZERS
from torch import nn
from torch.optim import Optimizer

from mmext.detection.sample_weighting.predictor import SWNPredictor
from mmext.registry import OPTIM_WRAPPER_CONSTRUCTORS

ADAM = dict(type="Adam", lr=1e-3, weight_decay=1e-4)
"""The authors' optimiser of the network."""


class CompositeOptimizer(Optimizer):
    """Several optimisers that act as one: their parameter groups in a row, one state.

    DEVIATION: the authors' checkpoints hold no momentum, so that their resumed training is another
    one.

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

    def __getstate__(self) -> dict[str, Any]:
        # torch copies defaults, state and groups alone.
        return super().__getstate__() | dict(parts=self.parts)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SWNOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Makes one optimiser: the config's for the detector and one for all sample weighting networks.

    Each has its own base rate and decay: ``custom_keys``, ``bias_lr_mult`` and their like multiply
    those of the optimiser that a parameter belongs to.

    Args:
        optim_wrapper_cfg: as in mmengine; ``optimizer`` is the detector's.
        paramwise_cfg: as in mmengine, for both; besides ``swn``, config of the networks' optimiser.
            What it leaves out is as in the authors' Adam (rate 1e-3, decay 1e-4).

    Raises:
        ValueError: the model has no sample weighting network.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        rest = dict(paramwise_cfg or {})
        swn = ADAM | dict(rest.pop("swn", {}))
        super().__init__(optim_wrapper_cfg, rest)
        # The host's rules once more, on the networks' own rate and decay.
        self.of_networks = DefaultOptimWrapperConstructor(dict(optimizer=swn), rest)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser and its wrapper."""
        model = getattr(model, "module", model)
        networks = {name: m for name, m in model.named_modules() if isinstance(m, SWNPredictor)}
        if not networks:
            raise ValueError(
                "SWNOptimWrapperConstructor expects a model with a sample weighting network, got "
                "none; use a head such as mmext.SWNShared2FCBBoxHead with mode='mlp', or leave "
                "out the constructor"
            )
        detector: list[dict] = []
        self.add_params(detector, model)
        learned: list[dict] = []
        for name, network in networks.items():
            self.of_networks.add_params(learned, network, prefix=name)
        parts = [
            ROOT_OPTIMIZERS.build(dict(rules.optimizer_cfg, params=self._grouped(groups)))
            for rules, groups in ((self, detector), (self.of_networks, learned))
            if groups  # none are left where all of them are frozen
        ]
        wrapper = dict(type="OptimWrapper") | dict(self.optim_wrapper_cfg)
        return OPTIM_WRAPPERS.build(wrapper, default_args=dict(optimizer=CompositeOptimizer(parts)))

    def add_params(self, params: list[dict], module: nn.Module, *args: Any, **kwargs: Any) -> None:
        """The detector's parameters by the host's rules; networks are passed by."""
        if not isinstance(module, SWNPredictor):
            super().add_params(params, module, *args, **kwargs)

    def _grouped(self, groups: list[dict]) -> list[dict]:
        """One group where no rule tells the parameters apart: optimisers are quicker then."""
        if self.paramwise_cfg:
            return groups
        return [dict(params=[parameter for group in groups for parameter in group["params"]])]
