"""The evidence of landmarks: splits, moves of frames, and what its numbers say."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dev.evidence.landmarks import mouse, ranking, room
from dev.evidence.study import StudyError


@pytest.mark.parametrize("seed", [0, 100])
def test_no_frame_has_two_parts(seed):
    known, hidden = ranking.split(seed)
    assert (len(known), len(hidden)) == (20, 50)
    assert not set(known) & set(hidden)
    parts = room.split(seed)
    assert sorted(np.concatenate(parts)) == list(range(mouse.FRAMES))
    assert [len(part) for part in parts] == [20, 20, 50]


def test_seeds_draw_other_frames():
    assert not np.array_equal(room.split(0)[1], room.split(1)[1])


def test_points_move_with_the_pixels():
    images = torch.full((6, 3, 64, 64), -2.0)
    points = torch.tensor([[[20.0, 30.0], [40.0, 36.0]]]).repeat(6, 1, 1)
    for x, y in points[0].int().tolist():
        images[:, :, y, x] = 30.0
    data = mouse.Frames(images, points, torch.ones(6, 2))
    moved = mouse.moved_about(data, torch.Generator().manual_seed(0))
    assert not torch.allclose(moved.points, points)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for picture, at in zip(moved.images, moved.points, strict=True):
        bright = (picture[0] - picture[0].min()).clamp_min(0)
        for x, y in at.tolist():
            near = bright * ((columns - x).abs() < 4) * ((rows - y).abs() < 4)
            assert float((near * columns).sum() / near.sum()) == pytest.approx(x, abs=0.3)
            assert float((near * rows).sum() / near.sum()) == pytest.approx(y, abs=0.3)


def test_a_point_that_leaves_the_picture_is_not_seen():
    data = mouse.Frames(torch.zeros(40, 3, 64, 64), torch.full((40, 1, 2), 63.0), torch.ones(40, 1))
    moved = mouse.moved_about(data, torch.Generator().manual_seed(0))
    outside = ((moved.points < 0) | (moved.points > 63)).any(-1)
    assert outside.any()
    assert_close(moved.visible, (~outside).float())


def test_batches_see_all_frames_before_any_again():
    seen = torch.cat(list(mouse.batches(20, 5, (1, 2))))
    assert len(seen) == 40
    assert sorted(seen.tolist()) == sorted([*range(20)] * 2)


def runs(gains):
    return {
        str(seed): dict(
            spearman={
                **dict.fromkeys(("peak", "agreement", ranking.BOTH, "teacher"), 0.3),
                ranking.SCORE: 0.3 + gain,
                **dict.fromkeys((f"{ranking.GAN} teacher", f"{ranking.GAN} score"), 0.1),
            },
            better_half={ranking.SCORE: 0.8, **dict.fromkeys(("peak", "agreement"), 0.9)}
            | dict.fromkeys((ranking.BOTH, "teacher"), 0.9)
            | dict.fromkeys((f"{ranking.GAN} teacher", f"{ranking.GAN} score"), 1.0),
        )
        for seed, gain in enumerate(gains)
    }


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.1, 0.12, 0.11), "ranks labels better than"),
        ((0.1, -0.12, 0.11), "is not visibly better than"),
        ((-0.1, -0.12, -0.11), "ranks labels worse than"),
    ],
)
def test_the_sentence_says_what_the_interval_says(gains, verdict):
    found = ranking.summary(runs(gains))
    assert found["pairs"][0]["mean"] == pytest.approx(np.mean(gains))
    assert verdict in ranking.known(found)


def test_a_perfect_score_has_1_and_a_constant_one_0():
    error = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    assert ranking.correlation(-error, error) == pytest.approx(1)
    assert ranking.correlation(torch.ones(20, 2), error) == 0
    assert ranking.kept_error(-error, error) < 0.7


@pytest.mark.parametrize(
    ("gains", "opens"), [((0.5, 0.6, 0.4, 0.5), True), ((0.5, -0.6, 0.9, 0.1), False)]
)
def test_the_gate_opens_at_three_standard_errors(gains, opens):
    arms = {
        room.SUPERVISED: {str(n): dict(error=6.0) for n in range(4)},
        room.ORACLE: {str(n): dict(error=6.0 - gain) for n, gain in enumerate(gains)},
    }
    found = room.judged(arms)
    assert found["gain"]["mean"] == pytest.approx(np.mean(gains))
    assert found["standard_error"] == pytest.approx(np.std(gains, ddof=1) / 2)
    assert found["room"] is opens
    assert ("there is room" in room.known(found)) is opens


@pytest.mark.parametrize("study", [ranking, room])
def test_what_has_not_run_as_stated_is_refused(study, tmp_path):
    with pytest.raises(StudyError, match="expected a run of this statement, got none"):
        study.files(*([0], tmp_path) if study is ranking else (tmp_path,))
