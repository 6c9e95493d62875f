"""What a config states of a data set: whether the host can read it, its classes, paths and cures.

Host     none; only a dataset's class comes from its host, through the registry
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from mmext.data_checks.layouts import dataset_class
from mmext.data_checks.lists import read_lines
from mmext.data_checks.report import shown


def bad_config(dataset: Mapping[str, Any]) -> str:
    """Say what of a data set's config has a type that the host fails on, or return an empty string.

    Example:
        >>> trouble, cure = bad_config(dict(ann_file=["a.json", "b.json"])).split("; ")
        >>> trouble
        "expected a path as ann_file, got ['a.json', 'b.json']"
        >>> cure
        'give each file a data set, in a ConcatDataset'
        >>> bad_config(dict(ann_file="a.json", data_prefix=dict(img="")))
        ''
    """
    for key in ("ann_file", "data_root"):
        if not isinstance(dataset.get(key), str | PathLike | None):
            cure = "give each file a data set, in a ConcatDataset"
            return f"expected a path as {key}, got {shown(dataset[key])}; {cure}"
    for key in ("data_prefix", "metainfo", "backend_args"):
        if not isinstance(dataset.get(key), Mapping | None):
            return f"expected a dict as {key}, got {shown(dataset[key])}; write {key}=dict(…)"
    for key, prefix in (dataset.get("data_prefix") or {}).items():
        if not isinstance(prefix, str | None):
            return f"expected a folder as {key} in data_prefix, got {shown(prefix)}; write its path"
    if not isinstance(dataset.get("pipeline"), list | tuple | None):
        return (
            f"expected a list as pipeline, got {shown(dataset['pipeline'])}; put the steps in a "
            "list"
        )
    classes = (dataset.get("metainfo") or {}).get("classes")
    if not isinstance(classes, str | list | tuple | None):
        return (
            f"expected a tuple of names as metainfo.classes, got {shown(classes)}; write "
            "classes=(…,)"
        )
    return ""


def wanted_classes(dataset: Mapping[str, Any]) -> Any:
    """Return the classes that the config wants: of its metainfo, else of the dataset's class."""
    classes = (dataset.get("metainfo") or {}).get("classes")
    if isinstance(classes, str) and Path(classes).is_file():
        return read_lines(classes)
    if classes is not None:
        return classes
    return getattr(dataset_class(dataset), "METAINFO", {}).get("classes") or ()


def join(root: str, path: str) -> str:
    """Join as mmengine does: an empty path stays empty, an absolute one stays itself."""
    return str(Path(root) / path) if path and "://" not in path + root else path


def cure_of(cfg: Mapping[str, Any], key: str, otherwise: str) -> str:
    """What to do about something that is missing: the config's own command, if it names one."""
    return f"run {cfg[key]}" if cfg.get(key) else otherwise
