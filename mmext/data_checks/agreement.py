"""Places of a config that must agree: classes, segments, preprocessing. All from the config alone.

Host     none; defaults of parts that the config leaves out come from their classes, through
         ``default``
Pure     a config in, sentences out: an error where a run stops or learns the wrong thing, else a
         warning
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mmext.data_checks.needs import parts, type_name

Config: TypeAlias = Mapping[str, Any]
Default: TypeAlias = Callable[[Config, str], Any]
"""The default of an argument by the class of a part; None if there is none."""

OWN_CLASSES = (
    "rpn_head",
    "semantic_head",
    "backbone",
    "neck",
    "train_cfg",
    "test_cfg",
    "data_preprocessor",
)
"""Keys of a model below which num_classes means something else than the data's classes."""

BOUNDARIES = ("STDCHead", "FusedSemanticHead", "SCNetSemanticHead")
"""Heads whose classes are not those of the data."""


def class_counts(model: Config) -> Iterator[tuple[str, Config]]:
    """Every part of a model that must tell apart as many classes as the data has, with its path.

    Open vocabularies have none: their classes are words. A tracker's parts have classes of their
    own.
    """
    if any(key in model for key in ("language_model", "text_encoder", "tracker")):
        return
    for path, part in parts(model, "model"):
        keys = [word.partition("[")[0] for word in path.split(".")]
        own = any(key in OWN_CLASSES for key in keys) or type_name(part) in BOUNDARIES
        if isinstance(part.get("num_classes"), int) and not own and not part.get("class_agnostic"):
            yield path, part


def heads(model: Config, classes: int, *, split: str) -> Iterator[str]:
    """Say which heads have another number of classes than the data.

    Args:
        model: its config.
        classes: how many the data set has; 0 for unknown.
        split: whose data.

    Example:
        >>> list(heads(dict(bbox_head=dict(num_classes=80)), 2, split="train"))[0][:34]
        'model.bbox_head.num_classes: expec'
    """
    for path, part in class_counts(model) if classes else ():
        binary = classes == 2 and 1 in (part["num_classes"], part.get("out_channels"))
        if part["num_classes"] != classes and not binary:
            yield (
                f"{path}.num_classes: expected {classes}, the number of classes of the {split} "
                f"split, got {part['num_classes']}; set it to {classes}"
            )


def segments(
    cfg: Config, split: str, steps: Sequence[Config], default: Default
) -> Iterator[tuple[bool, str]]:
    """Compare the frames that a clip takes with those that backbone and head look at together.

    Args:
        cfg: the whole config.
        split: train, val or test.
        steps: of the pipeline of that split.
        default: see :data:`Default`.

    Yields:
        whether it is an error, and the sentence.
    """
    taken = next((clips for step in steps if (clips := clips_of(step))), 0)
    if not taken:
        return
    model = cfg.get("model") or {}
    for name in ("backbone", "cls_head"):
        part = model.get(name)
        if not isinstance(part, Mapping):
            continue
        number = part.get("num_segments") or default(part, "num_segments")
        if not isinstance(number, int) or number == taken:
            continue
        where = f"model.{name}.num_segments: expected {taken}, the frames of the {split} sampler"
        if taken % number or (split == "train" and name == "cls_head"):
            yield True, f"{where}, got {number}; set both to the same number"
        elif split == "train":
            yield (
                False,
                f"{where}, got {number}: it takes frames of a clip for those of {taken // number}",
            )


def clips_of(step: Config) -> int:
    """How many frames a sampler takes one by one; 0 if a step is none, or takes short clips."""
    kind = type_name(step)
    if kind == "SegmentRepeatSample":
        return step.get("num_segments", 0)
    if kind not in ("SampleFrames", "DenseSampleFrames") or step.get("clip_len") != 1:
        return 0
    clips = step.get("num_clips", 1)
    return clips * 2 if step.get("twice_sample") else clips


