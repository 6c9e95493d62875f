"""One candidate: the shared weights, moved by a few updates with its values, and its loss."""

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.model import BaseModel, MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor

from mmext.errors import BadInputError
from mmext.search.autohas.knobs import Knob

Logged = dict[str, Any]


def require_plain_steps(model: Any, optim_wrapper: Any) -> None:
    """Refuse models and optimisers whose step is another one than mmengine's.

    Raises:
        BadInputError: the step belongs to a strategy, a teacher, several optimisers, or is only
            a part of one.
    """
    inner = model.module if is_model_wrapper(model) else model
    if is_model_wrapper(model) and not isinstance(model, MMDistributedDataParallel):
        raise BadInputError(
            f"AutoHAS expected a model alone or in MMDistributedDataParallel, got "
            f"{type(model).__name__}, whose weights it cannot copy back; change model_wrapper_cfg"
        )
    if type(inner).train_step is not BaseModel.train_step:
        raise BadInputError(
            f"AutoHAS expected a model that trains by mmengine's train_step, got "
            f"{type(inner).__name__} with one of its own; search it with tools/search.py"
        )
    if not isinstance(optim_wrapper, OptimWrapper):
        raise BadInputError(
            f"AutoHAS expected one optimiser, got {type(optim_wrapper).__name__}; search with "
            "tools/search.py"
        )
    if optim_wrapper._accumulative_counts != 1:
        raise BadInputError(
            "AutoHAS expected accumulative_counts=1, since each candidate needs whole steps, got "
            f"{optim_wrapper._accumulative_counts}; take it out of optim_wrapper"
        )


def seed_all(*numbers: int) -> None:
    """Seed all that is drawn from here on: the same numbers, the same draws; each rank its own."""
    state = np.random.SeedSequence([*numbers, dist.get_rank()]).generate_state(2)
    random.seed(int(state[0]))
    np.random.seed(state[0])  # noqa: NPY002  the hosts draw from the global generator
    torch.manual_seed(int(state[1]))


@contextmanager
def values_set(knobs: Mapping[str, Knob], values: Mapping[str, Any]) -> Iterator[None]:
    """Values in force for a while."""
    for name, value in values.items():
        knobs[name].set(value)
    try:
        yield
    finally:
        for name in values:
            knobs[name].reset()


def batch_copy(data: Any) -> Any:
    """Another dict and another list, since a model may add to them; the tensors are the same."""
    if isinstance(data, dict):
        return {k: copy.copy(v) if isinstance(v, list) else v for k, v in data.items()}
    return copy.copy(data)


def loss_of(model: Any, data: Any) -> tuple[Tensor, Logged]:
    """The sum that is trained on, and what the log says of it.

    Args:
        model: with or without its wrapper.
        data: as the preprocessor made it.
    """
    inner = model.module if is_model_wrapper(model) else model
    return inner.parse_losses(model._run_forward(batch_copy(data), mode="loss"))


def train(model: Any, optim_wrapper: OptimWrapper, batches: Sequence[Any]) -> Logged:
    """One update on each batch; returns the last one's log."""
    logged: Logged = {}
    for data in batches:
        with optim_wrapper.optim_context(model):
            loss, logged = loss_of(model, data)
        optim_wrapper.update_params(loss)
    return logged


def gradient(model: Any, optim_wrapper: OptimWrapper, data: Any) -> Logged:
    """Leave the gradient of a batch, clipped, in the parameters."""
    with optim_wrapper.optim_context(model):
        loss, logged = loss_of(model, data)
    optim_wrapper.backward(loss)
    if optim_wrapper.clip_grad_kwargs:
        optim_wrapper._clip_grad()
    return logged


@torch.no_grad()
def validation_loss(model: Any, optim_wrapper: OptimWrapper, data: Any) -> Tensor:
    """Loss of a batch in evaluation mode, in float32, of this rank."""
    inner = model.module if is_model_wrapper(model) else model
    inner.eval()
    with optim_wrapper.optim_context(inner):
        loss, _ = loss_of(inner, data)
    inner.train()
    return loss.detach().float()
