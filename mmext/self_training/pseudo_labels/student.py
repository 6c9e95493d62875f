"""The student's config, made from the teacher's: one wrapper, one data set, one sampler.

Carried over   all else, by ``_base_``: schedule, evaluation, hooks, the model itself
Refused        what would work otherwise than it says, or not at all: see :func:`check`
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from PIL import Image

from mmext.errors import BadInputError

MIXING = ("MultiImageMixDataset",)
"""Data sets that paste pictures of both sources together: such a picture has no source."""
SWITCHING = ("PipelineSwitchHook", "YOLOXModeSwitchHook")
"""Hooks that change the pipeline of the data set as a whole, of which there are two now."""
PLAIN_SAMPLERS = ("DefaultSampler", "InfiniteSampler")
PLAIN_CONSTRUCTORS = ("DefaultOptimWrapperConstructor",)
ONLINE = "MultiBranch"
"""In the names of preprocessors of semi-supervised detectors."""

TEMPLATE = '''"""A student of {config}, on its labels and on those of {pseudo}.

Made by mmext pseudo-label. Train it, and test it with its own config or with the teacher's:
mmext train {out}
"""

_base_ = "{base}"
custom_imports = dict(imports={imports}, allow_failed_imports=False)

model = dict(_delete_=True, type="mmext.SelfTrainingWrapper", model=_base_.model, alpha=1.0)

pseudo = {pseudo_set}
train_dataloader = dict(
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", ratio=(1, 1), {sampler}),
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type="mmengine.ConcatDataset",
        datasets=[_base_.train_dataloader.dataset, pseudo],
        ignore_keys={ignore_keys},
    ),
)
'''


def check(cfg: Config, file: str) -> None:
    """Refuse a config whose student would not be what it says.

    Args:
        cfg: the teacher's.
        file: where it is, for messages.

    Raises:
        BadInputError: there is something that cannot be carried over.
    """
    reasons = [*_of_data(cfg), *_of_training(cfg)]
    if reasons:
        raise BadInputError(
            f"{file}: {reasons[0]}; change it, or write the student's config by hand"
        )


def _of_data(cfg: Config) -> list[str]:
    """What of the data cannot be carried over."""
    loader = cfg.get("train_dataloader") or {}
    reasons = []
    if Config._is_lazy_import(str(cfg.filename)):
        reasons.append("expected a config with _base_ files, got one in Python's own imports")
    kinds = [_name(one) for one in _nested(loader.get("dataset") or {})]
    if mixing := [one for one in kinds if one in MIXING]:
        reasons.append(f"expected pictures of one source each, got {mixing[0]}, which mixes them")
    if not _nested(loader.get("dataset") or {})[-1].get("pipeline"):
        reasons.append("expected train_dataloader.dataset with a pipeline, got none")
    batch_size = loader.get("batch_size", 0)
    if batch_size % 2 or batch_size < 2:
        nearest = f"{batch_size - 1} or {batch_size + 1}" if batch_size > 1 else "2"
        reasons.append(
            f"train_dataloader.batch_size {batch_size}: expected an even one, half of each source; "
            f"take {nearest}"
        )
    sampler = _name(loader.get("sampler") or {})
    if sampler not in PLAIN_SAMPLERS:
        known = " or ".join(PLAIN_SAMPLERS)
        reasons.append(f"train_dataloader.sampler: expected {known}, got {sampler or 'none'}")
    return reasons


def _of_training(cfg: Config) -> list[str]:
    """What of the model, the optimizer and the hooks cannot be carried over."""
    reasons = []
    if ONLINE in _name(cfg.model.get("data_preprocessor") or {}):
        reasons.append(
            f"expected an ordinary model, got {cfg.model.type} with a teacher of its own"
        )
    if _name(cfg.model) == "SelfTrainingWrapper":
        reasons.append("expected a teacher's config, got a student's: it would be wrapped twice")
    constructor = (cfg.get("optim_wrapper") or {}).get("constructor")
    if constructor and _name({"type": constructor}) not in PLAIN_CONSTRUCTORS:
        reasons.append(
            f"optim_wrapper.constructor: expected {PLAIN_CONSTRUCTORS[0]}, got {constructor}, "
            "which may look for parameters by names that begin otherwise in the student "
            "(model.backbone)"
        )
    hooks = [_name(one) for one in cfg.get("custom_hooks") or []]
    if switching := [one for one in hooks if one in SWITCHING]:
        reasons.append(
            f"custom_hooks: expected none that changes the pipeline, got {switching[0]}, which "
            "does not know two data sets"
        )
    return reasons


def check_sizes(pseudo: Mapping[str, Any], images: Path, file: Path) -> None:
    """Compare the pictures' sizes with those that the labels are for.

    Raises:
        BadInputError: a picture is missing, or of another size.
    """
    for one in pseudo["images"]:
        name = one.get("file_name", one.get("file"))
        try:
            with Image.open(images / name) as picture:
                size = picture.size
                turned = picture.getexif().get(0x0112, 1) > 4
        except OSError as error:
            raise BadInputError(
                f"{file}: expected its picture {images / name}, got {error}; give the folder that "
                "was labelled"
            ) from None
        wanted = (one["width"], one["height"])
        if wanted not in (size, size[::-1] if turned else size):
            raise BadInputError(
                f"{file}: expected {name} of {wanted[0]} x {wanted[1]} pixels, got "
                f"{size[0]} x {size[1]}; label the pictures anew"
            )


def write(
    cfg: Config,
    config: str,
    out: Path,
    *,
    pseudo: Path,
    images: Path,
    metainfo: Mapping[str, Any],
) -> list[str]:
    """Write the student's config.

    Args:
        cfg: the teacher's, as read from ``config``.
        config: its file.
        out: where to write.
        pseudo: the file of pseudo labels; maps lie beside it.
        images: the folder that was labelled.
        metainfo: the labelled set's.

    Returns:
        What to know of it, a sentence each.
    """
    by_epoch = bool(cfg.train_cfg.get("by_epoch")) or "Epoch" in _name(cfg.train_cfg)
    kind = _map_set if cfg.default_scope == "mmseg" else _box_set
    imports = [*(cfg.get("custom_imports") or {}).get("imports", [])]
    text = TEMPLATE.format(
        config=Path(config).name,
        pseudo=pseudo.as_posix(),
        out=out.as_posix(),
        base=Path(os.path.relpath(Path(config).resolve(), out.resolve().parent)).as_posix(),
        imports=list(dict.fromkeys([*imports, "mmext"])),
        sampler=f"batch_size={cfg.train_dataloader.batch_size}, by_epoch={by_epoch}",
        pseudo_set=kind(cfg, pseudo, images, metainfo),
        ignore_keys=sorted({*metainfo, "palette", "label_map", "reduce_zero_label"} - {"classes"}),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return list(_notes(cfg, by_epoch))


def _notes(cfg: Config, by_epoch: bool) -> list[str]:
    half = cfg.train_dataloader.batch_size // 2
    notes = [f"batches hold {half} pictures of each source"]
    if by_epoch:
        notes.append("an epoch keeps its number of iterations, so half of the labels are in it")
    if cfg.train_dataloader.get("batch_sampler"):
        kind = _name(cfg.train_dataloader.batch_sampler)
        notes.append(f"{kind} is left out: batches are made by source, not by shape")
    if keys := ((cfg.optim_wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}):
        # mmengine finds these anywhere in a parameter's name, so the prefix changes nothing.
        notes.append(f"paramwise_cfg holds for the same parameters ({', '.join(keys)})")
    return notes


def _box_set(cfg: Config, pseudo: Path, images: Path, metainfo: Mapping[str, Any]) -> str:
    """A COCO data set, whatever the labelled one is: the pseudo labels are a COCO file."""
    inner = "_base_.train_dataloader.dataset"
    dataset = cfg.train_dataloader.dataset
    while "pipeline" not in dataset:
        inner, dataset = (
            (f"{inner}.dataset", dataset.dataset)
            if "dataset" in dataset
            else (f"{inner}.datasets[0]", dataset.datasets[0])
        )
    meta = _names_and_colours(metainfo)
    smallest = (dataset.get("filter_cfg") or {}).get("min_size")
    size = "" if smallest is None else f", min_size={smallest!r}"
    return f"""dict(
    type="mmdet.CocoDataset",
    ann_file={pseudo.as_posix()!r},
    data_prefix=dict(img={images.as_posix() + "/"!r}),
    metainfo={meta!r},
    filter_cfg=dict(filter_empty_gt=False{size}),  # no box is a label too
    pipeline=[*{inner}.pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)"""


def _map_set(cfg: Config, pseudo: Path, images: Path, metainfo: Mapping[str, Any]) -> str:
    """A plain data set of maps, in which 255 alone is ignored and 0 is a class."""
    dataset = _nested(cfg.train_dataloader.dataset)[-1]
    steps = [_plain(step) for step in dataset["pipeline"]]
    for step in steps:
        if _name(step) == "LoadAnnotations":
            step.pop("reduce_zero_label", None)
    steps.append(dict(type="mmext.MarkSource", source="pseudo"))
    pipeline = "\n".join(f"        {step!r}," for step in steps)
    meta = _names_and_colours(metainfo)
    folder = pseudo.parent
    return f"""dict(
    type="mmseg.BaseSegDataset",
    ann_file={(folder / "pictures.txt").as_posix()!r},
    data_prefix=dict(img_path={images.as_posix()!r}, seg_map_path={(folder / "maps").as_posix()!r}),
    img_suffix="",
    seg_map_suffix=".png",
    metainfo={meta!r},
    reduce_zero_label=False,
    pipeline=[
{pipeline}
    ],
)"""


def _names_and_colours(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """Of the classes; a palette of another length is another data set's."""
    palette = metainfo.get("palette") or ()
    kept = {"palette": palette} if len(palette) == len(metainfo["classes"]) else {}
    return {"classes": metainfo["classes"], **kept}


def _nested(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A data set and those inside its wrappers, of several the first."""
    inner = dataset.get("dataset") or next(iter(dataset.get("datasets") or []), None)
    return [dataset, *(_nested(inner) if inner else [])]


def _plain(value: Any) -> Any:
    """Dicts and lists without the config's own classes, to be written as Python."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return type(value)(_plain(one) for one in value) if isinstance(value, list | tuple) else value


def _name(part: Mapping[str, Any]) -> str:
    kind = part.get("type") or ""
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
