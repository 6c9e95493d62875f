"""Look at the data and weights that a config names before a run spends hours on them.

Host     none for the checks; only a dataset's class comes from its host, through the registry
Checks   annotation files, image folders and weights are there; in full, COCO files and their images
         (``coco``), label maps and their images (``masks``), clips and their labels (``clips``);
         places of the config that must agree (``agreement``)
Errors   what makes a run worthless or stops it; warnings: what makes it doubtful
Config   data_command, weights_command: what to run when data or weights are missing
         verify = dict(allow_odd_boxes=True): count boxes outside the image or without size instead
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DefaultScope

from mmext.data_checks import agreement, conclusions, layouts, needs
from mmext.data_checks.data_sets import check_dataset
from mmext.data_checks.judges import check_evaluator, check_judges
from mmext.data_checks.label_lists import read_labels
from mmext.data_checks.needs import metrics, parts, type_name
from mmext.data_checks.report import Report
from mmext.data_checks.stated import cure_of, wanted_classes
from mmext.errors import BadInputError

SPLITS = ("train", "val", "test")
UNLABELED = "unlabeled"


def check(
    cfg: Mapping[str, Any],
    splits: Iterable[str] = SPLITS,
    *,
    decode: bool | None = None,
    anew: bool = False,
) -> list[Report]:
    """Check the datasets of ``splits``, what must agree with them, and the weights to start from.

    Splits that the config lacks are passed over.

    Args:
        cfg: the whole config.
        splits: of train, val and test.
        decode: whether to decode images; None decodes where there are not too many.
        anew: look again at what was found right before and has not changed since.
    """
    # Types are names of this host's.
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        return _check(cfg, tuple(splits), decode=decode, anew=anew)


def _check(
    cfg: Mapping[str, Any], splits: tuple[str, ...], *, decode: bool | None, anew: bool
) -> list[Report]:
    cfg, splits = _with_unlabeled(cfg, splits)
    if (shape := check_shape(cfg, splits)).errors:
        return [shape]
    # A test loads its checkpoint over whatever the model would have started from.
    reports = [check_weights(cfg)] if "train" in splits else []
    seen: dict[str, Report] = {}
    for split in splits:
        for dataset in datasets(cfg, split):
            wants = dataclasses.astuple(needs.find(cfg, split, dataset))
            key = json.dumps([wants, dataset], default=str)
            if key not in seen:  # val and test are often the same
                seen[key] = check_dataset(dataset, split=split, cfg=cfg, decode=decode, anew=anew)
                reports.append(seen[key])
    for split in splits:
        sets = list(datasets(cfg, split))
        reports += [check_evaluator(cfg, split, sets), check_judges(cfg, split, sets)]
    reports += [check_lists(cfg, split) for split in splits]
    reports += [check_labels(reports), check_agreement(cfg, splits)]
    return [one for one in reports if one.images or one.errors or one.warnings]


def _with_unlabeled(
    cfg: Mapping[str, Any], splits: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The pictures without labels that training reads beside the others, as a split of its own.

    A loop takes them from the config's ``unlabeled_dataloader`` or from its own argument.
    """
    key = f"{UNLABELED}_dataloader"
    loop = cfg.get("train_cfg")
    own = loop.get(key) if isinstance(loop, Mapping) else None
    if "train" not in splits or not (own or cfg.get(key)):
        return cfg, splits
    return {**cfg, key: own or cfg[key]}, (*splits, UNLABELED)


def check_shape(cfg: Mapping[str, Any], splits: Iterable[str]) -> Report:
    """Find parts of the config that are no dict: a comma behind one makes a tuple of it."""
    report = Report("all", "config")
    for key in ("model", *(f"{split}_dataloader" for split in splits)):
        if cfg.get(key) is not None and not isinstance(cfg[key], Mapping):
            got = type(cfg[key]).__name__
            report.error(
                "shape", f"{key}: expected a dict, got a {got}; look for a comma behind it"
            )
    return report


def refuse_errors(reports: Sequence[Report]) -> None:
    """Raise the first error, saying how many more there are.

    Raises:
        BadInputError: there is one.
    """
    errors = [error for report in reports for error in report.errors]
    number = len(errors) + sum(report.unlisted for report in reports)
    if errors:
        more = f" ({number - 1} more: mmext verify lists them)" if number > 1 else ""
        raise BadInputError(errors[0] + more)


