"""Mixed precision where mmengine's AmpOptimWrapper refuses to work: on CPUs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmext.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Run the forward pass in bfloat16, which has float32's range and so needs no loss scale."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Add autocast to the host's context for gradient accumulation."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
