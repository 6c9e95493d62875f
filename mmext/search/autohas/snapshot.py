"""One copy of all that training steps change, so that a candidate can be tried and taken back."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


class Snapshot:
    """Parameters, buffers, the optimiser's state and settings, and the scale of a loss.

    It holds one copy, whose memory is used again by each :meth:`take`. All copies are made on the
    device; only a loss scale (float16) makes the host wait.

    Args:
        model: whose parameters and buffers are meant.
        optim_wrapper: around the optimiser.
    """

    def __init__(self, model: nn.Module, optim_wrapper: OptimWrapper) -> None:
        self._model = model
        self._optimizer = optim_wrapper.optimizer
        self._scaler = getattr(optim_wrapper, "loss_scaler", None)
        self._parameters: list[Tensor] = []
        self._buffers: dict[tuple[nn.Module, str], Tensor] = {}
        self._state: dict[Tensor, dict[str, Any]] = {}
        self._groups: list[dict[str, Any]] = []
        self._scale: dict[str, Any] = {}

    @torch.no_grad()
    def take(self) -> None:
        """Copy everything as it is now."""
        live: list[Tensor] = list(self._model.parameters())
        if not self._parameters:
            self._parameters = [torch.empty_like(one) for one in live]
        torch._foreach_copy_(self._parameters, live)
        self._buffers = {at: _copied(self._buffers.get(at), now) for at, now in self._live()}
        self._state = {
            p: {k: _copied(self._state.get(p, {}).get(k), now) for k, now in state.items()}
            for p, state in self._optimizer.state.items()
        }
        self._groups = [_settings(group) for group in self._optimizer.param_groups]
        if self._scaler is not None:
            self._scale = self._scaler.state_dict()

    @torch.no_grad()
    def restore(self, *, buffers: bool = True) -> None:
        """Put everything back, in place; buffers are left as they are if nothing moved them."""
        torch._foreach_copy_(list(self._model.parameters()), self._parameters)
        for (module, name), now in self._live() if buffers else ():
            module._buffers[name] = _copied(now, self._buffers[module, name])
        for p in list(self._optimizer.state):
            if p not in self._state:  # its first step has been taken back
                del self._optimizer.state[p]
        for p, saved in self._state.items():
            now = self._optimizer.state[p]
            self._optimizer.state[p] = {k: _copied(now.get(k), one) for k, one in saved.items()}
        for group, saved in zip(self._optimizer.param_groups, self._groups, strict=True):
            group.update(saved)
        if self._scaler is not None:
            self._scaler.load_state_dict(self._scale)

    def nbytes(self) -> int:
        """Bytes of the copy."""
        state = [one for saved in self._state.values() for one in saved.values()]
        tensors = [*self._parameters, *self._buffers.values(), *state]
        return sum(one.nbytes for one in tensors if isinstance(one, Tensor))

    def _live(self) -> Iterator[tuple[tuple[nn.Module, str], Tensor]]:
        """Buffers with their places: a module may put another tensor into one."""
        for module in self._model.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    yield (module, name), buffer


def _copied(into: Any, value: Any) -> Any:
    """The value, as a copy in ``into``'s memory where it fits."""
    if not isinstance(value, Tensor):
        return value
    fits = (
        isinstance(into, Tensor)
        and into.shape == value.shape
        and (into.dtype, into.device) == (value.dtype, value.device)
    )
    return into.copy_(value) if fits else value.detach().clone()


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}
