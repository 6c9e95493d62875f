"""Data sets whose pictures lie in one file and in memory: idx files, and scikit-learn's digits.

A sample has its picture as ``img`` (H, W), and ``key``, its number in the file, by which lists of
samples name it.
"""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8
from mmengine.dataset import BaseDataset

from mmext.data_checks.class_files import read_digits, read_idx, wrong_labels
from mmext.errors import BadInputError
from mmext.registry import DATASETS

Arrays = tuple[UInt8[np.ndarray, "N H W"], np.ndarray]


class ArrayClsDataset(BaseDataset):
    """What both have in common: a subclass reads pictures and labels.

    Args:
        **base_cfg: mmengine's.
    """

    def __init__(self, **base_cfg: Any) -> None:
        super().__init__(**base_cfg)

    def read(self) -> Arrays:
        """All pictures of the file, and their labels."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict[str, Any]]:
        """Number and label of each picture; the pictures stay in one array.

        Raises:
            BadInputError: a file is not what is expected, or a label is no class.
        """
        self.pictures, labels = self.read()
        classes = self._metainfo.get("classes") or ()
        for trouble in wrong_labels(labels, len(classes)):
            raise BadInputError(f"{self.ann_file}: {trouble}")
        return [
            {"img_id": number, "key": str(number), "gt_label": label}
            for number, label in enumerate(labels.tolist())
        ]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample as mmengine keeps it, with its picture."""
        info = super().get_data_info(idx)
        picture = self.pictures[info["img_id"]].copy()
        return {**info, "img": picture, "img_shape": picture.shape, "ori_shape": picture.shape}


@DATASETS.register_module()
class IdxClsDataset(ArrayClsDataset):
    """Pictures and labels of two idx files, plain or gzipped: MNIST, Fashion-MNIST and their kin.

    Args:
        ann_file: the file of labels below ``data_root``.
        data_prefix: ``dict(img_path=...)``, the file of pictures.
        **base_cfg: mmengine's: ``metainfo`` with the classes, ``pipeline``, ``indices``, and so on.
    """

    def __init__(
        self, ann_file: str = "", data_prefix: dict[str, str] | None = None, **base_cfg: Any
    ) -> None:
        prefix = dict(data_prefix or dict(img_path=""))
        super().__init__(ann_file=ann_file, data_prefix=prefix, **base_cfg)

    def read(self) -> Arrays:
        """Both files.

        Raises:
            BadInputError: one is damaged or of another kind, or they are of different length.
        """
        pictures = read_idx(self.data_prefix["img_path"], "pictures")
        labels = read_idx(self.ann_file, "labels")
        if len(pictures) != len(labels):
            raise BadInputError(
                f"{self.ann_file}: expected a label for each of the {len(pictures)} pictures of "
                f"{self.data_prefix['img_path']}, got {len(labels)}; take two files of one split"
            )
        return pictures, labels.astype(np.int64)


@DATASETS.register_module()
class DigitsDataset(ArrayClsDataset):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, without scikit-learn.

    They have no split of their own: ``indices`` chooses.

    Args:
        ann_file: ``digits.csv.gz``, below ``data_root``; ``mmext data digits`` fetches it.
        **base_cfg: mmengine's: ``pipeline``, ``indices``, and so on.
    """

    METAINFO: ClassVar = dict(classes=tuple("0123456789"))

    def __init__(self, ann_file: str = "data/digits/digits.csv.gz", **base_cfg: Any) -> None:
        super().__init__(ann_file=ann_file, **base_cfg)

    def read(self) -> Arrays:
        """The file.

        Raises:
            BadInputError: it is missing or another one.
        """
        return read_digits(self.ann_file)
