"""Look at the data and weights that a config names before a run spends hours on them.

Host     none for the checks; only a dataset's default classes come from its host, through the registry
Checks   annotation files, image folders and weights are there; in full, COCO files and their images
         (``coco``), label maps and their images (``masks``), clips and their labels (``videos``)
Config   data_command, weights_command: what to run when data or weights are missing
         verify = dict(allow_odd_boxes=True): count boxes outside the image or without size instead
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmext.data_checks.coco import Report, check_boxes, check_classes, check_images, read_coco
from mmext.data_checks.masks import check_masks
from mmext.data_checks.videos import check_clips
from mmext.errors import BadInputError

SPLITS = ("train", "val", "test")
CLIPS = dict(VideoDataset="video", RawframeDataset="img")
"""Kinds of mmaction2's datasets, and their key of ``data_prefix``."""


def check(
    cfg: Mapping[str, Any], splits: Iterable[str] = SPLITS, *, decode: bool | None = None
) -> list[Report]:
    """Check the datasets of ``splits`` and, for training, the weights to start from.

    Splits that the config lacks are passed over.

    Args:
        cfg: the whole config.
        splits: of train, val and test.
        decode: whether to decode images; None decodes where there are not too many.
    """
    # A test loads its checkpoint over whatever the model would have started from.
    reports = [check_weights(cfg)] if "train" in splits else []
    seen = set()
    for split in splits:
        for dataset in datasets(cfg, split):
            files = json.dumps([dataset.get(key) for key in ("ann_file", "data_root", "data_prefix")])
            if files not in seen:  # val and test are often the same
                seen.add(files)
                reports.append(check_dataset(dataset, split=split, cfg=cfg, decode=decode))
    known = {str(Path(report.file)) for report in reports}
    reports += [check_evaluator(cfg, split, known) for split in splits]
    return [one for one in reports if one.images or one.errors or one.warnings]


def refuse_errors(reports: Sequence[Report]) -> None:
    """Raise the first error, saying how many more there are.

    Raises:
        BadInputError: there is one.
    """
    errors = [error for report in reports for error in report.errors]
    if errors:
        more = f" ({len(errors) - 1} more: mmext verify lists them)" if len(errors) > 1 else ""
        raise BadInputError(errors[0] + more)


