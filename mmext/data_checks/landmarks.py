"""What pictures with points must be: inside, visible, as many as the net draws, with a length.

Host     mmengine alone: the data set itself lists its samples, through the registry, so every
         format is read as training reads it, and says in a sentence what it cannot read
Errors   what makes training or evaluation fail, or its numbers worthless; warnings: samples that
         count for nothing
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmext.data_checks import needs, pictures
from mmext.data_checks.needs import EYES, parts, type_name
from mmext.data_checks.parallel import each
from mmext.data_checks.pictures import Picture, Reader
from mmext.data_checks.report import Report
from mmext.data_checks.videos import broken_video
from mmext.errors import BadInputError

DECODE_UP_TO = 5000
"""Pictures of a split that are decoded without being asked to."""

MOST_OUTSIDE = 0.5
"""Share of points outside their pictures from which the coordinates must be others'."""

BOX_NORMS = ("sqrt_area", "bbox_long", "bbox_diag")

Sample = Mapping[str, Any]
Finding = tuple[bool, str]
"""Whether it is an error, and the sentence."""


def check_landmarks(
    dataset: Mapping[str, Any],
    kind: Any,
    report: Report,
    *,
    cfg: Mapping[str, Any],
    cure: str,
    decode: bool | None = None,
) -> None:
    """Check a data set of pictures with points, and what the config does with it.

    Args:
        dataset: its config.
        kind: its class.
        report: takes the findings; ``file`` is the data set's file, or empty.
        cfg: the whole config.
        cure: what the errors tell people to do.
        decode: whether to decode pictures; None decodes up to :data:`DECODE_UP_TO`.

    Raises:
        BadInputError: the data set cannot be read at all.
    """
    built = _built(dataset, kind, report.split)
    samples = [built.get_data_info(number) for number in range(len(built))]
    needs_labels = getattr(kind, "NEEDS_LABELS", True)
    report.what = "pictures with points" if needs_labels else "pictures without labels"
    report.images = len(samples)
    report.file = report.file or str(built.data_prefix.get("img_path") or built.data_root)
    seen = _check_pictures(samples, dataset, report, cure=cure, decode=decode)
    labelled = [one for one in samples if one["keypoints_visible"].any()]
    for is_error, sentence in [
        *_counts(cfg, samples),
        *_flips(cfg, dataset, built.metainfo.get("flip_pairs"), report.split),
        *(_invisible(samples, labelled) if needs_labels else ()),
        *_outside(labelled, seen),
        *_lengths(cfg, report.split, labelled),
    ]:
        report.error("points", f"{report.file}: {sentence}") if is_error else report.warn(
            f"{report.file}: {sentence}"
        )


def _built(dataset: Mapping[str, Any], kind: Any, split: str) -> Any:
    """The data set without its pipeline.

    Raises:
        BadInputError: it cannot be read, or not with these arguments.
    """
    own = {key: value for key, value in dataset.items() if key != "type"}
    try:
        return kind(**{**own, "pipeline": [], "serialize_data": False})
    except BadInputError:
        raise
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"{split}_dataloader.dataset: expected arguments of {type_name(dataset)}, got others "
            f"({error}); correct them"
        ) from None


def _check_pictures(
    samples: Sequence[Sample],
    dataset: Mapping[str, Any],
    report: Report,
    *,
    cure: str,
    decode: bool | None,
) -> dict[str, Picture]:
    """Report files that are missing or cannot be decoded; returns what the others are."""
    paths = sorted({one["img_path"] for one in samples if one.get("frame_idx") is None})
    report.folders = tuple(sorted({str(Path(path).parent) for path in paths}))
    there = [path for path in paths if Path(path).is_file()]
    for path in sorted(set(paths) - set(there)):
        sentence = f"not found, expected a picture since {report.file} lists it; {cure}"
        report.error("missing", f"{path}: {sentence}")
    for video in sorted({one["img_path"] for one in samples if one.get("frame_idx") is not None}):
        if trouble := broken_video(Path(video)):
            report.error("video", f"{video}: {trouble}; copy it again, or convert it")
    reader = pictures.image_reader(dataset.get("pipeline") or ())
    if decode is None and len(there) > DECODE_UP_TO:
        report.warn(
            f"{report.file}: with {len(there)} pictures, more than {DECODE_UP_TO}, they were not "
            "decoded; mmext verify CONFIG --decode decodes them all"
        )
        return {}
    if decode is False or reader is None:
        return {}
    with pictures.of_any_size():
        found = list(each(partial(_look, reader=reader), there, "pictures"))
    report.decoded = len(found)
    for path, one in zip(there, found, strict=True):
        if one.trouble:
            report.error("picture", f"{path}: {one.trouble}; copy it again, or remove it")
    return {path: one for path, one in zip(there, found, strict=True) if not one.trouble}


def _look(path: str, *, reader: Reader) -> Picture:
    return pictures.look(Path(path), reader)


