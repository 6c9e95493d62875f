"""Start what a file of weights did not hold, and only that.

Host      mmengine's modules

A backbone with parts of a paper's own may start from a file of the plain backbone, which lacks
those parts, from a file of a related one, which holds some of their tensors, or from one of its
own. The host's initialisation knows nothing of this: it draws the parts like any convolution, or
leaves them as they are. So a part notes which of its tensors the last state dict held
(:func:`note_loads`), whichever way the host loads, and :func:`initialise` gives the others the
part's own start. ``frozen_stages`` spares parts that are still random (:func:`thaw_random`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn

Part = TypeVar("Part", bound=nn.Module)


def note_loads(part: Part) -> Part:
    """Let a part that a plain backbone lacks note what state dicts give it; returns the part."""
    noting: Any = part
    noting.held_names = frozenset()
    noting.is_new = None  # not decided: no weights were initialised yet
    noting.learning_names = frozenset(
        name for name, p in part.named_parameters() if p.requires_grad
    )
    part._register_load_state_dict_pre_hook(_note, with_module=True)
    return part


def _note(part: Any, state_dict: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Before a state dict is loaded; a tensor of another shape is not loaded."""
    held = {
        name
        for name, tensor in _tensors(part)
        if f"{prefix}{name}" in state_dict and state_dict[f"{prefix}{name}"].shape == tensor.shape
    }
    part.held_names = frozenset(held)


def _tensors(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values of its parameters and buffers; those of a state dict, without its hooks."""
    yield from part.named_parameters()
    yield from part.named_buffers()


def parts_of(module: nn.Module) -> list[Any]:
    """The parts below a module that note their loads."""
    return [m for m in module.modules() if hasattr(m, "held_names")]


def initialise(backbone: BaseModule, by_host: Callable[[], None], *, start: bool = True) -> None:
    """Let the host draw or load weights; then start each tensor of the parts that no file held.

    Args:
        backbone: whose parts have an ``init_weights`` or a ``reset_parameters``, their own start.
        by_host: the host's ``init_weights``.
        start: False where the host itself starts the parts before it loads.
    """
    if backbone.is_init:  # the host only warns then
        by_host()
        return
    parts = parts_of(backbone)
    for part in parts:
        part.held_names = frozenset()  # by an earlier load, over which the host draws
    by_host()
    for part in parts:
        part.is_new = _lacks(part)
        if start:
            _start_missing(part)


def _lacks(part: Any) -> bool:
    """Whether the last load left one of its parameters as it was."""
    return any(name not in part.held_names for name, _ in part.named_parameters())


@torch.no_grad()
def _start_missing(part: Any) -> None:
    """Give a part its own start, but for the tensors that the file held."""
    held = {name: tensor.clone() for name, tensor in _tensors(part) if name in part.held_names}
    start = getattr(part, "init_weights", None) or part.reset_parameters
    start()
    for name, tensor in _tensors(part):
        if name in held:
            tensor.copy_(held[name])


def thaw_random(backbone: Any) -> None:
    """Let parts of frozen stages learn that no file held whole; call it after the host froze them.

    What is new is decided when weights are initialised. A checkpoint that comes later changes
    nothing about it, else a run that is resumed would freeze what it had been training.

    With several ranks a part that is frozen only once it is loaded needs
    ``find_unused_parameters=True``, as every parameter does that is frozen after the wrapper is
    made.
    """
    for stage in range(1, backbone.frozen_stages + 1):
        for part in parts_of(getattr(backbone, f"layer{stage}")):
            if _lacks(part) if part.is_new is None else part.is_new:
                part.train(backbone.training)
                for name, parameter in part.named_parameters():
                    parameter.requires_grad_(name in part.learning_names)


def in_order(
    init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
) -> list[dict[str, Any]]:
    """The settings of an ``init_cfg`` in the order mmengine applies them: files of weights last."""
    settings = [init_cfg] if isinstance(init_cfg, Mapping) else (init_cfg or [])
    return sorted((dict(cfg) for cfg in settings), key=names_a_file)


def names_a_file(cfg: Mapping[str, Any]) -> bool:
    """Whether a setting of ``init_cfg`` loads a file.

    Its type is mmengine's name for that, with a scope or without, or the class or one of its own.

    Example:
        >>> kinds = "mmengine.Pretrained", PretrainedInit, "Kaiming"
        >>> [names_a_file(dict(type=kind)) for kind in kinds]
        [True, True, False]
    """
    kind = cfg["type"]
    if isinstance(kind, str):
        return kind.rpartition(".")[2] == "Pretrained"
    return isinstance(kind, type) and issubclass(kind, PretrainedInit)
