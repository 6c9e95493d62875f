"""Steps of a pipeline that move points with pixels: reading, crop, random moves, mirror, packing.

The crop remembers its map from the whole picture, ``crop_matrix``, and later steps change that map,
so each picture is sampled once more from its original and never from a copy.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmext.errors import BadInputError
from mmext.landmarks import geometry
from mmext.landmarks.samples import LandmarkSample
from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFace(BaseTransform):
    """Read the picture, or a video's frame, with blue first; without a box all of it counts.

    A picture that is there already, ``img``, is taken as it is.

    Args:
        whole: take all of the picture even where there is a box, such as one around hidden points.
    """

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``ori_shape`` and, where there is none, ``bbox``.

        Raises:
            BadInputError: the file cannot be read.
        """
        image = results.get("img")
        if image is None:
            frame = results.get("frame_idx")
            path = str(results["img_path"])
            image = mmcv.imread(path) if frame is None else _frame(path, frame)
            if image is None:
                raise BadInputError(
                    f"{path}: expected a picture, got a file that cannot be read as one; take it "
                    "out of the data set, or fetch it again"
                )
        height, width = image.shape[:2]
        results.update(img=image, ori_shape=(height, width), img_shape=(height, width))
        box = results.get("bbox")
        if self.whole or box is None or np.isnan(box).any():
            results["bbox"] = np.array([0, 0, width, height], dtype=np.float32)
        if "keypoints" in results:
            _refuse_far(results, width, height)
        return results


def _refuse_far(results: Mapping[str, Any], width: int, height: int) -> None:
    """Refuse points that lie as far outside as the picture is large: those of another picture.

    Nearer ones are kept: faces at the border have points that nobody can see.
    """
    points = np.asarray(results["keypoints"], dtype=np.float64)
    points = points[np.asarray(results.get("keypoints_visible", np.ones(len(points)))) > 0]
    outside = np.maximum(-points, points - (width - 1, height - 1)).max(axis=1, initial=-np.inf)
    if (outside > max(width, height)).any():
        x, y = points[outside.argmax()]
        raise BadInputError(
            f"{results.get('img_path', 'a sample')}: expected points in the picture of {width} x "
            f"{height} pixels or near it, got one at ({x:.1f}, {y:.1f}); see that points and "
            "picture belong together and are in pixels"
        )


def _frame(path: str, number: int) -> np.ndarray | None:
    """One frame of a video."""
    video = cv2.VideoCapture(path)
    try:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        found, image = video.read()
    finally:
        video.release()
    return image if found else None


