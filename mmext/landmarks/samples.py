"""What a data set says of the points in a picture and a model answers.

Pixels count from the centre of the first one, so a picture of width W reaches from -0.5 to W - 0.5.
Points are x and y; letters: B pictures, K points.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from mmengine.structures import BaseDataElement
from torch import Tensor


class LandmarkSample(BaseDataElement):
    """The points of one picture or face, and where a model finds them.

    What training sees, in pixels of the crop: ``gt_keypoints`` (K, 2) and ``gt_visible`` (K,),
    which is 0 for what is not labelled, and for all points where labels are hidden. Some add
    ``keypoint_weights`` (K,), which then counts instead.

    What a model adds, in pixels of the whole picture: ``pred_keypoints`` (K, 2), ``pred_scores``
    (K,).

    Beside them, as metainfo: ``img_path``, ``key`` (its name in lists), ``crop_matrix`` (2, 3) from
    the picture to the crop, ``input_size`` (height, width), ``ori_shape``, ``bbox`` (4,),
    ``keypoints`` (K, 2) and ``keypoints_visible`` (K,) of the whole picture, which keep the truth
    where labels are hidden from training, ``norm_len``, ``subset``, ``labeled``, ``flip_pairs``,
    ``sample_idx``.
    """


def stacked(
    samples: Sequence[Any], device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Points of a batch in pixels of their crops, and their weights: by default the visibility.

    Raises:
        ValueError: samples lack points, or have different numbers of them.
    """
    if not all("gt_keypoints" in sample for sample in samples):
        raise ValueError(
            "expected gt_keypoints in each sample, got samples without; end the pipeline with "
            "mmext.PackLandmark, and take a data set with labels"
        )
    counts = sorted({len(sample.gt_keypoints) for sample in samples})
    if len(counts) > 1:
        raise ValueError(
            f"expected samples with the same points, got some with {counts[0]} and some with "
            f"{counts[-1]}; join only data sets that label the same points"
        )
    points = torch.stack([sample.gt_keypoints for sample in samples])
    weights = torch.stack(
        [
            sample.keypoint_weights if "keypoint_weights" in sample else sample.gt_visible
            for sample in samples
        ]
    )
    return points.to(device), weights.to(device)


def matrices(samples: Sequence[Any], device: torch.device | str = "cpu") -> Float[Tensor, "B 2 3"]:
    """The matrices from pictures to crops, in double precision; in one copy to the device."""
    found = np.stack([np.asarray(sample.crop_matrix, dtype=np.float64) for sample in samples])
    return torch.from_numpy(found).to(device)
