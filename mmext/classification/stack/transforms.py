"""Steps of a pipeline that mmcv lacks: reading what is no file, a crop of random size, packing."""

import random
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile

from mmext.classification.stack.samples import ClsDataSample
from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageUnlessGiven(LoadImageFromFile):
    """Read the picture's file, unless the data set has given the picture itself.

    One pipeline serves so for a data set in memory and for a demo on files.

    Args:
        **reader_cfg: of mmcv's ``LoadImageFromFile``, such as ``color_type="grayscale"``.
    """

    def __init__(self, **reader_cfg: Any) -> None:
        super().__init__(**reader_cfg)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add ``img`` if it is not there."""
        return results if results.get("img") is not None else super().transform(results)


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut out a part of random area and aspect, and resize it: how ImageNet's nets are trained.

    Ten tries as in torchvision, then the largest part in the middle whose aspect is allowed.

    Args:
        scale: height and width of the result, or one number for both.
        area: least and largest share of the picture's area.
        aspect: least and largest width over height; its logarithm is drawn evenly.
        interpolation: of mmcv's ``imresize``.
    """

    def __init__(
        self,
        scale: int | tuple[int, int],
        area: tuple[float, float] = (0.08, 1.0),
        aspect: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
    ) -> None:
        self.scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        self.area, self.aspect, self.interpolation = area, aspect, interpolation

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part."""
        for _ in range(10):
            area = random.uniform(*self.area) * height * width
            ratio = np.exp(random.uniform(*np.log(self.aspect)))
            h, w = round(float(np.sqrt(area / ratio))), round(float(np.sqrt(area * ratio)))
            if 0 < h <= height and 0 < w <= width:
                top = random.randint(0, height - h)
                return top, random.randint(0, width - w), h, w
        ratio = min(max(width / height, self.aspect[0]), self.aspect[1])
        h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img`` by a part of it."""
        image = results["img"]
        top, left, h, w = self.window(*image.shape[:2])
        results["img"] = mmcv.imresize(
            image[top : top + h, left : left + w],
            self.scale[::-1],
            interpolation=self.interpolation,
        )
        results["img_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class PackClsInputs(BaseTransform):
    """Pack picture and label as a classifier takes them: ``inputs`` (C, H, W) and ``data_samples``.

    Args:
        meta_keys: what of the sample is kept beside its label, where it is there.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            "sample_idx",
            "key",
            "img_path",
            "ori_shape",
            "img_shape",
            "scale_factor",
            "flip",
            "flip_direction",
            "true_label",
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make tensor and sample."""
        image = results["img"]
        image = image[..., None] if image.ndim == 2 else image
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        meta = {key: results[key] for key in self.meta_keys if key in results}
        sample = ClsDataSample(metainfo=meta)
        if "gt_label" in results:
            sample.set_gt_label(results["gt_label"])
        if "gt_score" in results:
            sample.set_gt_score(results["gt_score"])
        return {"inputs": inputs, "data_samples": sample}