def shapes(cfg: Config, steps: Sequence[Config]) -> Iterator[str]:
    """Say where mmaction2's preprocessor expects another order of axes than the pipeline packs."""
    preprocessor = _preprocessor(cfg)
    packed = next(
        (step.get("input_format") for step in steps if type_name(step) == "FormatShape"), None
    )
    expected = preprocessor.get("format_shape", "NCHW")
    # Heat maps and flow have shapes of their own; the preprocessor tells only these two apart.
    is_recognizer = (
        type_name(preprocessor) == "ActionDataPreprocessor" and "cls_head" in cfg["model"]
    )
    if is_recognizer and {packed, expected} == {"NCHW", "NCTHW"}:
        yield (
            f"model.data_preprocessor.format_shape: expected {packed!r}, the input_format of "
            f"FormatShape in the pipeline, got {expected!r}; set both to the same"
        )


def sizes(cfg: Config, steps: Sequence[Config]) -> Iterator[tuple[bool, str]]:
    """Compare the size of mmseg's preprocessor with the last crop.

    Yields whether it is an error, and a sentence.
    """
    preprocessor = _preprocessor(cfg)
    if type_name(preprocessor) != "SegDataPreProcessor":
        return
    size = preprocessor.get("size")
    if (size is None) == (preprocessor.get("size_divisor") is None):
        got = "neither" if size is None else "both"
        yield (
            True,
            f"model.data_preprocessor: expected size or size_divisor, got {got}; set one of them",
        )
    crops = [step.get("crop_size") for step in steps if type_name(step) == "RandomCrop"]
    crop = _pair(crops[-1]) if crops else None
    if crop and size is not None and _pair(size) != crop:
        yield (
            False,
            (
                f"model.data_preprocessor.size: expected {crop}, the crop_size of the training "
                f"pipeline, got {_pair(size)}: batches are padded to the larger of the two; set "
                "both to the same"
            ),
        )


def channels(cfg: Config, steps: Sequence[Config]) -> Iterator[str]:
    """Say where means of ImageNet and the order of the channels that they meet differ.

    mmcv loads pictures as blue, green, red; mmaction2 decodes frames as red, green, blue.
    """
    preprocessor = _preprocessor(cfg)
    mean = preprocessor.get("mean")
    if not isinstance(mean, list | tuple) or len(mean) != 3 or not _is_imagenet(mean):
        return
    kinds = [type_name(step) for step in steps]
    if not any("Load" in kind or "Decode" in kind for kind in kinds):
        return
    loaded_rgb = any(kind.endswith("Decode") or kind == "LoadRGBFromFile" for kind in kinds)
    flips = any(preprocessor.get(key) for key in ("bgr_to_rgb", "rgb_to_bgr", "to_rgb"))
    expects_rgb = mean[0] > mean[2]
    if (loaded_rgb != flips) != expects_rgb:
        order = ("blue, green, red", "red, green, blue")
        switch = "to_rgb" if loaded_rgb else "bgr_to_rgb"
        yield (
            f"model.data_preprocessor: mean {tuple(mean)} is for {order[expects_rgb]}, and the "
            f"pipeline with {switch}={flips} gives {order[not expects_rgb]}, so that pretrained "
            "weights see wrong colours; change one of the two"
        )


def _preprocessor(cfg: Config) -> Config:
    """The config of the preprocessor, which may stand in the model or beside it."""
    found = (cfg.get("model") or {}).get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    return found if isinstance(found, Mapping) else {}


def _is_imagenet(mean: Sequence[Any]) -> bool:
    """Whether three means are ImageNet's, in either order and in any of its usual roundings."""
    known = (123.675, 116.28, 103.53)
    numbers = [one for one in mean if isinstance(one, int | float)]
    near = [
        all(abs(one - other) < 1.0 for one, other in zip(numbers, order, strict=False))
        for order in (known, known[::-1])
    ]
    return len(numbers) == 3 and any(near)


def _pair(size: Any) -> tuple[Any, ...]:
    """A size as height and width."""
    return tuple(size) if isinstance(size, list | tuple) else (size, size)
