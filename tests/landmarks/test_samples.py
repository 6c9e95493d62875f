"""Samples are stacked as training needs them, or refused with a sentence."""

import numpy as np
import pytest
import torch

from mmext.landmarks.samples import LandmarkSample, matrices, stacked


def sample(count=3, **fields):
    one = LandmarkSample(metainfo=dict(crop_matrix=np.eye(2, 3)))
    one.gt_keypoints, one.gt_visible = torch.rand(count, 2), torch.ones(count)
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def test_weights_count_instead_of_visibility_where_they_are():
    soft = torch.tensor([0.1, 0.0, 0.9])
    points, weights = stacked([sample(), sample(keypoint_weights=soft)])
    assert points.shape == (2, 3, 2)
    assert weights.tolist() == [[1, 1, 1], soft.tolist()]
    assert matrices([sample(), sample()]).shape == (2, 2, 3)


def test_others_are_refused():
    with pytest.raises(ValueError, match="some with 3 and some with 4; join only data sets"):
        stacked([sample(), sample(4)])
    with pytest.raises(ValueError, match=r"got samples without; end the pipeline with"):
        stacked([sample(), LandmarkSample()])
