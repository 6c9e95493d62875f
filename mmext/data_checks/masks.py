"""What label maps and their images must be so that mmseg can train on them.

Host     none: numpy and Pillow; a dataset's suffixes and classes come from its class, through the
         registry
Layout   as mmseg's BaseSegDataset reads it: one map an image, of the same name but for the suffix
Letters  a map holds one class a pixel, 0 to K - 1, or the value that is ignored (255)
"""

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmext.data_checks import conclusions, pictures
from mmext.data_checks.lists import read_lines
from mmext.data_checks.needs import Needs, loads_annotations, parts
from mmext.data_checks.parallel import each
from mmext.data_checks.pictures import Reader
from mmext.data_checks.report import Report
from mmext.errors import BadInputError, some

DECODE_UP_TO = 2000
"""Maps of a split that are all decoded without being asked to: about twenty seconds' worth."""

SAMPLE = 200
"""Of more than that so many are decoded, evenly spread: enough to see what their values mean."""

HIGHEST = 255
"""mmseg keeps eight bits of a map's values."""


class Pair(NamedTuple):
    """An image and its map."""

    image: Path
    mask: Path


class Seen(NamedTuple):
    """What was found in a pair."""

    trouble: str = ""
    values: Mapping[int, int] = {}
    """How many pixels have each value."""
    turned: bool = False
    """Whether the host turns the image, and nothing says that its map was turned, too."""


def check_masks(
    dataset: Mapping[str, Any],
    kind: Any,
    folders: Mapping[str, str],
    report: Report,
    *,
    names: Sequence[str],
    needs: Needs,
    cure: str,
    decode: bool | None = None,
) -> None:
    """Find maps that are missing, of another size than their image, or with values of no class.

    Args:
        dataset: its config.
        kind: its class, or None if nobody knows it.
        folders: where ``img_path`` and ``seg_map_path`` lie.
        report: takes the findings.
        names: the classes that the config wants; empty if that is unknown.
        needs: what the run reads.
        cure: what the errors tell people to do.
        decode: whether to decode; None decodes up to :data:`DECODE_UP_TO` pairs, and :data:`SAMPLE`
            of more.
    """
    reader = pictures.map_reader(dataset.get("pipeline") or (), "pillow")
    if dataset.get("pipeline") and reader is None and needs.truth:
        raise BadInputError(
            f"{report.split}_dataloader: expected LoadAnnotations in the pipeline, got none; add "
            "it, or set format_only=True in the evaluator"
        )
    _agree_on_zero(dataset, kind, report)
    pairs = list_pairs(dataset, kind, folders, report.file)
    if not pairs:
        raise BadInputError(f"{folders['img_path']}: expected images there, got none; {cure}")
    report.images = len(pairs)
    report.folders = tuple(sorted({str(path.parent) for pair in pairs for path in pair}))
    maps = reader is not None or needs.truth
    found = [pair for pair in pairs if not _missing(pair, report, cure, maps=maps)]
    chosen = choose(found, decode, report)
    if reader is None and not needs.truth:
        return
    look = partial(
        look_at,
        allowed=allowed_values(dataset, kind, len(names)),
        map_reader=reader or Reader("pillow", "unchanged"),
        image_reader=pictures.image_reader(dataset.get("pipeline") or ()),
    )
    with pictures.of_any_size():
        seen = list(each(look, chosen, "label maps"))
    report.decoded = len(seen)
    _conclude(seen, dataset, kind, report, names=names, needs=needs)


def _agree_on_zero(dataset: Mapping[str, Any], kind: Any, report: Report) -> None:
    """Data set and loader must agree whether 0 is ignored: else the host stops at the first map."""
    expected = bool(setting(dataset, kind, "reduce_zero_label", False))
    for _, step in parts(dataset.get("pipeline") or (), "pipeline"):
        got = step.get("reduce_zero_label")
        if loads_annotations(step) and got is not None and bool(got) != expected:
            report.error(
                "zero",
                f"{report.split}_dataloader: expected reduce_zero_label={expected} in "
                f"LoadAnnotations as in the data set, got {got}; leave it out there",
            )


