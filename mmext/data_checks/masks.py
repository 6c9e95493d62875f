"""What label maps and their images must be so that mmseg can train on them.

Host     none: numpy and Pillow; a dataset's suffixes and classes come from its class, through the registry
Layout   as mmseg's BaseSegDataset reads it: one map an image, of the same name but for the suffix
Letters  a map holds one class a pixel, 0 to K - 1, or the value that is ignored (255)
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmext.data_checks.coco import DECODE_UP_TO, Report, broken_image
from mmext.errors import BadInputError, some

LISTED_BY = "BaseSegDataset.load_data_list"


def check_masks(
    dataset: Mapping[str, Any],
    kind: Any,
    folders: Mapping[str, str],
    report: Report,
    *,
    classes: int,
    cure: str,
    decode: bool | None = None,
) -> None:
    """Find maps that are missing, of another size than their image, or with values that are no class.

    Args:
        dataset: its config.
        kind: its class, or None if nobody knows it.
        folders: where ``img_path`` and ``seg_map_path`` lie.
        report: takes the findings.
        classes: how many classes a map may tell apart; 0 if that is unknown.
        cure: what the errors tell people to do.
        decode: whether to decode; None decodes up to :data:`~mmext.data_checks.coco.DECODE_UP_TO` images.
    """
    if getattr(getattr(kind, "load_data_list", None), "__qualname__", LISTED_BY) != LISTED_BY:
        report.warnings.append(f"{kind.__name__} lists its files in its own way, so they were not checked")
        return
    pairs = list_pairs(dataset, kind, folders, report.file)
    if not pairs:
        raise BadInputError(f"{folders['img_path']}: expected images there, got none; {cure}")
    report.images = len(pairs)
    if decode is None and len(pairs) > DECODE_UP_TO:
        report.warnings.append(
            f"{report.file}: with {len(pairs)} images, more than {DECODE_UP_TO}, they and their maps were "
            "looked for and not decoded; mmext verify CONFIG --decode decodes them all"
        )
    decode = len(pairs) <= DECODE_UP_TO if decode is None else decode
    allowed = allowed_values(dataset, kind, classes)
    for image, mask in pairs:
        if not image.is_file():
            report.errors.append(
                f"{image}: not found, expected an image since {report.file} lists it; {cure}"
            )
        elif not mask.is_file():
            report.errors.append(f"{mask}: not found, expected the label map of {image.name} there; {cure}")
        elif decode:
            report.decoded += 1
            if trouble := trouble_of(image, mask, allowed):
                report.errors.append(trouble)


def list_pairs(
    dataset: Mapping[str, Any], kind: Any, folders: Mapping[str, str], ann_file: str
) -> list[tuple[Path, Path]]:
    """Return image and map of each sample: those that the list names, else all in the folder."""
    image_suffix = setting(dataset, kind, "img_suffix", ".jpg")
    mask_suffix = setting(dataset, kind, "seg_map_suffix", ".png")
    images, masks = Path(folders["img_path"]), Path(folders["seg_map_path"])
    if dataset.get("ann_file") and Path(ann_file).is_file():
        names = [line.strip() for line in Path(ann_file).read_text().splitlines()]
    else:
        found = sorted(images.rglob(f"*{image_suffix}"))
        names = [str(path.relative_to(images))[: -len(image_suffix)] for path in found]
    return [(images / (name + image_suffix), masks / (name + mask_suffix)) for name in names]


def setting(dataset: Mapping[str, Any], kind: Any, name: str, default: Any) -> Any:
    """Return an argument as the dataset will get it: from the config, its class's default, or ``default``."""
    if name in dataset:
        return dataset[name]
    parameter = inspect.signature(kind).parameters.get(name) if kind is not None else None
    return default if parameter is None or parameter.default is parameter.empty else parameter.default


def allowed_values(dataset: Mapping[str, Any], kind: Any, classes: int) -> set[int]:
    """Return the values that a map may hold before mmseg renumbers them; empty if that is unknown."""
    # A config may choose some of the dataset's own classes; its maps still hold all of them.
    classes = len(getattr(kind, "METAINFO", {}).get("classes", ())) or classes
    if not classes:
        return set()
    zero_is_ignored = setting(dataset, kind, "reduce_zero_label", False)
    ignored = {255, setting(dataset, kind, "ignore_index", 255)}
    return set(range(classes + bool(zero_is_ignored))) | ignored


def trouble_of(image: Path, mask: Path, allowed: set[int]) -> str:
    """Say what is wrong with a map and its image, or return an empty string."""
    try:
        with Image.open(mask) as opened:
            values = np.asarray(opened)  # of a palette its numbers, as the host reads it
    except (OSError, SyntaxError, ValueError) as error:
        return f"{mask}: expected a whole label map, got one that cannot be decoded ({error}); write it again"
    if values.ndim != 2:
        return (
            f"{mask}: expected a label map of one channel, got {values.shape[-1]}; "
            "write class numbers, not colours"
        )
    height, width = values.shape
    if trouble := broken_image(image, (width, height)):
        return f"{image}: {trouble.replace('annotations say', f'label map {mask} says')}; mend one of the two"
    odd = sorted(set(np.unique(values).tolist()) - allowed) if allowed else []
    if odd:
        last = max(allowed - {255}, default=0)
        return (
            f"{mask}: expected class numbers from 0 to {last} or 255 for ignored pixels, got "
            f"{some(map(str, odd))}; correct the map, or the classes in the dataset's metainfo"
        )
    return ""
