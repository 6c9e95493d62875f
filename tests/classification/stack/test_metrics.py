"""Accuracy and calibration against slow loops, by hand, and with what they warn of."""

import logging
import math

import pytest
import torch
from torch.testing import assert_close

from mmext.classification.stack import CalibrationMetric, TopKAccuracy
from mmext.classification.stack.metrics import expected_calibration_error, ranks_of


def samples(scores, labels):
    return [
        dict(pred_score=torch.tensor(score), gt_label=torch.tensor([label]))
        for score, label in zip(scores, labels, strict=True)
    ]


def evaluated(metric, found):
    metric.process(None, found)
    return metric.evaluate(len(found))


def slow_rank(score, label):
    """The place of the label in a sorted list; of equal scores the first class stands first."""
    order = sorted(range(len(score)), key=lambda one: (-score[one], one))
    return order.index(label)


def test_ranks_are_those_of_a_sorted_list():
    g = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (200, 7), generator=g).float()  # with many ties
    labels = torch.randint(0, 7, (200,), generator=g)
    want = [slow_rank(*one) for one in zip(scores.tolist(), labels.tolist(), strict=True)]
    assert ranks_of(scores, labels).tolist() == want


def test_top_k_counts_pictures():
    scores = [[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.2, 0.3, 0.5]]
    found = evaluated(TopKAccuracy((1, 2, 5)), samples(scores, [1, 2, 1, 0]))
    # Ranks 0, 1, 1 (a tie, the first class wins) and 2; there is no fifth class.
    assert found == {"accuracy/top1": 25.0, "accuracy/top2": 75.0}


def test_a_label_outside_the_scores_ends_in_one_sentence():
    with pytest.raises(
        ValueError, match="labels from 0 to 1, the classes of the model, got 0 to 2"
    ):
        TopKAccuracy().process(None, samples([[0.1, 0.9]] * 2, [0, 2]))
    with pytest.raises(ValueError, match="expected one gt_label a picture, got 2"):
        TopKAccuracy().process(None, [dict(pred_score=[0.1, 0.9], gt_label=[0, 1])])


@pytest.mark.parametrize(
    ("sure", "right", "told"), [(9.0, 0.0, True), (9.0, 0.2, False), (0.5, 0.0, False)]
)
def test_a_sure_net_at_chance_is_told_of_the_order_of_classes(sure, right, told, caplog):
    """By another order it is surely wrong; untrained it is not sure, trained it is not wrong."""
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 100, (600,), generator=g)
    answers = (labels * 37 + 11) % 100
    answers[: int(600 * right)] = labels[: int(600 * right)]
    logits = torch.randn(600, 100, generator=g)
    logits[range(600), answers] += sure
    metric = TopKAccuracy()
    with caplog.at_level(logging.WARNING, "mmext"):
        evaluated(metric, samples(logits.softmax(1).tolist(), labels.tolist()))
    assert ("count classes in different orders" in caplog.text) == told


def test_calibration_by_hand():
    found = evaluated(
        CalibrationMetric(bins=2), samples([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]], [0, 1, 0])
    )
    assert_close(found["calibration/nll"], -(math.log(0.9) + math.log(0.4) + math.log(0.8)) / 3)
    # All in the upper bin: sure by 2.3 / 3, right in 2 of 3.
    assert_close(found["calibration/ece"], 100 * (2.3 - 2) / 3, rtol=1e-4, atol=1e-4)


def test_the_calibration_error_is_that_of_a_loop():
    g = torch.Generator().manual_seed(0)
    sure, right = torch.rand(500, generator=g), torch.rand(500, generator=g) < 0.5
    want = 0.0
    for one in range(15):
        inside = [i for i in range(500) if one / 15 < float(sure[i]) <= (one + 1) / 15]
        gap = sum(float(sure[i]) for i in inside) - sum(int(right[i]) for i in inside)
        want += abs(gap) / 500
    assert_close(float(expected_calibration_error(sure, right)), want, rtol=1e-5, atol=1e-6)


def test_an_impossible_class_does_not_make_the_mean_infinite():
    found = evaluated(CalibrationMetric(), samples([[1.0, 0.0]], [1]))
    assert 80 < found["calibration/nll"] < 100
    assert found["calibration/ece"] == 100


def test_scores_that_are_no_shares_end_in_one_sentence():
    with pytest.raises(ValueError, match=r"sum up to 1, got 1.600; use it with a softmax"):
        CalibrationMetric().process(None, samples([[0.8, 0.8]], [0]))