def choose(found: list[Pair], decode: bool | None, report: Report) -> list[Pair]:
    """Those of the pairs that are decoded."""
    if decode is None and len(found) > DECODE_UP_TO:
        step = max(1, len(found) // SAMPLE)
        report.warn(
            f"{report.file}: of {len(found)} images and maps, more than {DECODE_UP_TO}, "
            f"{len(found[::step])} were decoded; mmext verify CONFIG --decode decodes them all"
        )
        return found[::step]
    return [] if decode is False else found


def _missing(pair: Pair, report: Report, cure: str, *, maps: bool) -> bool:
    """Report a file that is not there."""
    image, mask = pair
    if not image.is_file():
        report.error(
            "missing", f"{image}: not found, expected an image since {report.file} lists it; {cure}"
        )
    elif maps and not mask.is_file():
        report.error(
            "missing", f"{mask}: not found, expected the label map of {image.name} there; {cure}"
        )
    else:
        return False
    return True


def list_pairs(
    dataset: Mapping[str, Any], kind: Any, folders: Mapping[str, str], ann_file: str
) -> list[Pair]:
    """Return image and map of each sample: those that the list names, else all in the folder."""
    image_suffix = setting(dataset, kind, "img_suffix", ".jpg")
    mask_suffix = setting(dataset, kind, "seg_map_suffix", ".png")
    images = Path(folders["img_path"])
    masks = Path(folders.get("seg_map_path", folders["img_path"]))
    if dataset.get("ann_file") and Path(ann_file).is_file():
        names = [line.strip() for line in read_lines(ann_file)]
    else:
        found = sorted(images.rglob(f"*{image_suffix}"))
        names = [str(path.relative_to(images))[: -len(image_suffix)] for path in found]
    return [Pair(images / (name + image_suffix), masks / (name + mask_suffix)) for name in names]


def setting(dataset: Mapping[str, Any], kind: Any, name: str, default: Any) -> Any:
    """Return an argument of the dataset: from the config, its class's default, or ``default``."""
    if name in dataset:
        return dataset[name]
    parameter = inspect.signature(kind).parameters.get(name) if kind is not None else None
    return (
        default if parameter is None or parameter.default is parameter.empty else parameter.default
    )


def ignored_values(dataset: Mapping[str, Any], kind: Any) -> set[int]:
    """The values that are no class."""
    return {HIGHEST, setting(dataset, kind, "ignore_index", HIGHEST)}


def allowed_values(dataset: Mapping[str, Any], kind: Any, classes: int) -> set[int]:
    """Return the values that a map may hold before mmseg renumbers them; empty if unknown."""
    # A config may choose some of the dataset's own classes; its maps still hold all of them.
    classes = len(getattr(kind, "METAINFO", {}).get("classes", ())) or classes
    if not classes:
        return set()
    zero_is_ignored = setting(dataset, kind, "reduce_zero_label", False)
    return set(range(classes + bool(zero_is_ignored))) | ignored_values(dataset, kind)


def look_at(
    pair: Pair, *, allowed: set[int], map_reader: Reader, image_reader: Reader | None
) -> Seen:
    """Decode a map and its image, as the pipeline does."""
    image, mask = pair
    try:
        values = read_map(mask, map_reader)
    except Exception as error:
        # Pillow's plug-ins raise whatever a damaged file makes them stumble over.
        return Seen(
            f"{mask}: expected a whole label map, got one that cannot be decoded "
            f"({error or type(error).__name__}); write it again"
        )
    if values.ndim != 2:
        return Seen(
            f"{mask}: expected a label map of one channel, got {values.shape[-1]}; "
            "write class numbers, not colours"
        )
    if (
        (values.min(initial=0) < 0 or values.max(initial=0) > HIGHEST)
        if values.dtype != np.uint8
        else False
    ):
        return Seen(
            f"{mask}: expected class numbers of eight bits, from 0 to {HIGHEST}, got "
            f"{values.min()} to {values.max()}; write eight bits, since mmseg cuts the others off"
        )
    counts = np.bincount(values.ravel().astype(np.int64), minlength=1)
    found = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    turned = False
    if image_reader is not None:
        picture = pictures.look(image, image_reader)
        height, width = values.shape
        if trouble := pictures.disagreement(picture, (width, height), f"label map {mask} says"):
            return Seen(f"{image}: {trouble}; mend one of the two", found)
        turned = pictures.turned_unseen(picture, image_reader)
    odd = sorted(set(found) - allowed) if allowed else []
    return Seen(_odd_values(mask, odd, allowed) if odd else "", found, turned)


def read_map(mask: Path, reader: Reader) -> Any:
    """A label map's values, as mmcv decodes it: of a palette its numbers, where Pillow does it."""
    if reader.backend != "pillow":
        import mmcv

        pixels = mmcv.imfrombytes(mask.read_bytes(), flag=reader.flag, backend=reader.backend)
        if pixels is None:
            raise ValueError(f"by {reader.backend}")
        return np.asarray(pixels).squeeze()
    with Image.open(mask) as opened:
        values = np.asarray(opened)
    return values.squeeze() if values.ndim > 2 else values


def _odd_values(mask: Path, odd: list[int], allowed: set[int]) -> str:
    """What is wrong with values that are no class."""
    last = max(allowed - {HIGHEST}, default=0)
    return (
        f"{mask}: expected class numbers from 0 to {last} or 255 for ignored pixels, got "
        f"{some(map(str, odd))}; correct the map, or the classes in the dataset's metainfo"
    )


def _conclude(
    seen: list[Seen],
    dataset: Mapping[str, Any],
    kind: Any,
    report: Report,
    *,
    names: Sequence[str],
    needs: Needs,
) -> None:
    """Report each pair's trouble, then what the values of all maps mean together."""
    pixels: Counter[int] = Counter()
    for one in seen:
        if one.trouble:
            report.error("pair", one.trouble)
        else:
            pixels.update(one.values)
    if turned := sum(one.turned for one in seen):
        report.warn(
            f"{report.file}: {turned} images have an EXIF tag by which the host turns or mirrors "
            "them as it loads them, and their maps stay as they are; store them turned and "
            "without the tag"
        )
    own = getattr(kind, "METAINFO", {}).get("classes", ())
    zero_is_ignored = bool(setting(dataset, kind, "reduce_zero_label", False))
    ignored = ignored_values(dataset, kind)
    error = conclusions.nothing_to_segment(
        pixels,
        classes=len(own) or len(names),
        ignored=ignored,
        zero_is_ignored=zero_is_ignored,
        split=report.split,
    )
    if error and needs.truth:
        report.error("nothing", f"{report.file}: {error}")
    elif not report.errors and needs.truth:
        objects = {
            str(name): pixels[index + zero_is_ignored] for index, name in enumerate(own or names)
        }
        if missing := conclusions.without_object(
            objects, [one for one in names if one in objects], split=report.split, what="pixel"
        ):
            report.warn(f"{report.file}: {missing}")
