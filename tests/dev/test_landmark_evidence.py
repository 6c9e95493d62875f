"""The evidence of landmarks: splits, moves of frames, and what its numbers say."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dev.evidence.landmarks import mouse, ranking, retraining, room
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


def ranked(gains):
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
    found = ranking.summary(ranked(gains))
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


@pytest.mark.parametrize("study", [ranking, room, retraining])
def test_what_has_not_run_as_stated_is_refused(study, tmp_path):
    other = replace(study.RUNS, folder=tmp_path)
    with pytest.raises(StudyError, match="expected a run of this statement, got none; run python"):
        other.joined()
    assert study.known(None) == f"Stated and not run yet: `python -m {study.__name__}`."


def test_no_pair_of_the_gate_is_a_pair_of_the_study():
    assert not {*retraining.SEEDS} & {*room.SEEDS}
    assert len(retraining.SEEDS) == 10


LABELS = dict(
    points=torch.rand(10, 2, 17, 2, generator=torch.Generator().manual_seed(0)) * 128,
    peaks=torch.rand(10, 2, 17, generator=torch.Generator().manual_seed(1)),
)


def test_all_labels_count_alike_and_weights_are_those_of_the_package():
    assert (retraining.weights_of(retraining.ALL, LABELS) == 1).all()
    found = retraining.weights_of(retraining.WEIGHTS, LABELS)
    apart = (LABELS["points"][:, 0] - LABELS["points"][:, 1]).norm(dim=-1) / 128
    assert_close(found, torch.exp(-apart / 0.03)[:, None] * LABELS["peaks"])


def test_the_teacher_changes_which_half_is_kept():
    half = retraining.weights_of(retraining.HALF, LABELS)
    assert half.sum(0).tolist() == [[5.0] * 17] * 2
    free = -(LABELS["points"][:, 0] - LABELS["points"][:, 1]).norm(dim=-1).mean(-1)
    assert half[free.argmax(), LABELS["peaks"].mean(-1)[free.argmax()].argmax(), 0] == 1
    # labels that are alike in all else are kept as the teacher says, those of each student apart
    alike = dict(points=torch.zeros(10, 2, 17, 2), peaks=torch.ones(10, 2, 17))
    quality = torch.stack([torch.arange(10.0), -torch.arange(10.0)], 1)
    kept = retraining.weights_of(retraining.TS3, alike | dict(quality=quality))[..., 0]
    assert kept.T.tolist() == [[0.0] * 5 + [1.0] * 5, [1.0] * 5 + [0.0] * 5]


def test_each_student_gets_its_own_labels_of_the_frames_that_are_chosen():
    hidden = mouse.Frames(
        torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 3, 2, 2),
        LABELS["points"][:, 0] + torch.tensor([1.28, 0.0]),
        torch.ones(10, 17),
    )
    weights = torch.zeros(10, 2, 17)
    weights[3, 0], weights[[1, 4], 1] = 0.5, 1
    first, second = retraining.chosen(hidden, LABELS["points"], weights)
    assert first.images[:, 0, 0, 0].tolist() == [3]
    assert second.images[:, 0, 0, 0].tolist() == [1, 4]
    assert_close(second.points, LABELS["points"][[1, 4], 1])
    assert_close(first.visible, torch.full((1, 17), 0.5))
    weights[:, 1] = 0
    assert retraining.label_error(LABELS["points"], weights, hidden) == pytest.approx(1, rel=1e-4)


def trained(gain):
    """Errors of all arms, those of TS3 lower by gains."""
    return {
        arm: {
            str(seed): dict(error=6 - (one if arm == retraining.TS3 else 0.0), near=50.0)
            | (dict(label_error=4.0) if arm in (retraining.ALL, retraining.TS3) else {})
            for seed, one in enumerate(gain)
        }
        for arm in retraining.ARMS
    }


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.1, 0.12, 0.11), "is better than"),
        ((0.1, -0.12, 0.11), "is not visibly better than"),
        ((-0.1, -0.12, -0.11), "is worse than"),
    ],
)
def test_the_sentence_of_retraining_says_what_the_interval_says(gains, verdict):
    found = retraining.summary(trained(gains))
    assert found["pairs"][0]["mean"] == pytest.approx(np.mean(gains))
    assert found["means"]["error"][retraining.SUPERVISED] == 6
    assert set(found["label_error"]) == {retraining.ALL, retraining.TS3}
    said = retraining.known(found)
    assert f"chooses, {verdict} training on 20 labelled frames alone" in said
    assert f"{np.mean(gains):+.2f} (" in said
    for arm in retraining.ARMS[1:]:
        assert arm in said
    on = [dict(device="CPU"), dict(device="a GPU")]
    assert "Trained on" not in retraining.known(found | dict(machines=on[:1]))
    assert "Trained on CPU and a GPU, all arms of a pair on one." in retraining.known(
        found | dict(machines=on)
    )


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Frames of noise, and a folder of their own for the files."""
    g = torch.Generator().manual_seed(0)
    data = mouse.Frames(
        torch.randn(90, 3, 128, 128, generator=g),
        torch.rand(90, 17, 2, generator=g) * 127,
        torch.ones(90, 17),
    )
    for module in (room, retraining):
        monkeypatch.setattr(module, "frames", lambda side: data)
    monkeypatch.setattr(retraining, "RUNS", replace(retraining.RUNS, folder=tmp_path))
    return retraining.RUNS


def test_labels_come_from_the_supervised_students_of_the_seed(made_up):
    with pytest.raises(StudyError, match="--seeds 4 --short 3000, which goes on"):
        retraining.run(retraining.ALL, 4, short=3000)
    found = retraining.run(retraining.SUPERVISED, 4, short=3000)
    assert set(found) == {"error", "near"}
    head = dict(statement=retraining.statement(), short=3000)
    made_up.file(retraining.SUPERVISED, 4).write_text(json.dumps(head))
    with np.load(retraining.labels_file(4)) as labels:
        assert labels["points"].shape == (50, 2, 17, 2)
    assert np.isfinite(retraining.run(retraining.HALF, 4, short=3000)["label_error"])
    with pytest.raises(StudyError, match="got another"):
        retraining.run(retraining.TS3, 4, short=900)
