"""Errors against formulas written out by hand, for every length and both averages."""

import numpy as np
import pytest

from mmext.landmarks import nme

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0, 100, (4, 68, 2))
FOUND = TRUTH + RNG.normal(0, 3, TRUTH.shape)
VISIBLE = (RNG.uniform(size=(4, 68)) < 0.7).astype(float)
VISIBLE[:, 36:48] = 1
BOXES = np.array([[0.0, 0.0, 30.0, 40.0], [5, 5, 65, 45], [0, 0, 10, 10], [1, 2, 101, 52]])
SIDE = np.array([64.0, 80.0, 100.0, 120.0])
GIVEN = np.array([10.0, 20.0, 30.0, 40.0])
EYES = [np.hypot(*(one[36] - one[45])) for one in TRUTH]
PUPILS = [
    np.hypot(*(one[[36, 37, 38, 39, 40, 41]].mean(0) - one[[42, 43, 44, 45, 46, 47]].mean(0)))
    for one in TRUTH
]
BY_HAND = dict(
    outer_eye=EYES,
    pupil=PUPILS,
    sqrt_area=[(30 * 40) ** 0.5, (60 * 40) ** 0.5, 10.0, (100 * 50) ** 0.5],
    bbox_long=[40.0, 60.0, 10.0, 100.0],
    bbox_diag=[50.0, (60**2 + 40**2) ** 0.5, 200**0.5, (100**2 + 50**2) ** 0.5],
    side=SIDE,
    norm_len=GIVEN,
)


def lengths(norm, truth=TRUTH, visible=VISIBLE, **changed):
    given = dict(bbox_xyxy=BOXES, side=SIDE, norm_len=GIVEN) | changed
    return nme.lengths(norm, keypoints=truth, visible=visible, **given)


@pytest.mark.parametrize("norm", nme.NORMS)
def test_each_norm_is_its_formula(norm):
    """TS-3 of the specification."""
    per_face, points = [], []
    for face in range(4):
        shares = [
            np.hypot(*(FOUND[face, k] - TRUTH[face, k])) / BY_HAND[norm][face]
            for k in range(68)
            if VISIBLE[face, k]
        ]
        per_face.append(sum(shares) / len(shares))
        points += shares
    errors = nme.normalised_errors(FOUND, TRUTH, VISIBLE, lengths(norm))
    assert nme.macro(errors) == pytest.approx(sum(per_face) / 4, abs=1e-6)
    assert nme.micro(errors) == pytest.approx(sum(points) / len(points), abs=1e-6)
    np.testing.assert_allclose(nme.face_errors(errors), per_face, atol=1e-9)


def test_macro_and_micro_differ_where_faces_have_different_numbers_of_points():
    truth = np.zeros((2, 4, 2))
    found = truth.copy()
    found[0, :, 0], found[1, :, 0] = 1.0, 5.0
    visible = np.array([[1.0, 1, 1, 1], [1, 0, 0, 0]])
    errors = nme.normalised_errors(found, truth, visible, np.array([100.0, 100.0]))
    assert nme.macro(errors) == pytest.approx(0.03)
    assert nme.micro(errors) == pytest.approx(0.018)


def test_a_face_without_a_length_is_left_out():
    hidden = VISIBLE.copy()
    hidden[0, 36] = 0  # an eye's corner
    assert np.isnan(lengths("outer_eye", visible=hidden)).tolist() == [True, False, False, False]
    assert np.isnan(lengths("pupil", visible=hidden)).tolist() == [True, False, False, False]
    together = TRUTH.copy()
    together[1, 36] = together[1, 45]  # d = 0
    assert np.isnan(lengths("outer_eye", truth=together)).tolist() == [False, True, False, False]
    flat = BOXES.copy()
    flat[2, 2] = flat[2, 0]
    assert np.isnan(lengths("sqrt_area", bbox_xyxy=flat)).tolist() == [False, False, True, False]
    zero = np.array([0.0, np.nan, -1.0, 3.0])
    assert np.isnan(lengths("norm_len", norm_len=zero)).tolist() == [True, True, True, False]


def test_other_points_and_names_are_refused_with_a_sentence():
    with pytest.raises(
        ValueError, match=r"expected points .* got faces of 5 points; set eye_points"
    ):
        lengths("outer_eye", truth=TRUTH[:, :5], visible=VISIBLE[:, :5])
    with pytest.raises(ValueError, match=r"norm must be one of .* got 'eyes'"):
        lengths("eyes")


def test_the_area_is_that_below_the_steps():
    faces = np.array([0.01, 0.03, 0.05, 0.2, np.nan])
    # a face with error e is below the curve from e on
    exact = sum(0.08 - e for e in (0.01, 0.03, 0.05)) / 4 / 0.08
    assert nme.area_under_curve(faces, 0.08) == pytest.approx(exact, abs=1e-3)
    assert nme.failure_rate(faces, 0.08) == 0.25
    assert nme.curve(faces, np.array([0.0, 0.03, 1.0])).tolist() == [0, 0.5, 1]


def test_nothing_to_judge_is_no_number():
    nothing = np.full((2, 3), np.nan)
    for value in (
        nme.macro(nothing),
        nme.micro(nothing),
        nme.failure_rate(nme.face_errors(nothing), 0.1),
        nme.area_under_curve(nme.face_errors(nothing), 0.1),
        nme.correct_points(nothing, 0.1),
    ):
        assert np.isnan(value)
