"""What all data sets of points have in common, and the one of our own JSON files.

A sample has ``img_path``, ``key`` (its name in lists), ``bbox`` (4,) left, top, right, bottom, NaN
for the whole picture, ``keypoints`` (K, 2) and ``keypoints_visible`` (K,) in pixels of the picture,
``norm_len`` (NaN where there is none), ``labeled``, ``subset`` and ``flip_pairs``.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmengine.dataset import BaseDataset

from mmext.errors import BadInputError
from mmext.landmarks.shares import read_indices, share_of
from mmext.registry import DATASETS

logger = logging.getLogger("mmext")

TAKE = ("all", "labeled", "unlabeled")


class LandmarkFiles(BaseDataset):
    """Names of points, which of the samples are labelled, and which are taken.

    A sample counts as labelled where one of its points is, unless its file says otherwise; a list
    or a share leaves fewer. Hidden labels stay with the sample, for metrics and reports, but
    training does not see them.

    Args:
        labeled_file: a list of the labelled samples, by number or name: a line each, or JSON.
        labeled_share: share of the labelled samples that stay labelled, drawn by ``share_seed``.
        share_seed: of the draw.
        take: ``all`` samples, the ``labeled`` or the ``unlabeled`` ones.
        **base_cfg: mmengine's: ``ann_file``, ``data_root``, ``data_prefix``, ``pipeline``,
            ``indices``, and ``metainfo`` with ``keypoint_names``, ``flip_pairs``, ``skeleton``.

    Raises:
        ValueError: another ``take``.
        BadInputError: no sample is labelled, or the number of points is not that of the names.
    """

    METAINFO: ClassVar[dict[str, Any]] = dict(keypoint_names=(), flip_pairs=None, skeleton=())
    NEEDS_LABELS = True

    def __init__(
        self,
        labeled_file: str = "",
        labeled_share: int | float | None = None,
        share_seed: int = 0,
        take: str = "all",
        **base_cfg: Any,
    ) -> None:
        if take not in TAKE:
            raise ValueError(f"take must be one of {TAKE}, got {take!r}; give one of these")
        self.labeled_file, self.labeled_share = labeled_file, labeled_share
        self.share_seed, self.take = share_seed, take
        base_cfg.setdefault("data_prefix", dict(img_path=""))
        super().__init__(**base_cfg)

    def read(self) -> Iterable[dict[str, Any]]:
        """Samples of the files, with ``img_path`` and ``keypoints`` at least; a subclass's."""
        raise NotImplementedError

    def picture(self, name: str) -> str:
        """The path of a picture that a file names."""
        return str(Path(self.data_prefix["img_path"], name))

    def load_data_list(self) -> list[dict[str, Any]]:
        """All samples, completed and chosen."""
        samples = [self._complete(sample) for sample in self.read()]
        if not samples:
            raise BadInputError(
                f"{self.ann_file or self.data_prefix['img_path']}: expected samples, got none; see "
                "that this is the right file or folder"
            )
        require_pairs(
            self._metainfo.get("flip_pairs"),
            len(samples[0]["keypoints"]),
            self.ann_file or self.data_prefix["img_path"],
        )
        self._hide(samples)
        labelled = sum(sample["labeled"] for sample in samples)
        if self.NEEDS_LABELS and not labelled and self.take != "unlabeled":
            raise BadInputError(
                f"{self.ann_file or self.data_prefix['img_path']}: expected a sample with a "
                f"labelled point, got {len(samples)} without; label some, or take them as "
                "take='unlabeled'"
            )
        if self.take != "all":
            samples = [one for one in samples if one["labeled"] == (self.take == "labeled")]
        if not samples:
            logger.info("%s: no sample without a label: training has labels alone", self.ann_file)
            self.serialize_data = False  # mmengine cannot serialize nothing
        return samples

    def _complete(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Fill in what a file did not say."""
        points = np.asarray(sample["keypoints"], dtype=np.float32).reshape(-1, 2)
        names = self._metainfo["keypoint_names"]
        if names and len(names) != len(points):
            raise BadInputError(
                f"{sample['img_path']}: expected the {len(names)} points of keypoint_names, got "
                f"{len(points)}; correct the sample, or the names in metainfo"
            )
        known = np.isfinite(points).all(axis=1)
        visible = np.asarray(sample.get("keypoints_visible", known), dtype=np.float32) * known
        box = sample.get("bbox")
        box = np.full(4, np.nan) if box is None else np.asarray(box, dtype=np.float64)
        if box.shape != (4,):
            raise BadInputError(
                f"{sample['img_path']}: expected a bbox of left, top, right and bottom, got "
                f"{sample['bbox']}; correct it, or leave it out to take the whole picture"
            )
        norm_len = sample.get("norm_len")
        return {
            "key": sample["img_path"],
            "subset": "",
            **sample,
            "bbox": box.astype(np.float32),
            "keypoints": np.where(known.reshape(-1, 1), points, np.float32("nan")),
            "keypoints_visible": (visible > 0).astype(np.float32),
            "norm_len": float("nan" if norm_len is None else norm_len),
            "labeled": bool(sample.get("labeled", True) and (visible > 0).any()),
        }

    def _hide(self, samples: Sequence[dict[str, Any]]) -> None:
        """Leave only the labels that were asked for."""
        labelled = [number for number, sample in enumerate(samples) if sample["labeled"]]
        if self.labeled_file:
            file = self.labeled_file
            if self.data_root and not Path(file).is_file():
                file = str(Path(self.data_root, file))
            kept = read_indices(file, [sample["key"] for sample in samples])
            labelled = [number for number in labelled if number in kept]
        if self.labeled_share is not None and labelled:
            drawn = share_of(len(labelled), self.labeled_share, self.share_seed)
            labelled = [labelled[number] for number in drawn]
        kept = set(labelled)
        for number, sample in enumerate(samples):
            sample["labeled"] = number in kept

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The sample as mmengine keeps it, with the pairs that change places in a mirror."""
        return {**super().get_data_info(idx), "flip_pairs": self._metainfo["flip_pairs"]}

    def learn(self, **metainfo: Any) -> None:
        """Take names, pairs and limbs from a file where the config gives none."""
        for name, value in metainfo.items():
            if value and not self._metainfo.get(name):
                self._metainfo[name] = value


def require_pairs(pairs: Any, count: int, where: str) -> None:
    """Refuse what changes places in a mirror where it is not two points.

    Args:
        pairs: of a data set, or None.
        count: of points.
        where: they are said.

    Raises:
        BadInputError: one is no pair of numbers of points.
    """
    for pair in () if pairs is None else pairs:
        points = list(pair) if isinstance(pair, Sequence) else [pair]
        known = [one for one in points if isinstance(one, int | np.integer) and 0 <= one < count]
        if len(points) != 2 or len(known) != 2:
            raise BadInputError(
                f"{where}: expected flip_pairs of two points each, numbered from 0 to "
                f"{count - 1}, got {pair!r}; correct it"
            )


def require_file(file: str) -> None:
    """Refuse a path where no file lies.

    Raises:
        BadInputError: there is none.
    """
    if not Path(file).is_file():
        raise BadInputError(
            f"{file}: expected a file of labelled points, got none; correct data_root and ann_file"
        )


def read_json(file: str) -> Any:
    """Parse a JSON file.

    Raises:
        BadInputError: it is missing, or no JSON.
    """
    require_file(file)
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInputError(
            f"{file}: expected JSON in UTF-8, got something else ({error}); write it again"
        ) from None


@DATASETS.register_module()
class LandmarkDataset(LandmarkFiles):
    """Points of a JSON file: ``{"keypoint_names": [...], "samples": [{...}, ...]}``.

    A sample has ``img_path``, ``keypoints``, a list of ``[x, y]`` or ``[x, y, visible]`` in pixels
    with ``null`` for what is not labelled, and perhaps ``bbox`` (left, top, right, bottom),
    ``norm_len``, ``labeled``, ``subset``, ``key``. The file may have ``flip_pairs`` and
    ``skeleton``, lists of pairs of numbers from 0. Arguments as in :class:`LandmarkFiles`.
    """

    def read(self) -> Iterable[dict[str, Any]]:
        """The samples of the file.

        Raises:
            BadInputError: it has no samples, or one lacks points.
        """
        found = read_json(self.ann_file)
        if not isinstance(found, Mapping) or not isinstance(found.get("samples"), list):
            raise BadInputError(
                f"{self.ann_file}: expected a JSON object with a list 'samples', got "
                f"{type(found).__name__}; write {{'keypoint_names': [...], 'samples': [...]}}"
            )
        self.learn(**{key: found.get(key) for key in ("keypoint_names", "flip_pairs", "skeleton")})
        for number, sample in enumerate(found["samples"]):
            yield self._sample(sample, number)

    def _sample(self, sample: Mapping[str, Any], number: int) -> dict[str, Any]:
        try:
            rows = [[np.nan] * 3 if row is None else [*row, 1][:3] for row in sample["keypoints"]]
            points = np.array(rows, dtype=np.float64).reshape(-1, 3)
            path = str(sample["img_path"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(
                f"{self.ann_file}: expected img_path and keypoints, a list of [x, y] or null, in "
                f"sample {number}, got {type(error).__name__}: {error}; correct the sample"
            ) from None
        return {
            "key": path,
            **sample,
            "img_path": self.picture(path),
            "keypoints": points[:, :2],
            "keypoints_visible": np.nan_to_num(points[:, 2]) > 0,
        }