def datasets(cfg: Mapping[str, Any], split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the datasets of a split that read files, looking inside wrappers."""
    stack = [(cfg.get(f"{split}_dataloader") or {}).get("dataset")]
    while stack:
        dataset = stack.pop(0)
        if not isinstance(dataset, Mapping):
            continue  # an object that is built already
        inner = [dataset.get("dataset"), *(dataset.get("datasets") or ())]
        if any(isinstance(one, Mapping) for one in inner):
            stack = inner + stack
        else:
            yield dataset


def check_dataset(
    dataset: Mapping[str, Any], *, split: str, cfg: Mapping[str, Any], decode: bool | None = None
) -> Report:
    """Check one dataset: a COCO file in full, of others that their files and folders exist."""
    root = dataset.get("data_root") or ""
    report = Report(split, _join(root, dataset.get("ann_file") or ""))
    if (
        "://" in f"{root}{report.file}"
        or (dataset.get("backend_args") or {}).get("backend", "local") != "local"
    ):
        report.warnings.append(f"{report.file}: lies on a remote store, so nothing was checked")
        return report
    cure = _cure(cfg, "data_command", "fetch the data or correct the path in the config")
    folders = {key: _join(root, prefix) or root for key, prefix in (dataset.get("data_prefix") or {}).items()}
    for what, path in {"annotations": report.file, **folders}.items():
        if path and not Path(path).exists():
            report.errors.append(f"{path}: not found, expected the {split} split's {what} there; {cure}")
    if not report.errors and "seg_map_path" in folders:
        return check_segmentation(dataset, folders, report, cfg=cfg, decode=decode)
    if report.errors or not report.file:
        return report
    if (kind := str(dataset.get("type")).rpartition(".")[2]) in CLIPS:
        classes = ((cfg.get("model") or {}).get("cls_head") or {}).get("num_classes", 0)
        place = folders.get(CLIPS[kind], root)
        try:
            check_clips(dataset, place, report, classes=classes, cure=cure, decode=decode)
        except BadInputError as error:
            report.errors.append(str(error))
        return report
    if not report.file.endswith(".json"):
        report.warnings.append(f"{report.file}: is no COCO file, so only its presence was checked")
        return report
    try:
        coco = read_coco(report.file, cure)
        wanted = wanted_classes(dataset)
        check_classes(coco, wanted, report)
        odd_is_fine = bool((cfg.get("verify") or {}).get("allow_odd_boxes"))
        check_boxes(coco, wanted, report, allow_odd=odd_is_fine)
        check_images(coco, folders.get("img", root), report, cure=cure, decode=decode)
    except BadInputError as error:
        report.errors.append(str(error))
    return report


def check_segmentation(
    dataset: Mapping[str, Any],
    folders: Mapping[str, str],
    report: Report,
    *,
    cfg: Mapping[str, Any],
    decode: bool | None,
) -> Report:
    """Check the label maps of a dataset, and that the heads tell as many classes apart as it has."""
    report.file, report.what = report.file or folders["seg_map_path"], "label maps"
    cure = _cure(cfg, "data_command", "fetch the data or correct the path in the config")
    classes = len(wanted_classes(dataset))
    for path, part in parts(cfg.get("model") or {}, "model"):
        if classes and part.get("num_classes", classes) != classes:
            report.errors.append(
                f"{path}.num_classes: expected {classes}, the number of classes of the {report.split} split, "
                f"got {part['num_classes']}; set it to {classes}"
            )
    try:
        kind = dataset_class(dataset)
        check_masks(dataset, kind, folders, report, classes=classes, cure=cure, decode=decode)
    except BadInputError as error:
        report.errors.append(str(error))
    return report


def wanted_classes(dataset: Mapping[str, Any]) -> Any:
    """Return the classes that the config wants: its metainfo's, else the default of the dataset's class."""
    classes = (dataset.get("metainfo") or {}).get("classes")
    if isinstance(classes, str) and Path(classes).is_file():
        return Path(classes).read_text().splitlines()
    if classes is not None:
        return classes
    return getattr(dataset_class(dataset), "METAINFO", {}).get("classes", ())


def dataset_class(dataset: Mapping[str, Any]) -> Any:
    """Return the class of a dataset, or None if nobody knows it."""
    kind = dataset.get("type")
    if not isinstance(kind, str):
        return kind
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(kind)


def check_evaluator(cfg: Mapping[str, Any], split: str, known: set[str]) -> Report:
    """Find annotation files that only the metric reads; ``known`` ones are checked already."""
    report = Report(split, f"{split}_evaluator")
    cure = _cure(cfg, "data_command", "fetch the data or correct the path in the config")
    evaluator = cfg.get(f"{split}_evaluator") or ()
    for metric in [evaluator] if isinstance(evaluator, Mapping) else evaluator:
        file = metric.get("ann_file") if isinstance(metric, Mapping) else None
        if file and "://" not in file and str(Path(file)) not in known and not Path(file).exists():
            report.errors.append(
                f"{file}: not found, expected the annotations of {report.file} there; {cure}"
            )
    return report


def check_weights(cfg: Mapping[str, Any]) -> Report:
    """Find local files of weights that the model starts from and that are not there."""
    report = Report("weights", "model")
    cure = _cure(
        cfg, "weights_command", "fetch it, or set that init_cfg to None to start from random weights"
    )
    for path, part in parts(cfg.get("model") or {}, "model"):
        file = part.get("checkpoint") if part.get("type") == "Pretrained" else None
        if isinstance(file, str) and "://" not in file and not Path(file).is_file():
            report.errors.append(f"{file}: not found, expected the weights of {path} there; {cure}")
    return report


def parts(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping inside a config with its path, such as ``model.bbox_head``."""
    if isinstance(node, Mapping):
        yield path, node
        for key, value in node.items():
            yield from parts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from parts(value, f"{path}[{index}]")


def _join(root: str, path: str) -> str:
    """Join as mmengine does: an empty path stays empty, an absolute one stays itself."""
    return str(Path(root) / path) if path and "://" not in path + root else path


def _cure(cfg: Mapping[str, Any], key: str, otherwise: str) -> str:
    return f"run {cfg[key]}" if cfg.get(key) else otherwise