def _counts(cfg: Mapping[str, Any], samples: Sequence[Sample]) -> Iterator[Finding]:
    """Say which part of the model expects another number of points."""
    got = len(samples[0]["keypoints"]) if samples else 0
    for path, part in parts(cfg.get("model") or {}, "model"):
        wanted = part.get("num_keypoints")
        if isinstance(wanted, int) and got and wanted != got:
            yield (
                True,
                f"expected {wanted} points as {path}.num_keypoints says, got {got}; set it to "
                f"{got}, or take the files of those {wanted} points",
            )


def _flips(
    cfg: Mapping[str, Any], dataset: Mapping[str, Any], pairs: Any, split: str
) -> Iterator[Finding]:
    """Say who mirrors pictures of a data set that names no pairs."""
    if pairs is not None:
        return
    mirrors = [
        "FaceFlip in its pipeline"
        for _, step in parts(dataset.get("pipeline") or (), "pipeline")
        if type_name(step) == "FaceFlip" and step.get("prob", 0.5)
    ]
    if split != "train":
        tested = parts(cfg.get("model") or {}, "model")
        mirrors += [f"{path}.flip_test" for path, part in tested if part.get("flip_test")]
    for who in mirrors[:1]:
        yield (
            True,
            f"expected to know which points change places in a mirror, since there is {who}, got "
            "no pairs; set metainfo=dict(flip_pairs=[(0, 1), ...]), or do not mirror",
        )


def _invisible(samples: Sequence[Sample], labelled: Sequence[Sample]) -> Iterator[Finding]:
    """Say how many samples have no visible point."""
    known = {id(one) for one in labelled}
    bare = [one for one in samples if id(one) not in known]
    if bare and labelled:
        yield (
            False,
            f"{len(bare)} of {len(samples)} samples have no visible point and count as unlabelled, "
            f"the first {bare[0]['img_path']}; label them, or remove them",
        )


def _outside(labelled: Sequence[Sample], seen: Mapping[str, Picture]) -> Iterator[Finding]:
    """Say how many points lie outside their pictures, and where coordinates are no pixels."""
    sized = [one for one in labelled if one["img_path"] in seen]
    if not sized:
        return
    total, outside, first = 0, 0, ""
    largest = 0.0
    for one in sized:
        points = one["keypoints"][one["keypoints_visible"] > 0]
        size = np.array(seen[one["img_path"]].size)
        beyond = ((points < -0.5) | (points > size - 0.5)).any(1)  # pixels' centres are whole
        total, outside = total + len(points), outside + int(beyond.sum())
        largest = max(largest, float(points.max()))
        if beyond.any() and not first:
            x, y = points[beyond][0]
            first = f"({x:g}, {y:g}) in {one['img_path']} of {size[0]} x {size[1]} pixels"
    if largest <= 1:
        yield (
            True,
            f"expected points in pixels, got none above {largest:g}, as shares of the sides have; "
            "multiply them by width and height",
        )
    elif outside:
        cure = "a crop may show them, but correct them if they are slips"
        if severe := outside > MOST_OUTSIDE * total:
            cure = "take the pictures that were labelled, in their size"
        yield (
            severe,
            f"{outside} of {total} visible points lie outside their pictures, the first {first}; "
            f"{cure}",
        )


def _lengths(cfg: Mapping[str, Any], split: str, labelled: Sequence[Sample]) -> Iterator[Finding]:
    """Say of which samples a metric finds no length to divide errors by."""
    for metric in needs.metrics(cfg, split):
        if type_name(metric) != "LandmarkNME" or not labelled:
            continue
        norm, count = metric.get("norm", "outer_eye"), len(labelled[0]["keypoints"])
        eyes = metric.get("eye_points") or EYES.get(norm)
        if norm in EYES and eyes and max(max(eye) for eye in eyes) >= count:
            yield (
                True,
                f"expected the points of {norm}, up to {max(max(eye) for eye in eyes)}, got "
                f"{count} points; set eye_points of LandmarkNME, or another norm",
            )
            continue
        bare = [one for one in labelled if not _has_length(norm, one, eyes)]
        if bare:
            yield (
                len(bare) == len(labelled),
                f"{len(bare)} of {len(labelled)} labelled samples have no {norm} above 0 to divide "
                f"errors by, the first {bare[0]['img_path']}, and are left out of the numbers; "
                "correct them, or take another norm",
            )


def _has_length(norm: str, sample: Sample, eyes: Any) -> bool:
    """Whether the length of a norm is above 0 in a sample."""
    if norm == "norm_len":
        return bool(sample.get("norm_len", 0) > 0)
    if norm in BOX_NORMS:
        box = sample["bbox"]
        if np.isnan(box).any():
            return True  # of the whole picture
        sides = np.clip(box[2:] - box[:2], 0, None)
        return bool(sides.min() > 0 if norm == "sqrt_area" else sides.max() > 0)
    if norm in EYES:
        left, right = (list(eye) for eye in eyes)
        if not (sample["keypoints_visible"][[*left, *right]] > 0).all():
            return False
        points = sample["keypoints"]
        return bool(np.linalg.norm(points[left].mean(0) - points[right].mean(0)) > 0)
    return True
