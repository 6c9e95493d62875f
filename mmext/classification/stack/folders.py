"""Data sets of picture files: one folder a class, or a list of names and labels.

A sample is ``img_path``, ``gt_label`` and ``key``, its path below the folder of pictures, by which
lists of samples name it.
"""

from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from mmext.data_checks.class_files import Labelled, read_folders, read_list
from mmext.data_checks.lists import read_lines
from mmext.errors import BadInputError
from mmext.registry import DATASETS


@DATASETS.register_module()
class FolderClsDataset(BaseDataset):
    """Pictures in one folder a class, which is named by it, or those of a list.

    Classes are numbered in the order of their sorted names, or as ``metainfo=dict(classes=...)``
    lists them, which may leave some out.

    Args:
        data_prefix: ``dict(img_path=...)``, the folder of pictures below ``data_root``.
        ann_file: a list, ``path label`` or ``path,label`` a line, whose labels are numbers or
            names; without one, the folders below ``img_path`` are the classes.
        **base_cfg: mmengine's: ``data_root``, ``metainfo``, ``pipeline``, ``indices``, and so on.
    """

    SUFFIX = ""
    """What is put behind names in a list that have no ending."""

    def __init__(
        self, data_prefix: dict[str, str] | None = None, ann_file: str = "", **base_cfg: Any
    ) -> None:
        prefix = dict(data_prefix or dict(img_path=""))
        super().__init__(ann_file=ann_file, data_prefix=prefix, **base_cfg)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Path, label and key of each picture.

        Raises:
            BadInputError: a folder or list is missing, empty, or not what is expected.
        """
        folder = self.data_prefix["img_path"]
        classes = self._metainfo.get("classes") or ()
        if self.ann_file:
            found = read_list(self.ann_file, classes, suffix=self.SUFFIX)
        else:
            classes, found = read_folders(folder, classes)
            self._metainfo["classes"] = tuple(classes)
        return [self._info(folder, one) for one in found]

    def _info(self, folder: str, one: Labelled) -> dict[str, Any]:
        info: dict[str, Any] = {"img_path": str(Path(folder, one.path)), "key": one.path}
        if one.label is not None:
            info["gt_label"] = one.label
        elif not self.test_mode:
            raise BadInputError(
                f"{self.ann_file}: expected a label for each picture, got none for {one.path}; add "
                "it, or set test_mode=True if only predictions are wanted"
            )
        return info


@DATASETS.register_module()
class ImageNetDataset(FolderClsDataset):
    """ImageNet of 1,000 classes: folders named by synset, or a list beside a flat folder.

    Labels are those of sorted synsets, as in torchvision, timm and mmpretrain. The validation
    pictures, ``ILSVRC2012_val_00000001.JPEG`` and on, lie in folders by synset, or in one folder
    with a list such as Kaggle's ``LOC_val_solution.csv``.

    Args:
        synsets: a file with a synset and its words a line, such as Kaggle's
            ``LOC_synset_mapping.txt``: names of the classes for drawings, and what lists that name
            synsets are read by.
        **folder_cfg: of :class:`FolderClsDataset`.
    """

    SUFFIX = ".JPEG"
    CLASSES = 1000

    def __init__(self, synsets: str = "", **folder_cfg: Any) -> None:
        self.synsets = str(Path(folder_cfg.get("data_root") or "", synsets)) if synsets else ""
        super().__init__(**folder_cfg)

    def load_data_list(self) -> list[dict[str, Any]]:
        """As in the base, checked to be the 1,000 classes unless ``metainfo`` chooses some.

        Raises:
            BadInputError: there is another number of classes.
        """
        names: dict[str, str] = {}
        if self.synsets:
            words = [line.partition(" ") for line in read_lines(self.synsets) if line.strip()]
            names = {synset: name for synset, _, name in sorted(words)}
        chosen = "classes" in self._metainfo
        if names and not chosen:
            self._metainfo["classes"] = tuple(names)
        found = super().load_data_list()
        classes = self._metainfo.get("classes", ())
        if not chosen and classes and len(classes) != self.CLASSES:
            raise BadInputError(
                f"{self.synsets or self.data_prefix['img_path']}: expected the {self.CLASSES} "
                f"classes of ImageNet, got {len(classes)}; use mmext.FolderClsDataset, or choose "
                "them in metainfo"
            )
        if names:
            self._metainfo["synsets"] = classes
            self._metainfo["classes"] = tuple(names.get(one) or one for one in classes)
        elif not classes and (wrong := [one for one in found if _is_outside(one, self.CLASSES)]):
            raise BadInputError(
                f"{self.ann_file}: expected labels from 0 to {self.CLASSES - 1}, got "
                f"{wrong[0]['gt_label']}; labels from 1 on are those of the devkit, whose order of "
                "classes is another one: take a list by sorted synset"
            )
        return found


def _is_outside(info: dict[str, Any], classes: int) -> bool:
    return info.get("gt_label", 0) >= classes
