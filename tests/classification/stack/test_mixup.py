"""Mixup: inputs and scores are mixed alike, by a share from Beta; tests see nothing of it."""

import pytest
import torch
from torch.testing import assert_close

from mmext.classification.stack import MixupDataPreprocessor
from mmext.classification.stack.samples import ClsDataSample

LABELS = [0, 1, 2, 1]


def batch():
    """Pictures of one value each, 10 to the power of their class."""
    images = [torch.full((1, 2, 2), 10**label, dtype=torch.uint8) for label in LABELS]
    return dict(inputs=images, data_samples=[ClsDataSample().set_gt_label(one) for one in LABELS])


def shares(alpha, *, seeds=200):
    """The share of a mixed batch, and its pictures and scores, for many seeds."""
    mix = MixupDataPreprocessor(3, alpha)
    for seed in range(seeds):
        torch.manual_seed(seed)
        yield mix(batch(), training=True)


def test_pictures_and_scores_are_mixed_alike():
    values = torch.tensor([1.0, 10.0, 100.0])
    for data in shares(1.0, seeds=20):
        scores = torch.stack([one.gt_score for one in data["data_samples"]])
        assert_close(scores.sum(1), torch.ones(4))
        assert_close(data["inputs"][:, 0, 0, 0], scores @ values)
        assert [one.gt_label.tolist() for one in data["data_samples"]] == [[one] for one in LABELS]
        own = scores[range(4), LABELS]
        assert len({round(float(one), 4) for one in own if one < 0.9999}) <= 1  # one share for all


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.2, 0.25 / 1.4)])
def test_the_share_is_drawn_from_beta(alpha, variance):
    found = []
    for data in shares(alpha):
        # Picture 0 is the only one of its class: what is left of it is the share, if it was mixed.
        kept = float(data["data_samples"][0].gt_score[0])
        if kept < 1:
            found.append(kept)
    assert abs(torch.tensor(found).mean() - 0.5) < 0.1
    assert abs(torch.tensor(found).var() - variance) < 0.03


def test_tests_and_alpha_zero_see_nothing_of_it():
    for mix, training in ((MixupDataPreprocessor(3), False), (MixupDataPreprocessor(3, 0.0), True)):
        data = mix(batch(), training=training)
        assert data["inputs"][:, 0, 0, 0].tolist() == [1, 10, 100, 10]
        assert "gt_score" not in data["data_samples"][0]
    with pytest.raises(ValueError, match="alpha must be 0 or more, got -1"):
        MixupDataPreprocessor(3, -1.0)


def test_the_samples_that_were_given_stay_as_they_are():
    given = batch()
    MixupDataPreprocessor(3, 1.0)(given, training=True)
    assert all("gt_score" not in one for one in given["data_samples"])