@TRANSFORMS.register_module()
class FaceCrop(BaseTransform):
    """Cut out the box of the face, with a margin, and resize it.

    Args:
        size: height and width of the crop, or one number for both.
        margin: share of the box's sides that is added to them.
        keep_ratio: whether the box is first grown to the crop's aspect.
    """

    def __init__(
        self, size: int | Sequence[int] = 256, margin: int | float = 0.2, keep_ratio: bool = True
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.margin, self.keep_ratio = margin, keep_ratio

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img``; add ``crop_matrix``, ``input_size`` and ``crop_keypoints``.

        Raises:
            BadInputError: the box has no area.
        """
        box = np.asarray(results["bbox"], dtype=np.float64)
        if not (np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]):
            raise BadInputError(
                f"{results.get('img_path', 'a sample')}: expected a box of left, top, right and "
                f"bottom with an area, got {box.tolist()}; correct it, or leave it out to take the "
                "whole picture"
            )
        if self.keep_ratio:
            box = geometry.with_aspect(box, self.size[1] / self.size[0])
        matrix = geometry.box_to_crop(geometry.widened(box, self.margin), self.size)
        results["ori_img"] = results["img"]
        return _cropped({**results, "input_size": self.size}, matrix)


def _cropped(results: dict[str, Any], matrix: geometry.Matrix) -> dict[str, Any]:
    """Pixels and points of the crop that a map makes."""
    results["crop_matrix"] = matrix
    results["img"] = geometry.warped(results["ori_img"], matrix, results["input_size"])
    results["img_shape"] = results["input_size"]
    if "keypoints" in results:
        points = np.asarray(results["keypoints"], dtype=np.float64)
        results["crop_keypoints"] = geometry.moved(points, matrix).astype(np.float32)
    return results


@TRANSFORMS.register_module()
class RandomFaceAffine(BaseTransform):
    """Scale, turn and shift the crop at random; perhaps change its colours.

    Args:
        scale: smallest and largest factor.
        rotation: largest turn to either side, in degrees.
        shift: largest way in each direction, as a share of the crop's sides.
        colour: each channel is multiplied by 1 - colour to 1 + colour.
        prob: share of pictures that it is done to.
    """

    def __init__(
        self,
        scale: Sequence[int | float] = (0.9, 1.1),
        rotation: int | float = 20.0,
        shift: int | float = 0.1,
        colour: int | float = 0.0,
        prob: int | float = 1.0,
    ) -> None:
        self.scale, self.rotation, self.shift = scale, rotation, shift
        self.colour, self.prob = colour, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Sample the crop anew, with its points."""
        if random.random() >= self.prob:
            return results
        _require_crop(results, self)
        height, width = results["input_size"]
        move = geometry.random_affine(
            (height, width),
            scale=random.uniform(*self.scale),
            degrees=random.uniform(-self.rotation, self.rotation),
            shift_px=(
                random.uniform(-self.shift, self.shift) * width,
                random.uniform(-self.shift, self.shift) * height,
            ),
        )
        results = _cropped(results, geometry.composed(move, results["crop_matrix"]))
        if self.colour:
            channels = results["img"].shape[2]
            factors = [random.uniform(1 - self.colour, 1 + self.colour) for _ in range(channels)]
            results["img"] = np.clip(results["img"] * factors, 0, 255).astype(np.uint8)
        return results


@TRANSFORMS.register_module()
class FaceFlip(BaseTransform):
    """Mirror the crop; points that are declared as pairs change places.

    Args:
        prob: share of pictures that are mirrored.
    """

    def __init__(self, prob: int | float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror pixels, points and map.

        Raises:
            BadInputError: the data set declares no pairs, so a left eye would become a right one.
        """
        pairs = results.get("flip_pairs")
        if pairs is None:
            raise BadInputError(
                "FaceFlip: expected a data set that says which points change places in a mirror, "
                "got none; set its metainfo=dict(flip_pairs=[(0, 1), ...]), () if none does, or "
                "take FaceFlip out of the pipeline"
            )
        if random.random() >= self.prob:
            return results
        _require_crop(results, self)
        width = results["input_size"][1]
        mirror = geometry.mirrored(width)
        results["img"] = np.ascontiguousarray(results["img"][:, ::-1])
        results["crop_matrix"] = geometry.composed(mirror, results["crop_matrix"])
        if "crop_keypoints" in results:
            order = np.arange(len(results["crop_keypoints"]))
            for left, right in pairs:
                order[left], order[right] = right, left
            mirrored = geometry.moved(results["crop_keypoints"].astype(np.float64), mirror)
            results["crop_keypoints"] = mirrored[order].astype(np.float32)
            for key in ("keypoints", "keypoints_visible", "keypoint_weights"):
                if key in results:
                    results[key] = np.asarray(results[key])[order]
        results["flip"] = not results.get("flip", False)
        return results


def _require_crop(results: Mapping[str, Any], step: BaseTransform) -> None:
    if "crop_matrix" not in results:
        raise BadInputError(
            f"{type(step).__name__}: expected a crop, got a whole picture; put FaceCrop before it "
            "in the pipeline"
        )


@TRANSFORMS.register_module()
class PackLandmark(BaseTransform):
    """Pack picture and points: ``inputs`` (3, H, W) and ``data_samples``, a LandmarkSample.

    Where labels are hidden, ``labeled=False``, training sees no visible point; metainfo keeps the
    truth, if there is one, for metrics.

    Args:
        meta_keys: what is kept beside the points, where it is there.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            "sample_idx",
            "key",
            "img_path",
            "frame_idx",
            "ori_shape",
            "img_shape",
            "input_size",
            "crop_matrix",
            "bbox",
            "keypoints",
            "keypoints_visible",
            "norm_len",
            "subset",
            "labeled",
            "flip_pairs",
            "flip",
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make tensor and sample."""
        _require_crop(results, self)
        inputs = torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1)))
        sample = LandmarkSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if "crop_keypoints" in results:
            visible = np.asarray(results["keypoints_visible"], dtype=np.float32)
            visible = visible * float(results.get("labeled", True))
            sample.gt_keypoints = torch.from_numpy(results["crop_keypoints"])
            sample.gt_visible = torch.from_numpy(visible)
        if "keypoint_weights" in results:
            weights = np.asarray(results["keypoint_weights"], dtype=np.float32)
            sample.keypoint_weights = torch.from_numpy(weights)
        return {"inputs": inputs, "data_samples": sample}
