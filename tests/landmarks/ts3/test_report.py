"""The report: correlations with the hidden truth, the better half, and what to label next."""

from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from scipy import stats

from mmext.landmarks.ts3 import TS3Report
from mmext.landmarks.ts3.labelling import Labelling
from mmext.landmarks.ts3.report import next_to_label, summary
from tests.landmarks.ts3.test_labelling import NAMES, some


def test_correlations_are_with_minus_the_hidden_error_over_all_labels_that_have_one():
    error = np.random.default_rng(1).random((6, 2))
    error[2] = np.nan
    found = some(error=error)
    bank = Labelling().bank(NAMES, found, 1)
    told = summary(bank, found)
    known = np.isfinite(error)
    for name, signal in (
        ("teacher", found.quality),
        ("agreement", np.repeat(-found.apart.mean(-1, keepdims=True), 2, 1)),
        ("peak", found.peaks.mean(-1)),
        ("score", bank.score),
    ):
        expected = stats.spearmanr(signal[known], -error[known]).statistic
        assert told[f"spearman_{name}"] == pytest.approx(expected, abs=1e-6)
    assert told["error"] == pytest.approx(100 * error[known].mean())
    assert told["error_gap"] == pytest.approx(
        100 * (np.nanmean(error[:, 1]) - np.nanmean(error[:, 0]))
    )
    assert told["student_gap"] == pytest.approx(100 * found.apart.mean(), rel=1e-5)
    assert told["accepted"] == pytest.approx((bank.weights.sum(-1) > 0).mean())


def test_a_perfect_judge_has_1_and_its_better_half_the_smaller_errors():
    error = np.arange(12.0).reshape(6, 2)
    found = some(error=error, quality=-error.astype(np.float32))
    told = summary(Labelling(score_mix=("teacher",)).bank(NAMES, found, 1), found)
    assert told["spearman_teacher"] == pytest.approx(1)
    assert told["spearman_score"] == pytest.approx(1)
    assert told["error_better_half"] == pytest.approx(100 * np.arange(6).mean())


def test_without_hidden_labels_nothing_is_made_up():
    found = some(error=np.full((6, 2), np.nan))
    told = summary(Labelling().bank(NAMES, found, 1), found)
    assert told["spearman_teacher"] is None
    assert told["error"] is None
    assert told["accepted"] > 0


def test_the_list_begins_with_the_picture_whose_better_label_is_worst():
    quality = np.array([[3, 9], [1, 2], [4, 0], [8, 7], [6, 5], [11, 10]], np.float32)
    bank = Labelling(score_mix=("teacher",)).bank(NAMES, some(quality=quality), 1)
    assert next_to_label(bank, 3) == ["1.png", "2.png", "4.png"]


def test_it_writes_files_and_logs_numbers(tmp_path):
    found = some(error=np.full((6, 2), np.nan))
    runner = SimpleNamespace(work_dir=str(tmp_path), visualizer=mock.Mock(), iter=7)
    bank = Labelling().bank(NAMES, found, 1)
    TS3Report(next_count=2).after_labelling(runner, 3, bank, found)
    assert len((tmp_path / "round_3/label_next.txt").read_text().split()) == 2
    (numbers,), told = runner.visualizer.add_scalars.call_args
    assert told == dict(step=7)
    assert numbers["ts3/accepted"] == 1
    assert "ts3/spearman_teacher" not in numbers
    assert '"spearman_teacher": null' in (tmp_path / "round_3/report.json").read_text()
