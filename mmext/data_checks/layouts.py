"""How a data set lists its samples: decided by its class, since many kinds of files end in .json.

Host     only where the name alone does not say it: then the class comes through the registry
Own      a class that lists its samples in its own way has a layout of its own, whatever its
         parent's
"""

from collections.abc import Mapping
from typing import Any

from mmext.data_checks.needs import type_name

COCO, LVIS_05, LVIS_1, OBJECTS365_1, OBJECTS365_2 = (
    "COCO",
    "LVIS 0.5",
    "LVIS 1",
    "Objects365 1",
    "Objects365 2",
)
PANOPTIC, XML, MAPS = "panoptic COCO", "XML files", "label maps"
VIDEOS, FRAMES, OTHER = "videos", "folders of frames", "other"
FOLDERS, IDX, DIGITS = "folders of classes", "idx files", "digits"
POSE_VIDEOS = "videos with keypoints"

DETECTION = (COCO, LVIS_05, LVIS_1, OBJECTS365_1, OBJECTS365_2, PANOPTIC)
CLASSES = (FOLDERS, IDX, DIGITS)
SORTED = (OBJECTS365_1, OBJECTS365_2)
"""Layouts whose categories are numbered by their ids, not in the file's order."""

BY_METHOD = {
    ("CocoDataset", "CocoDataset"): COCO,
    ("LVISV05Dataset", "CocoDataset"): LVIS_05,
    ("LVISV1Dataset", "CocoDataset"): LVIS_1,
    ("Objects365V1Dataset", "CocoDataset"): OBJECTS365_1,
    ("Objects365V2Dataset", "CocoDataset"): OBJECTS365_2,
    ("CocoDataset", "PoseCocoDataset"): COCO,
    ("PoseVideoDataset", "PoseVideoDataset"): POSE_VIDEOS,
    ("CocoDataset", "CocoPanopticDataset"): PANOPTIC,
    ("XMLDataset", "XMLDataset"): XML,
    ("BaseSegDataset", "BaseDataset"): MAPS,
    ("VideoDataset", "BaseDataset"): VIDEOS,
    ("RawframeDataset", "BaseDataset"): FRAMES,
}
"""By the classes that define load_data_list and parse_data_info."""

BY_NAME = {
    "CocoDataset": COCO,
    "VideoDataset": VIDEOS,
    "RawframeDataset": FRAMES,
    "FolderClsDataset": FOLDERS,
    "ImageNetDataset": FOLDERS,
    "IdxClsDataset": IDX,
    "DigitsDataset": DIGITS,
}
"""Names that no host gives to anything else."""


def layout(dataset: Mapping[str, Any]) -> str:
    """The layout of a data set by its config: one of the names above."""
    name = type_name(dataset)
    scope = (
        dataset["type"].rpartition(".")[0] if isinstance(dataset.get("type"), str) else "its own"
    )
    if name in BY_NAME and scope in ("", "mmdet", "mmaction", "mmext"):
        return BY_NAME[name]
    kind = dataset_class(dataset)
    owners = tuple(
        getattr(getattr(kind, method, None), "__qualname__", "").partition(".")[0]
        for method in ("load_data_list", "parse_data_info")
    )
    return BY_METHOD.get((owners[0], owners[1]), OTHER)


def dataset_class(dataset: Mapping[str, Any]) -> Any:
    """Return the class of a dataset, or None if nobody knows it."""
    kind = dataset.get("type")
    if not isinstance(kind, str):
        return kind
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(kind)


def file_name(image: Mapping[str, Any], kind: str) -> str:
    """The path of an image below the folder of images, as a data set of that layout reads it.

    Example:
        >>> file_name({"coco_url": "http://images.cocodataset.org/val2017/1.jpg"}, LVIS_1)
        'val2017/1.jpg'
        >>> file_name({"file_name": "images/v1/patch8/a.jpg"}, OBJECTS365_2)
        'patch8/a.jpg'
    """
    if kind == LVIS_1:
        return image["coco_url"].replace("http://images.cocodataset.org/", "")
    name = image["file_name"]
    if kind == LVIS_05 and name.startswith("COCO"):
        return name[-16:]
    return "/".join(name.split("/")[-2:]) if kind == OBJECTS365_2 else name


def numbered(categories: list[Mapping[str, Any]], wanted: Any, kind: str) -> tuple[str, ...]:
    """The class of each label, as a data set of that layout numbers them.

    Args:
        categories: of the file, checked.
        wanted: names of the classes that the config wants; empty for all.
        kind: the layout.
    """
    if kind in SORTED:
        categories = sorted(categories, key=lambda one: (isinstance(one["id"], str), one["id"]))
    names = [str(one["name"]) for one in categories]
    if kind in (LVIS_05, LVIS_1) or not wanted:
        return tuple(names)
    return tuple(name for name in names if name in set(map(str, wanted)))
