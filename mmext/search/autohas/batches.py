"""Batches of training and validation, ready for a model's loss."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmext.errors import BadInputError

AUGMENTS = ("batch_augments", "blending", "alpha")
"""Attributes of the hosts' preprocessors, and of mixup here, that change a training batch."""


def endless(dataloader: Any) -> Iterator[Any]:
    """Batches for ever, shuffled anew in each round.

    mmengine's own iterator waits for two seconds between rounds, which small data feel.
    """
    for round_ in range(2**62):
        for owner in (dataloader.sampler, getattr(dataloader.batch_sampler, "sampler", None)):
            if owner is not None and hasattr(owner, "set_epoch"):
                owner.set_epoch(round_)
        yield from dataloader


def validation_loader(config: Any, batch_size: int) -> dict[str, Any]:
    """The config of ``val_dataloader``, changed such that a loss can be worked out.

    Batches are as large as those of training, drawn without end; annotations are loaded before
    pictures are resized, and so are resized with them, which the hosts leave out for evaluation.

    Args:
        config: ``val_dataloader``.
        batch_size: of the batches.

    Raises:
        BadInputError: there is none.
    """
    if not config:
        raise BadInputError(
            "AutoHAS expected val_dataloader in the config, on which candidates are compared, got "
            "none; add one that is apart from the test data"
        )
    loader = copy.deepcopy(dict(config))
    loader.update(
        batch_size=batch_size, sampler=dict(type="mmengine.InfiniteSampler", shuffle=True)
    )
    for name in ("batch_sampler", "drop_last", "num_batch_per_epoch"):
        loader.pop(name, None)
    _annotations_first(loader["dataset"])
    return loader


def _annotations_first(dataset: Any) -> None:
    """Change every pipeline in a data set's config, however deep it lies."""
    if isinstance(dataset, list | tuple):
        for one in dataset:
            _annotations_first(one)
    elif isinstance(dataset, dict):
        if isinstance(dataset.get("pipeline"), list | tuple):
            dataset["pipeline"] = annotations_first(dataset["pipeline"])
        for name in ("dataset", "datasets"):
            _annotations_first(dataset.get(name))


def annotations_first(pipeline: Any) -> list[Any]:
    """Transforms, those that load annotations right behind those that load pictures.

    Example:
        >>> steps = [{"type": name} for name in ("LoadImageFromFile", "Resize", "LoadAnnotations")]
        >>> [step["type"] for step in annotations_first(steps)]
        ['LoadImageFromFile', 'LoadAnnotations', 'Resize']
    """
    names = [str(getattr(step["type"], "__name__", step["type"])) for step in pipeline]
    names = [name.split(".")[-1] for name in names]
    late = [i for i, name in enumerate(names) if name.startswith("Load") and "Annotations" in name]
    images = [i for i, name in enumerate(names) if name.startswith("Load") and i not in late]
    if not late or not images:
        return list(pipeline)
    rest = [step for i, step in enumerate(pipeline) if i not in late]
    at = rest.index(pipeline[max(images)]) + 1
    return [*rest[:at], *(pipeline[i] for i in late), *rest[at:]]


@contextmanager
def without_augments(preprocessor: Any) -> Iterator[None]:
    """Take mixtures and random sizes of batches out of a preprocessor for a while."""
    kept = {name: getattr(preprocessor, name) for name in AUGMENTS if hasattr(preprocessor, name)}
    try:
        for name in kept:
            setattr(preprocessor, name, None)
        yield
    finally:
        for name, value in kept.items():
            setattr(preprocessor, name, value)
