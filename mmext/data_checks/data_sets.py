"""Check one data set of a config by its layout.

Host     none; only a dataset's class comes from its host, through the registry
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmext.data_checks import (
    classes,
    landmarks,
    layouts,
    needs,
    panoptic_sets,
    pictures,
    points,
    pose_videos,
)
from mmext.data_checks.clips import check_clips
from mmext.data_checks.coco import check_file, check_images, read_coco
from mmext.data_checks.layouts import dataset_class
from mmext.data_checks.masks import check_masks
from mmext.data_checks.memory import remembered
from mmext.data_checks.needs import type_name
from mmext.data_checks.pascal import check_xml
from mmext.data_checks.report import Report
from mmext.data_checks.stated import bad_config, cure_of, join, wanted_classes
from mmext.errors import BadInputError


def check_dataset(
    dataset: Mapping[str, Any],
    *,
    split: str,
    cfg: Mapping[str, Any],
    decode: bool | None = None,
    anew: bool = False,
) -> Report:
    """Check a dataset: in full where its layout is known, else that its files and folders exist."""
    if trouble := bad_config(dataset):
        report = Report(split, f"{split}_dataloader")
        report.error("config", f"{split}_dataloader: {trouble}")
        return report
    root = str(dataset.get("data_root") or "")
    report = Report(split, join(root, str(dataset.get("ann_file") or "")))
    if (
        "://" in f"{root}{report.file}"
        or (dataset.get("backend_args") or {}).get("backend", "local") != "local"
    ):
        report.warn(f"{report.file}: lies on a remote store, so nothing was checked")
        return report
    cure = cure_of(cfg, "data_command", "fetch the data or correct the path in the config")
    folders = {
        key: join(root, prefix) or root
        for key, prefix in (dataset.get("data_prefix") or {}).items()
    }
    wants = needs.find(cfg, split, dataset)
    unread = () if wants.truth else ("seg_map_path",)
    for what, path in {"annotations": report.file, **folders}.items():
        if path and what not in unread and not Path(path).exists():
            report.errors.append(
                f"{path}: not found, expected the {split} split's {what} there; {cure}"
            )
    listed = report.file or "seg_map_path" in folders or "img_path" in folders
    if report.errors or not (listed or layouts.layout(dataset) in layouts.WITHOUT_FILE):
        return report
    inside = Inside(
        dataset, folders, root, cfg=cfg, split=split, wants=wants, cure=cure, decode=decode
    )
    key = [
        dataset,
        folders,
        dataclasses.astuple(wants),
        inside.classes,
        inside.allow_odd,
        inside.around,
        dataclasses.astuple(inside.points),
        cure,
        split,
        decode,
    ]
    named = (*pose_videos.files_of(report.file), join(root, str(dataset.get("labeled_file") or "")))
    files = [file for file in named if Path(file).is_file()]
    return remembered(key, files, lambda: inside.check(report), anew=anew)


@dataclasses.dataclass
class Inside:
    """The check of what lies inside the files of a dataset: see :func:`check_dataset`."""

    dataset: Mapping[str, Any]
    folders: Mapping[str, str]
    root: str
    _: dataclasses.KW_ONLY
    cfg: Mapping[str, Any]
    split: str
    wants: needs.Needs
    cure: str
    decode: bool | None

    @property
    def classes(self) -> int:
        """How many classes the head of a recognizer or classifier tells apart; 0 for unknown."""
        model = self.cfg.get("model") or {}
        head = model.get("cls_head") or model.get("head")
        classes = head.get("num_classes", 0) if isinstance(head, Mapping) else 0
        return classes if isinstance(classes, int) else 0

    @property
    def allow_odd(self) -> bool:
        """Whether the config accepts odd boxes."""
        return bool((self.cfg.get("verify") or {}).get("allow_odd_boxes"))

    @property
    def around(self) -> panoptic_sets.Around:
        """What the config says beside a panoptic data set."""
        return panoptic_sets.around(
            self.dataset, self.folders, self.cfg, split=self.split, wants=self.wants
        )

    @property
    def points(self) -> points.Wanted:
        """What the config wants of keypoints."""
        return points.wanted(self.cfg, self.split, self.dataset)

    def check(self, report: Report) -> Report:
        """Check it by its layout."""
        kind = layouts.layout(self.dataset)
        try:
            if kind in layouts.DETECTION and report.file:
                self.check_objects(report, kind)
            elif kind == layouts.XML and report.file:
                self.check_xml(report)
            elif kind == layouts.MAPS:
                self.check_maps(report)
            elif kind in layouts.CLASSES:
                self.check_classes(report, kind)
            elif kind == layouts.LANDMARKS:
                self.check_points(report)
            elif kind == layouts.POSE_VIDEOS and report.file:
                self.check_pose_videos(report)
            elif kind in (layouts.VIDEOS, layouts.FRAMES) and report.file:
                self.check_clips(report, raw=kind == layouts.FRAMES)
            else:
                name = type_name(self.dataset) or "its data set"
                report.warn(
                    f"{report.file or self.root}: {name} lists its samples in its own way, so only "
                    "the presence of files and folders was checked"
                )
        except BadInputError as error:
            report.error("refused", str(error))
        return report

    def require_prefix(self, key: str, *, default: bool) -> None:
        """Refuse a data set that does not say where its samples lie: the host raises a KeyError.

        Raises:
            BadInputError: the key is missing, and the host has no default for it.
        """
        given = self.dataset.get("data_prefix")
        if key not in (given or {}) and not (default and given is None):
            raise BadInputError(
                f"{type_name(self.dataset)}: expected data_prefix=dict({key}=…) with the folder of "
                f"its samples, got {given}; add it, with '' where paths in the list start at "
                "data_root"
            )

    def check_objects(self, report: Report, kind: str) -> None:
        """Check a COCO file, or one of its relatives."""
        self.require_prefix("img", default=False)
        coco = read_coco(
            report.file,
            self.cure,
            annotations=self.wants.truth,
            outlines=self.wants.masks or self.wants.outlines,
        )
        check_file(
            coco,
            wanted_classes(self.dataset),
            report,
            kind=kind,
            needs=self.wants,
            allow_odd=self.allow_odd,
        )
        named = wanted_classes(self.dataset)
        if not report.errors and (
            reads := points.reader(self.dataset, named, coco["categories"], report.file)
        ):
            points.check(coco, reads, report, needs=self.wants, wants=self.points)
        if (
            not report.kinds["images"]
            and not report.kinds["values"]
            and not report.kinds["categories"]
        ):
            reader = pictures.image_reader(self.dataset.get("pipeline") or ())
            folder = self.folders.get("img", self.root)
            check_images(
                coco, folder, report, cure=self.cure, decode=self.decode, reader=reader, kind=kind
            )
        if kind == layouts.PANOPTIC:
            panoptic_sets.check(
                coco, self.around, report, wants=self.wants, cure=self.cure, decode=self.decode
            )

    def check_pose_videos(self, report: Report) -> None:
        """Check videos with keypoints."""
        self.require_prefix("img_path", default=True)
        pose_videos.check_videos(
            self.dataset,
            self.folders.get("img_path", self.root),
            report,
            classes=wanted_classes(self.dataset),
            needs=self.wants,
            wants=self.points,
            cure=self.cure,
            decode=self.decode,
            reader=pictures.image_reader(self.dataset.get("pipeline") or ()),
        )

    def check_xml(self, report: Report) -> None:
        """Check XML files in the manner of Pascal VOC."""
        check_xml(
            self.dataset,
            dataset_class(self.dataset),
            self.folders.get("sub_data_root", ""),
            report,
            wanted=wanted_classes(self.dataset),
            needs=self.wants,
            cure=self.cure,
            decode=self.decode,
            allow_odd=self.allow_odd,
            reader=pictures.image_reader(self.dataset.get("pipeline") or ()),
        )

    def check_maps(self, report: Report) -> None:
        """Check the label maps of a dataset."""
        folders = {key: self.folders.get(key, self.root) for key in ("img_path", "seg_map_path")}
        report.file, report.what = report.file or folders["seg_map_path"], "label maps"
        check_masks(
            self.dataset,
            dataset_class(self.dataset),
            folders,
            report,
            names=list(wanted_classes(self.dataset)),
            needs=self.wants,
            cure=self.cure,
            decode=self.decode,
        )

    def check_classes(self, report: Report, kind: str) -> None:
        """Check pictures that bear a class each."""
        classes.check_classes(
            self.dataset,
            self.folders.get("img_path", self.root),
            report,
            kind=kind,
            names=list(wanted_classes(self.dataset)),
            classes=self.classes,
            needs=self.wants,
            cure=self.cure,
            decode=self.decode,
        )

    def check_points(self, report: Report) -> None:
        """Check pictures with points."""
        landmarks.check_landmarks(
            self.dataset,
            dataset_class(self.dataset),
            report,
            cfg=self.cfg,
            cure=self.cure,
            decode=self.decode,
        )

    def check_clips(self, report: Report, *, raw: bool) -> None:
        """Check a list of videos or folders of frames."""
        self.require_prefix("img" if raw else "video", default=True)
        check_clips(
            self.dataset,
            self.folders.get("img" if raw else "video", self.root),
            report,
            raw=raw,
            classes=self.classes,
            needs=self.wants,
            cure=self.cure,
            decode=self.decode,
        )