def datasets(cfg: Mapping[str, Any], split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the datasets of a split that read files, looking inside wrappers."""
    loader = cfg.get(f"{split}_dataloader")
    stack = [loader.get("dataset") if isinstance(loader, Mapping) else None]
    while stack:
        dataset = stack.pop(0)
        if not isinstance(dataset, Mapping):
            continue  # an object that is built already
        several = dataset.get("datasets")
        inner = [dataset.get("dataset"), *(several if isinstance(several, list | tuple) else ())]
        if any(isinstance(one, Mapping) for one in inner):
            stack = inner + stack
        else:
            yield dataset


def check_agreement(cfg: Mapping[str, Any], splits: Iterable[str]) -> Report:
    """Compare the model with the data of each split, and with how its pipeline prepares them."""
    report = Report("all", "model")
    told: set[str] = set()
    for split in splits:
        for dataset in datasets(cfg, split):
            steps = [step for _, step in parts(dataset.get("pipeline") or (), "")]
            for is_error, sentence in _disagreements(cfg, split, steps, number_of_classes(dataset)):
                place = sentence.partition(":")[0]
                if place not in told:  # once, though every split meets it
                    told.add(place)
                    report.error("agreement", sentence) if is_error else report.warn(sentence)
    return report


def _disagreements(
    cfg: Mapping[str, Any], split: str, steps: Sequence[Mapping[str, Any]], classes: int
) -> Iterator[tuple[bool, str]]:
    """Each of them, and whether it is an error."""
    for sentence in [
        *agreement.heads(cfg.get("model") or {}, classes, split=split),
        *agreement.shapes(cfg, steps),
    ]:
        yield True, sentence
    yield from agreement.segments(cfg, split, steps, _default)
    if split == "train":
        yield from agreement.sizes(cfg, steps)
    for sentence in agreement.channels(cfg, steps):
        yield False, sentence


def number_of_classes(dataset: Mapping[str, Any]) -> int:
    """How many classes a head must tell apart for a data set; 0 for unknown.

    A panoptic set has things and stuff, which different heads see.
    """
    classes = wanted_classes(dataset)
    return (
        0
        if isinstance(classes, str) or layouts.layout(dataset) == layouts.PANOPTIC
        else len(classes)
    )


def _default(part: Mapping[str, Any], name: str) -> Any:
    """The default of an argument by the class of a part of the model; None if there is none."""
    import inspect

    from mmengine.registry import MODELS

    kind = part.get("type")
    if isinstance(kind, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    for one in getattr(kind, "__mro__", ()):
        parameter = inspect.signature(one).parameters.get(name) if "__init__" in vars(one) else None
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return None


def check_labels(reports: Sequence[Report]) -> Report:
    """Find labels that mean another class in training than in the evaluation."""
    report = Report("all", "labels")
    train = {
        one.file: one.labels for one in reports if one.split == "train" and one.labels is not None
    }
    # An evaluator's own file decides; without one, the data set's.
    judged = [one for one in reports if one.split != "train" and one.labels is not None]
    for one in judged:
        for file, labels in train.items():
            pair = {file: labels or (), one.file: one.labels or ()}
            if len(pair) == 2 and (error := conclusions.disagreeing_labels(pair)):
                report.error("labels", error)
    return report


def check_lists(cfg: Mapping[str, Any], split: str) -> Report:
    """Check lists of samples to keep, and those of several labels a picture."""
    report = Report(split, f"{split}_dataloader")
    loader = cfg.get(f"{split}_dataloader") or {}
    for path, part in parts(loader, f"{split}_dataloader"):
        keep = part.get("keep") if type_name(part) == "FilteredDataset" else None
        if isinstance(keep, str) and not Path(keep).is_file():
            report.error(
                "keep",
                f"{keep}: not found, expected the list of samples that {path} keeps; make it with "
                "tools/clean_labels.py, or correct the path",
            )
    for metric in metrics(cfg, split):
        if type_name(metric) == "ReaLAccuracy":
            for sentence in _label_troubles(cfg.get("model") or {}, metric):
                report.error("labels", sentence)
    return report


def _label_troubles(model: Mapping[str, Any], metric: Mapping[str, Any]) -> Iterator[str]:
    """Say what of a file of several labels a picture does not fit the model, or is no such file."""
    wanted = metric.get("num_classes", 1000)
    try:
        read_labels(metric.get("labels") or "", wanted)
    except BadInputError as error:
        yield str(error)
    indices = metric.get("class_indices")
    expected = wanted if indices is None else len(indices)
    got = (model.get("head") or {}).get("num_classes", expected)
    if got != expected:
        yield (
            f"model.head.num_classes: expected {expected}, the classes of {metric.get('labels')}, "
            f"got {got}; give class_indices, the label of each class of the model"
        )


def check_weights(cfg: Mapping[str, Any]) -> Report:
    """Find local files of weights that the model starts from and that are not there."""
    report = Report("weights", "model")
    cure = cure_of(
        cfg,
        "weights_command",
        "fetch it, or set that init_cfg to None to start from random weights",
    )
    for path, part in parts(cfg.get("model") or {}, "model"):
        file = (
            part.get("checkpoint") if type_name(part) in ("Pretrained", "PretrainedInit") else None
        )
        if isinstance(file, str) and "://" not in file and not Path(file).is_file():
            report.errors.append(f"{file}: not found, expected the weights of {path} there; {cure}")
    return report
