"""What else of a config a panoptic data set must fit: the model's classes, the folders of its PNGs.

Host     none
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmext.data_checks import layouts, needs, panoptic, panoptic_maps
from mmext.data_checks.report import Report, shown

UNREADABLE = ("images", "values", "categories", "annotations", "panoptic", "segment", "isthing")
"""Kinds of errors after which a file's segments cannot be compared with anything."""


class Around(NamedTuple):
    """What a config says beside the data set itself."""

    heads: Sequence[tuple[str, int, int | None]] = ()
    """Parts of the model that number things before stuff."""
    places: Sequence[panoptic_maps.Place] = ()
    """Where the run looks for the PNGs."""
    prefix: str = ""
    """The data set's ``data_prefix``, if a training has to find the PNGs there and cannot."""


def around(
    dataset: Mapping[str, Any],
    folders: Mapping[str, str],
    cfg: Mapping[str, Any],
    *,
    split: str,
    wants: needs.Needs,
) -> Around:
    """Collect it; nothing of a data set of another layout.

    Args:
        dataset: its config.
        folders: the paths that its ``data_prefix`` means.
        cfg: the whole config.
        split: train, val or test.
        wants: what the run reads.
    """
    if layouts.layout(dataset) != layouts.PANOPTIC:
        return Around()
    steps, own = dataset.get("pipeline") or (), folders.get("seg")
    loads = panoptic_maps.loads_maps(steps)
    places = [panoptic_maps.Place(own)] if own and (loads or (not steps and wants.truth)) else []
    if split != "train":
        places += panoptic_maps.judged_in(needs.metrics(cfg, split))
    lacks = split == "train" and loads and not own
    prefix = shown(dataset.get("data_prefix")) if lacks else ""
    return Around(panoptic.heads(cfg.get("model")), places, prefix)


def check(
    coco: Mapping[str, Any],
    beside: Around,
    report: Report,
    *,
    wants: needs.Needs,
    cure: str,
    decode: bool | None,
) -> None:
    """Compare a file's classes with the model's, and its segments with their PNGs.

    Args:
        coco: the parsed file, which has been checked.
        beside: what the config says.
        report: takes the findings.
        wants: what the run reads.
        cure: what the errors tell people to do.
        decode: whether to decode the PNGs; None decodes as many as of label maps.
    """
    if any(report.kinds[kind] for kind in UNREADABLE):
        return
    for sentence in panoptic.disagreements(coco, report.labels or (), beside.heads, report.file):
        report.error("things", sentence)
    if beside.prefix:
        report.error(
            "prefix",
            f"{report.file}: expected the folder of PNGs as seg in data_prefix, since "
            f"LoadPanopticAnnotations reads them, got {beside.prefix}; add it",
        )
    panoptic_maps.check_maps(
        coco, beside.places, report, cure=cure, decode=decode, areas=wants.panoptic
    )
