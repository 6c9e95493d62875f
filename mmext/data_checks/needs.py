"""What a run reads of a data set, by its pipeline and the metrics that judge it.

Host     none: names of transforms and metrics are compared, nothing is imported
Type     may be a name, a name with its scope or module, or the class itself
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WITHOUT_TRUTH = ("DumpResults", "DumpDetResults", "DumpProposals")
"""Metrics that write predictions and compare them with nothing."""

EYES = {"outer_eye": ((36,), (45,)), "pupil": (tuple(range(36, 42)), tuple(range(42, 48)))}
"""Points of the left and the right eye of 68, from 0, between which LandmarkNME measures unless its
config names others."""


def type_name(part: Any) -> str:
    """The last word of a part's type, which may be a class or a name with a scope.

    Example:
        >>> type_name(dict(type="mmdet.CocoDataset")), type_name(dict(type=dict)), type_name(None)
        ('CocoDataset', 'dict', '')
    """
    kind = part.get("type") if isinstance(part, Mapping) else part
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.rpartition(".")[2]


def parts(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping from names inside a config with its path, such as ``model.bbox_head``."""
    if isinstance(node, Mapping):
        if all(isinstance(key, str) for key in node):  # a table of labels, by number, is no part
            yield path, node
        for key, value in node.items():
            yield from parts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from parts(value, f"{path}[{index}]")


def metrics(cfg: Mapping[str, Any], split: str) -> list[Mapping[str, Any]]:
    """The configs of a split's metrics; one of them or a list may be written."""
    evaluator = cfg.get(f"{split}_evaluator") or ()
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:  # an Evaluator written in full
        evaluator = evaluator["metrics"] or ()
    found = [evaluator] if isinstance(evaluator, Mapping) else evaluator
    return (
        [one for one in found if isinstance(one, Mapping)]
        if isinstance(found, list | tuple)
        else []
    )


@dataclass(frozen=True)
class Needs:
    """What of a split's annotations is read before the run is over."""

    truth: bool = True
    """Objects or labels: by training, or by a metric that compares."""
    masks: bool = False
    """The outline of each object, as the pipeline loads it."""
    bitmaps: bool = True
    """Outlines become bitmaps when they are loaded, so that run lengths count too."""
    by_coco: bool = False
    """COCO's own evaluation reads the file: numbers as ids, every class that may be predicted."""
    crowds: bool = False
    """``iscrowd``, which it reads of every object."""
    outlines: bool = False
    """The outline of each object, as its evaluation of masks reads it."""
    panoptic: bool = False
    """The evaluation of panoptic segmentation reads the file: ``iscrowd``, areas, every class."""
    things: bool = False
    """Images without a thing are left out of a panoptic training."""
    least_side: int | float = 0
    """Pixels; smaller images are left out of the training."""


def find(cfg: Mapping[str, Any], split: str, dataset: Mapping[str, Any]) -> Needs:
    """Work out what a run needs of a data set.

    Args:
        cfg: the whole config.
        split: train, val or test.
        dataset: the config of one data set of that split.
    """
    named = metrics(cfg, split)
    judged = [
        one for one in named if not one.get("format_only") and type_name(one) not in WITHOUT_TRUTH
    ]
    loaders = [
        step for _, step in parts(dataset.get("pipeline") or (), "") if loads_annotations(step)
    ]
    with_mask = [step for step in loaders if step.get("with_mask")]
    train = split == "train"
    coco = [] if train else [one for one in judged if reads_coco(one)]
    filters = dataset.get("filter_cfg")
    filters = filters if train and isinstance(filters, Mapping) else {}
    least = filters.get("min_size", 0)
    return Needs(
        truth=train or bool(judged) or not named,
        masks=bool(with_mask),
        bitmaps=all(step.get("poly2mask", True) for step in with_mask),
        by_coco=any(kinds(one) - {"proposal_fast"} for one in coco),
        crowds=any(kinds(one) & {"bbox", "segm", "proposal"} for one in coco),
        outlines=any("segm" in kinds(one) for one in coco),
        panoptic=not train and any(map(reads_panoptic, judged)),
        things=bool(filters.get("filter_empty_gt")),
        least_side=least if isinstance(least, int | float) else 0,
    )


def loads_annotations(step: Any) -> bool:
    """Whether a step of a pipeline loads boxes, masks or label maps."""
    own = ("LoadPanopticAnnotations", "LoadPoseAnnotations")
    return "LoadAnnotations" in type_name(step) or type_name(step) in own


def reads_coco(metric: Mapping[str, Any]) -> bool:
    """Whether COCO's own evaluation reads a file of annotations as it is written."""
    named = type_name(metric) in ("CocoMetric", "CocoKeypointMetric")
    return named and bool(metric.get("ann_file"))


def reads_panoptic(metric: Mapping[str, Any]) -> bool:
    """Whether the evaluation of panoptic segmentation reads a file of annotations."""
    return type_name(metric) == "CocoPanopticMetric" and bool(metric.get("ann_file"))


def kinds(metric: Mapping[str, Any]) -> set[str]:
    """What a metric of COCO evaluates: of bbox, segm, proposal, proposal_fast and keypoints."""
    if type_name(metric) == "CocoKeypointMetric":
        return {"keypoints"}
    named = metric.get("metric", "bbox")
    return {named} if isinstance(named, str) else set(named)
