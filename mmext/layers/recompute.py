"""Forget a step's activations and recompute them for backward, without a second trace in norms."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


@contextmanager
def untouched_statistics(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within, norms in training normalise as ever, but move copies of their running statistics."""
    norms = [
        m for module in modules for m in module.modules() if isinstance(m, _NormBase) and m.training
    ]
    saved = [dict(norm._buffers) for norm in norms]
    for norm, buffers in zip(norms, saved, strict=True):
        norm._buffers.update(
            {name: b.clone() if b is not None else None for name, b in buffers.items()}
        )
    try:
        yield
    finally:
        for norm, buffers in zip(norms, saved, strict=True):
            norm._buffers.update(buffers)


def recomputed(step: Callable[..., Any], *inputs: Any, modules: Sequence[nn.Module]) -> Any:
    """``step(*inputs)``, of which autograd keeps the inputs alone.

    Args:
        step: the function.
        inputs: its arguments.
        modules: whose norms ``step`` uses; their statistics move once, not twice.
    """
    contexts = lambda: (nullcontext(), untouched_statistics(modules))  # noqa: E731
    return checkpoint(step, *inputs, use_reentrant=False, context_fn=contexts)


class Recomputed(nn.Module):
    """Stands before a host's residual block among the bases.

    The block's ``with_cp`` then moves statistics once a step.
    """

    with_cp: bool

    def forward(self, x: Tensor) -> Tensor:
        """The host's block on ``x``."""
        if self.with_cp and x.requires_grad:
            return recomputed(self._all_kept, x, modules=(self,))
        return super().forward(x)

    def _all_kept(self, x: Tensor) -> Tensor:
        """The host's block as if ``with_cp`` were off, else it would checkpoint again inside."""
        self.with_cp = False
        try:
            return super().forward(x)
        finally:
            self.with_cp = True
