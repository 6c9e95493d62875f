"""What the clips of a list must be, videos or folders of frames, and their labels.

Host     none; a line is read as mmaction2 reads it (``lists``), a video as its decoder does
         (``videos``)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmext.data_checks import conclusions
from mmext.data_checks.lists import Clip, read_clips, wrong_labels
from mmext.data_checks.needs import Needs, parts, type_name
from mmext.data_checks.parallel import each
from mmext.data_checks.report import Report
from mmext.data_checks.videos import look, unreadable

DECODE_UP_TO = 2000
"""Videos of a split that are opened without being asked to."""


def check_clips(
    dataset: Mapping[str, Any],
    folder: str,
    report: Report,
    *,
    raw: bool,
    classes: int,
    needs: Needs,
    cure: str,
    decode: bool | None = None,
) -> None:
    """Find clips that are missing, empty or cut off, and labels that are no class.

    Args:
        dataset: config of mmaction2's VideoDataset or RawframeDataset.
        folder: where its videos or folders lie.
        report: takes the findings; its ``file`` lists the clips.
        raw: whether its samples are folders of frames.
        classes: how many there are; 0 for unknown.
        needs: what the run reads.
        cure: what the errors tell people to do.
        decode: whether to open videos; None opens up to :data:`DECODE_UP_TO`.
    """
    clips = read_clips(dataset, report.file, raw=raw)
    report.what, report.images = "folders of frames" if raw else "videos", len(clips)
    _check_labels(clips, folder, report, classes=classes, needs=needs)
    if decode is None and len(clips) > DECODE_UP_TO:
        report.warn(
            f"{report.file}: with {len(clips)} {report.what}, more than {DECODE_UP_TO}, they were "
            "looked for and not opened; mmext verify CONFIG --decode opens them all"
        )
    decode = len(clips) <= DECODE_UP_TO if decode is None else decode
    decoder, strict = _decoder(dataset), _strict(dataset)
    paths = [_path(Path(folder) / clip.name, decoder) for clip in clips]
    report.folders = tuple(sorted({str(path if raw else path.parent) for path in paths}))
    there = [path.is_dir() if raw else path.is_file() for path in paths]
    found = [
        (path, clip) for path, clip, is_there in zip(paths, clips, there, strict=True) if is_there
    ]
    look_at = partial(_look_at, dataset=dataset, raw=raw, decoder=decoder, strict=strict)
    seen = list(each(look_at, found, report.what)) if decode else []
    report.decoded, troubles = (
        len(seen),
        {id(clip): one for (_, clip), one in zip(found, seen, strict=False)},
    )
    for path, clip, is_there in zip(paths, clips, there, strict=True):
        if not is_there:
            kind = "a folder of frames" if raw else "a video"
            report.error(
                "missing",
                f"{path}: not found, expected {kind} since {report.file} lists it; {cure}",
            )
        elif trouble := troubles.get(id(clip), ("", 0))[0]:
            report.error("clip", f"{path}: {trouble}; remove it from {report.file}, or {cure}")
    _warn_of_short([frames for trouble, frames in seen if not trouble], dataset, report)


def _check_labels(
    clips: list[Clip], folder: str, report: Report, *, classes: int, needs: Needs
) -> None:
    """Report labels that are no class, clips without a label, and classes without a clip."""
    for clip, label in wrong_labels(clips, classes) if needs.truth else ():
        expected = (
            f"0 to {classes - 1}, since the head has {classes} classes" if classes else "0 on"
        )
        report.error(
            "label",
            f"{Path(folder) / clip.name}: expected labels from {expected}, got {label} in "
            f"{report.file}; correct it there"
            + (", or set num_classes of the head" if classes else ""),
        )
    labels = [clip.labels for clip in clips]
    if needs.truth and (error := conclusions.unlabelled_clips(labels, split=report.split)):
        report.error("unlabelled", f"{report.file}: {error}")
    counts = Counter(str(label) for one in labels for label in one)
    names = map(str, range(classes))
    if missing := conclusions.without_object(counts, names, split=report.split, what="clip"):
        report.warn(f"{report.file}: class {missing}")


def _decoder(dataset: Mapping[str, Any]) -> str:
    """What the pipeline opens videos with: decord, opencv, pyav or pims; empty for none of them."""
    steps = (type_name(step) for _, step in parts(dataset.get("pipeline") or (), ""))
    return next((one.removesuffix("Init").lower() for one in steps if one.endswith("Init")), "")


def _path(path: Path, decoder: str) -> Path:
    """The file that a decoder opens: mmaction2 adds .mp4 for decord where a name has no suffix."""
    return path.with_name(f"{path.name}.mp4") if decoder == "decord" and not path.suffix else path


def _look_at(
    item: tuple[Path, Clip], *, dataset: Mapping[str, Any], raw: bool, decoder: str, strict: int
) -> tuple[str, int]:
    """Say why a clip cannot be used, or an empty string, and how many frames it has."""
    path, clip = item
    trouble, frames = (_broken_folder(path, clip, dataset), clip.frames or 0) if raw else look(path)
    if not trouble and not raw:
        trouble = unreadable(path, decoder)
    if not trouble and frames < strict:
        trouble = f"expected {strict} frames or more, got {frames}"
    return trouble, frames


def _broken_folder(path: Path, clip: Clip, dataset: Mapping[str, Any]) -> str:
    """Say why a folder of frames cannot be used, or return an empty string.

    It looks for the folder's last frame.
    """
    frames = clip.frames or 0
    if frames < 1:
        return f"expected 1 frame or more, got {frames}"
    number = dataset.get("start_index", 1) + clip.first + frames - 1
    last = path / dataset.get("filename_tmpl", "img_{:05}.jpg").format(number)
    return "" if last.is_file() else f"expected the {frames} frames of its line, got no {last.name}"


def _warn_of_short(frames: Sequence[int], dataset: Mapping[str, Any], report: Report) -> None:
    """Tell of clips with fewer frames than are taken from each: mmaction2 takes some twice."""
    taken = segments(dataset)
    short = [one for one in frames if one < taken]
    if short:
        report.warn(
            f"{report.file}: {len(short)} of {len(frames)} {report.what} have fewer frames than "
            f"the {taken} that a clip takes (the shortest {min(short)}), so frames are taken more "
            "than once"
        )


def segments(dataset: Mapping[str, Any]) -> int:
    """Return how many frames a clip takes at least from different parts of a video: segments."""
    steps = [step for _, step in parts(dataset.get("pipeline") or (), "")]
    kinds = ("num_clips", "num_segments")
    return max(
        (int(step[key]) for step in steps for key in kinds if isinstance(step.get(key), int)),
        default=1,
    )


def _strict(dataset: Mapping[str, Any]) -> int:
    """Fewest frames of a clip: mmext's sampler refuses shorter ones, mmaction2's repeat frames."""
    steps = [step for _, step in parts(dataset.get("pipeline") or (), "")]
    strict = [
        one
        for one in steps
        if type_name(one) == "SegmentRepeatSample" and not one.get("allow_short")
    ]
    return max((one.get("num_segments", 1) for one in strict), default=1)
