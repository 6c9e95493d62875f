"""Whether metrics can judge: the files that they read, and what data sets and pipelines give them.

Host     none but for the classes of data sets and transforms, which come through the registry
Fails    all of this only after the first epoch, when the first evaluation starts or ends
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.data_checks import layouts, needs
from mmext.data_checks.coco import check_file, read_coco
from mmext.data_checks.evaluators import other_images, panoptic_troubles, unpacked, voc_troubles
from mmext.data_checks.lists import read_lines
from mmext.data_checks.needs import parts, type_name
from mmext.data_checks.report import Report
from mmext.data_checks.stated import cure_of, join, wanted_classes
from mmext.errors import BadInputError

Sets = Sequence[Mapping[str, Any]]


def check_judges(cfg: Mapping[str, Any], split: str, sets: Sets) -> Report:
    """Find what the metrics of a split fail on as they judge its data sets.

    Args:
        cfg: the whole config.
        split: train, val or test.
        sets: the configs of the split's data sets that read files.
    """
    report = Report(split, f"{split}_evaluator")
    for metric in needs.metrics(cfg, split) if sets else ():
        # Of several data sets behind one another, the first one's classes count for all.
        for is_error, sentence in _of_first(metric, sets[0]):
            sentence = f"{report.file}: {type_name(metric)}: {sentence}"
            report.error("metric", sentence) if is_error else report.warn(sentence)
        for dataset in sets:
            for is_error, sentence in _of_pipeline(metric, dataset):
                sentence = f"{split}_dataloader: {sentence}"
                if sentence not in (*report.errors, *report.warnings):
                    report.error("pipeline", sentence) if is_error else report.warn(sentence)
    return report


def _of_first(metric: Mapping[str, Any], dataset: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """What of a metric's own arguments fails, and what its classes make of the result."""
    classes = wanted_classes(dataset)
    names = () if isinstance(classes, str) else tuple(map(str, classes))
    if type_name(metric) == "VOCMetric":
        yield from voc_troubles(metric, names, *_table(dataset))
    elif type_name(metric) == "CocoPanopticMetric":
        own = getattr(layouts.dataset_class(dataset), "METAINFO", {})
        things = {**own, **(dataset.get("metainfo") or {})}.get("thing_classes")
        known = layouts.layout(dataset) == layouts.PANOPTIC
        yield from panoptic_troubles(metric, names if known else (), things)


