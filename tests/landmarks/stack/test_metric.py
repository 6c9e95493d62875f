"""The metric says its rule, judges subsets, counts what it leaves out, and joins two ranks."""

import logging

import numpy as np
import pytest
import torch

from mmext.errors import BadInputError
from mmext.landmarks.stack import LandmarkNME

TRUTH = np.random.default_rng(0).uniform(0, 60, (6, 5, 2)).astype(np.float32)
SHIFT = np.array([[3.0, 4.0]], dtype=np.float32)
VISIBLE = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]] * 2, dtype=np.float32)


def sample(number, times=1, **changed):
    """A face whose prediction is off by 5 pixels, times a factor, in a crop of 50 pixels a side."""
    return (
        dict(
            pred_keypoints=torch.from_numpy(TRUTH[number] + SHIFT * times),
            keypoints=TRUTH[number],
            keypoints_visible=VISIBLE[number],
            bbox=np.array([0.0, 0.0, 40.0, 10.0]),
            crop_matrix=np.array([[2.0, 0, 5], [0, 2.0, 7]]),
            input_size=(100, 100),
            norm_len=25.0,
            subset="easy" if number < 3 else "hard",
        )
        | changed
    )


def numbers(samples, **cfg):
    metric = LandmarkNME(**cfg)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_numbers_by_hand_of_all_and_of_each_subset():
    found = numbers(
        [sample(n, times=n + 1) for n in range(6)], norm="side", thresholds=(0.35,), pck=(0.15,)
    )
    assert found["landmarks/NME"] == pytest.approx(35)  # 10, 20, ... 60 % of 50 pixels
    assert found["landmarks/easy/NME"] == pytest.approx(20)
    assert found["landmarks/hard/NME"] == pytest.approx(50)
    assert found["landmarks/FR@35"] == pytest.approx(50)
    assert found["landmarks/PCK@15"] == pytest.approx(100 * 5 / 22)
    assert found["landmarks/left_out"] == 0


@pytest.mark.parametrize(
    ("norm", "length"), [("side", 50), ("sqrt_area", 20), ("bbox_long", 40), ("norm_len", 25)]
)
def test_norms(norm, length):
    found = numbers([sample(n) for n in range(6)], norm=norm)
    assert found["landmarks/NME"] == pytest.approx(500 / length)


def test_eyes_of_fewer_points_are_given():
    found = numbers([sample(0)], norm="outer_eye", eye_points=((0,), (1,)))
    assert found["landmarks/NME"] == pytest.approx(500 / np.hypot(*(TRUTH[0, 0] - TRUTH[0, 1])))
    with pytest.raises(ValueError, match="set eye_points"):
        numbers([sample(0)])


def test_macro_is_not_micro():
    samples = [sample(0), sample(2, times=2)]  # five points of 10 %, one of 20 %
    assert numbers(samples, norm="side")["landmarks/NME"] == pytest.approx(15)
    found = numbers(samples, norm="side", average="micro")
    assert found["landmarks/NME"] == pytest.approx((5 * 10 + 20) / 6)


def test_the_rule_stands_beside_the_numbers_and_left_out_faces_are_counted(caplog):
    nobody = dict(keypoints=np.full((5, 2), np.nan), keypoints_visible=np.zeros(5))
    samples = [sample(0), sample(1, norm_len=0.0), sample(2, norm_len=np.nan), sample(3, **nobody)]
    with caplog.at_level(logging.INFO, "mmext"):
        found = numbers(samples, norm="norm_len", average="micro")
    assert found["landmarks/NME"] == pytest.approx(20)
    assert found["landmarks/left_out"] == 3
    assert "landmarks, all: NME 20.00 %" in caplog.text
    assert "(norm_len, micro; 1 faces, 3 left out: no visible point or no length)" in caplog.text


def test_nothing_to_judge_is_a_warning_and_no_number(caplog):
    with caplog.at_level(logging.WARNING, "mmext"):
        found = numbers([sample(0, norm_len=0.0)], norm="norm_len")
    assert np.isnan(found["landmarks/NME"])
    assert "expected faces with a visible point and a norm_len above 0" in caplog.text
    assert "got none of 1, so no number" in caplog.text


def test_no_sample_at_all_is_refused():
    with pytest.raises(BadInputError, match="expected samples to judge, got none; take a data set"):
        numbers([], norm="side")


def test_a_prediction_that_is_no_number_is_a_failure():
    found = numbers([sample(0), sample(1, times=np.nan)], norm="side", thresholds=(0.2,))
    assert found["landmarks/NME"] == np.inf
    assert found["landmarks/FR@20"] == 50
    assert found["landmarks/left_out"] == 0


def test_a_curve_is_drawn(tmp_path):
    numbers([sample(0)], norm="side", curve=str(tmp_path / "ced.png"))
    assert (tmp_path / "ced.png").stat().st_size > 1000


def test_other_names_and_shapes_are_refused():
    with pytest.raises(ValueError, match="norm must be one of"):
        LandmarkNME(norm="eyes")
    with pytest.raises(ValueError, match=r"average must be one of .* got 'mean'"):
        LandmarkNME(average="mean")
    with pytest.raises(ValueError, match=r"of shape \(5, 2\), as the truth has, got \(4, 2\)"):
        numbers([sample(0, pred_keypoints=torch.zeros(4, 2))])


def of_rank(rank):
    metric = LandmarkNME(norm="side", thresholds=(0.3,))
    metric.process(None, [sample(n, times=n + 1) for n in range(rank, 6, 2)])
    return metric.evaluate(6)


def test_two_ranks_give_what_one_process_gives(two_ranks):
    """Subsets, macro averages and curves are of all faces, whichever rank saw them."""
    alone = numbers([sample(n, times=n + 1) for n in range(6)], norm="side", thresholds=(0.3,))
    for found in two_ranks(of_rank):
        assert found == pytest.approx(alone)
