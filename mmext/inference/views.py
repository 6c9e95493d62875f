"""A model asked for several views of a picture: flips, scales, as ``mmext test --tta`` has them.

Detectors    the host's own wrapper joins the boxes (mmdet's DetTTAModel)
Segmentors   the mean of the views' probabilities, as mmseg's SegTTAModel has it; that wrapper keeps
             the class alone, and the last view's logits under the old name
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmext.engine import launch
from mmext.errors import BadInputError
from mmext.inference.tasks import Model

Steps = list[Any]


def augmented(cfg: Config) -> Config:
    """A config with ``tta_model`` and ``tta_pipeline``, its own or the detectors' default.

    Raises:
        BadInputError: it has none, or those of a segmentor join views in a way of their own.
    """
    changed = copy.deepcopy(cfg)
    launch.use_tta(changed)
    kind = changed.tta_model.type
    kind = kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
    if cfg.get("default_scope") == "mmseg" and kind != "SegTTAModel":
        raise BadInputError(
            f"{cfg.filename}: expected tta_model of the type SegTTAModel, got {kind}; change it, "
            "or leave --tta out"
        )
    return changed


def pipeline_of(cfg: Config) -> Steps:
    """The steps that make the views, without those that read labels, which a new picture lacks."""
    return _unlabelled(copy.deepcopy(list(cfg.tta_pipeline)))


def _unlabelled(steps: Sequence[Any]) -> Steps:
    kept = []
    for step in steps:
        if "Annotations" in str(step["type"]):
            continue
        if step.get("transforms") and isinstance(step["transforms"][0], list | tuple):
            inner = [_unlabelled(branch) for branch in step["transforms"]]
            step = {**step, "transforms": [branch for branch in inner if branch]}
        kept.append(step)
    return kept


def joined(model: Model, cfg: Config) -> Model:
    """A detector inside the host's wrapper, which takes views and gives one sample.

    Raises:
        BadInputError: it has masks, which mmdet does not join.
    """
    if getattr(model, "with_mask", False):
        raise BadInputError(
            f"{cfg.filename}: --tta expected a detector of boxes, got {type(model).__name__} with "
            "masks, which mmdet cannot join over views; leave --tta out"
        )
    wrapper = MODELS.build({**cfg.tta_model, "module": model})
    wrapper.cfg, wrapper.dataset_meta = model.cfg, model.dataset_meta
    return wrapper


def samples(model: Model, data: Mapping[str, Any]) -> Iterator[Any]:
    """What a model makes of a prepared picture, of one view after the other."""
    several = isinstance(data["inputs"], list | tuple)
    inputs, notes = (data[key] if several else [data[key]] for key in ("inputs", "data_samples"))
    for one, note in zip(inputs, notes, strict=True):
        with torch.no_grad():
            yield model.test_step({"inputs": [one], "data_samples": [note]})[0]


def whole(model: Model, data: Mapping[str, Any]) -> Any:
    """What the host's wrapper makes of all views of one picture."""
    with torch.no_grad():
        found = model.test_step({key: [[view] for view in value] for key, value in data.items()})
    return found[0]