def _table(dataset: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """``VOC2007`` or ``VOC2012`` where the host takes a data set for it, and its names then."""
    bases = getattr(layouts.dataset_class(dataset), "__mro__", ())
    pascal = next((one for one in bases if one.__name__ == "VOCDataset"), None)
    if pascal is None:
        return "", ()
    prefix = (dataset.get("data_prefix") or {}).get("sub_data_root") or ""
    path = join(str(dataset.get("data_root") or ""), prefix)
    year = next((year for year in ("VOC2007", "VOC2012") if year in path), "")
    return year, pascal.METAINFO["classes"]


def _of_pipeline(
    metric: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Iterator[tuple[bool, str]]:
    """What a metric reads of its samples that the pipeline does not hand on, or changes."""
    found = parts(dataset.get("pipeline") or (), "pipeline")
    steps = [step for _, step in found if "type" in step]
    if missing := unpacked(metric, steps):
        yield (
            True,
            f"expected {', '.join(missing)} in meta_keys of PackDetInputs, which "
            f"{type_name(metric)} reads, got none; add them",
        )
    if type_name(metric) != "VOCMetric" or not steps:
        return
    places = [place for place, step in enumerate(steps) if needs.loads_annotations(step)]
    loaders = [steps[place] for place in places]
    if not loaders and all(map(_is_hosts, steps)):
        yield (
            True,
            "expected LoadAnnotations in the pipeline, whose boxes VOCMetric reads, got none; add "
            "dict(type='LoadAnnotations', with_bbox=True) behind Resize",
        )
    elif loaders and not any(
        one.get("with_bbox", True) and one.get("with_label", True) for one in loaders
    ):
        yield (
            True,
            "expected with_bbox=True and with_label=True in LoadAnnotations, since VOCMetric reads "
            "both, got another; set them",
        )
    elif places and any("Resize" in type_name(step) for step in steps[places[-1] :]):
        yield (
            False,
            "VOCMetric compares boxes of the picture's own size, and Resize behind "
            "LoadAnnotations changes them; move LoadAnnotations behind it",
        )


def _is_hosts(step: Mapping[str, Any]) -> bool:
    """Whether a step is known to load no boxes in a way of its own."""
    from mmengine.registry import TRANSFORMS

    kind = step["type"]
    if isinstance(kind, str):
        with TRANSFORMS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return getattr(kind, "__module__", "").partition(".")[0] in ("mmcv", "mmdet", "mmext")


def check_evaluator(cfg: Mapping[str, Any], split: str, sets: Sets) -> Report:
    """Check annotation files that only a metric reads, and not the data sets of its split."""
    report = Report(split, f"{split}_evaluator")
    cure = cure_of(cfg, "data_command", "fetch the data or correct the path in the config")
    known = {str(Path(_file(dataset))) for dataset in sets}
    for metric in needs.metrics(cfg, split):
        file = metric.get("ann_file")
        if not isinstance(file, str) or not file or "://" in file or str(Path(file)) in known:
            continue
        if not Path(file).exists():
            report.errors.append(
                f"{file}: not found, expected the annotations of {report.file} there; {cure}"
            )
            continue
        for dataset in sets:
            if layouts.layout(dataset) in _judged_by(metric) and Path(_file(dataset)).is_file():
                try:
                    _compare(cfg, metric, dataset, report, cure)
                except BadInputError as error:
                    report.error("refused", str(error))
    return report


def _judged_by(metric: Mapping[str, Any]) -> tuple[str, ...]:
    """The layouts of data sets whose samples a metric looks up in its own file."""
    if needs.reads_coco(metric):
        return (layouts.COCO, layouts.XML)
    return (layouts.PANOPTIC,) if needs.reads_panoptic(metric) else ()


def _file(dataset: Mapping[str, Any]) -> str:
    """The path of a data set's annotations."""
    return join(str(dataset.get("data_root") or ""), str(dataset.get("ann_file") or ""))


def _compare(
    cfg: Mapping[str, Any],
    metric: Mapping[str, Any],
    dataset: Mapping[str, Any],
    report: Report,
    cure: str,
) -> None:
    """Check a file that only the evaluator reads, and that its images are the data set's own."""
    file, mine, layout = metric["ann_file"], _file(dataset), layouts.layout(dataset)
    wants = needs.find(cfg, report.split, dataset)
    theirs = read_coco(file, cure, annotations=wants.truth, outlines=wants.outlines)
    inner = Report(report.split, file)
    check_file(
        theirs,
        wanted_classes(dataset),
        inner,
        kind=layouts.PANOPTIC if layout == layouts.PANOPTIC else layouts.COCO,
        needs=dataclasses.replace(wants, masks=False),
    )
    report.errors += inner.errors
    report.warnings += inner.warnings
    report.kinds.update(
        {f"{kind} of the evaluator": number for kind, number in inner.kinds.items()}
    )
    report.labels = inner.labels
    if inner.errors:
        return
    own = (
        dict(images=[dict(id=name) for name in read_lines(mine)])
        if layout == layouts.XML
        else read_coco(mine, cure, annotations=wants.truth, outlines=False)
    )
    if layout == layouts.XML and not any(needs.kinds(metric) - {"proposal_fast"}):
        return  # recalls of proposals look no image up
    error, warning = other_images(own, theirs, file=mine)
    if layout == layouts.PANOPTIC and warning:
        # Its images are looked up one by one, unless all results are written first.
        stops = metric.get("outfile_prefix") is not None and not metric.get("format_only")
        error, warning = (f"{warning}, at which it stops" if stops else ""), ""
    if error:
        report.error("images", f"{file}: {error}")
    if warning:
        report.warn(f"{file}: {warning}")
