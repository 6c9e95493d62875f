"""Points in COCO's files: one sample an annotation, names and limbs of its category."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmext.data_checks.coco import read_coco
from mmext.errors import BadInputError, did_you_mean
from mmext.landmarks.stack.datasets import LandmarkFiles, require_file
from mmext.registry import DATASETS

MIRRORED = (("left_", "right_"), ("Left", "Right"), ("L_", "R_"))
"""Beginnings of names of which one becomes the other in a mirror."""


def pairs_by_name(names: list[str]) -> list[tuple[int, int]]:
    """Numbers of points whose names differ in left and right alone.

    Example:
        >>> pairs_by_name(["nose", "left_eye", "right_eye"])
        [(1, 2)]
    """
    return [
        (number, names.index(right + name.removeprefix(left)))
        for number, name in enumerate(names)
        for left, right in MIRRORED
        if name.startswith(left) and right + name.removeprefix(left) in names
    ]


@DATASETS.register_module()
class COCOLandmarkDataset(LandmarkFiles):
    """The instances of a COCO file, with the box of each; arguments as in :class:`LandmarkFiles`.

    Points with v = 1 or 2 count. Pairs that change places in a mirror are those of the category's
    ``flip_pairs``, which COCO itself does not have, or the names with left and right. Pictures
    without an instance are unlabelled samples; crowds are left out. ``subset`` of an image, if it
    has one, is its samples' subset.
    """

    def read(self) -> Iterable[dict[str, Any]]:
        """The samples of the file.

        Raises:
            BadInputError: it has no category with keypoints, or a sample has another number.
        """
        require_file(self.ann_file)
        coco = read_coco(self.ann_file, "give a COCO file of keypoints as ann_file", outlines=False)
        category = next((one for one in coco["categories"] if one.get("keypoints")), None)
        if category is None:
            raise BadInputError(
                f"{self.ann_file}: expected a category with a list 'keypoints', got none; take a "
                "file of keypoints, such as person_keypoints_train2017.json"
            )
        self._learn_category(category)
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for one in coco.get("annotations", ()):
            if one["category_id"] == category["id"] and not one.get("iscrowd"):
                by_image.setdefault(one["image_id"], []).append(one)
        for image in coco["images"]:
            nobody = {"keypoints": [0, 0, 0] * len(category["keypoints"])}
            instances = by_image.get(image["id"], [nobody])
            for instance in instances:
                sample = self._sample(image, instance, len(category["keypoints"]))
                if len(instances) > 1:
                    sample["key"] += f"#{instance.get('id')}"
                yield sample

    def _learn_category(self, category: Mapping[str, Any]) -> None:
        names = [str(name) for name in category["keypoints"]]
        pairs = [
            tuple(self._number(point, names) for point in pair) if isinstance(pair, list) else pair
            for pair in category.get("flip_pairs", ())
        ]
        self.learn(
            keypoint_names=names,
            flip_pairs=pairs or pairs_by_name(names),
            skeleton=[
                (a - 1, b - 1) for a, b in category.get("skeleton", ())
            ],  # COCO counts from 1
        )

    def _number(self, point: Any, names: list[str]) -> Any:
        """The number of a point of ``flip_pairs``, which names it or counts from 0."""
        if not isinstance(point, str):
            return point
        if point not in names:
            raise BadInputError(
                f"{self.ann_file}: expected names of the category's keypoints in flip_pairs, got "
                f"{point!r}{did_you_mean(point, names)}; correct it"
            )
        return names.index(point)

    def _sample(
        self, image: Mapping[str, Any], instance: Mapping[str, Any], count: int
    ) -> dict[str, Any]:
        name, points = image["file_name"], instance.get("keypoints", [0, 0, 0] * count)
        if len(points) != 3 * count:
            raise BadInputError(
                f"{self.ann_file}: expected {count} points with x, y and v in annotation "
                f"{instance.get('id')} of {name}, got {len(points)} numbers; correct it"
            )
        rows = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        rows[rows[:, 2] == 0] = np.nan
        sample = {
            "img_path": self.picture(name),
            "key": name,
            "subset": str(image.get("subset", "")),
            "keypoints": rows[:, :2],
        }
        if "bbox" in instance:
            x, y, width, height = instance["bbox"]
            sample["bbox"] = [x, y, x + width, y + height]
        return sample
