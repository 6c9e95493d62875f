"""Points move with pixels, through every step, and back."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import TRANSFORMS

from mmext.errors import BadInputError
from mmext.landmarks import geometry
from tests.landmarks.stack.files import PAIRS, POINTS, picture


def step(name, **cfg):
    return TRANSFORMS.build(dict(type=f"mmext.{name}", **cfg))


def face(**changed):
    """A picture of 64 x 48 whose points are small bright spots on black."""
    image = np.zeros((64, 48, 3), np.float32)
    y, x = np.mgrid[:64, :48]
    for number, (px, py) in enumerate(POINTS):
        image[..., number % 3] += 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4)
    sample = dict(
        img=image.clip(0, 255).astype(np.uint8),
        img_path="face.png",
        keypoints=POINTS.astype(np.float32),
        keypoints_visible=np.ones(5, np.float32),
        flip_pairs=PAIRS,
        labeled=True,
    )
    return sample | changed


def through(sample, *steps):
    for one in steps:
        sample = one(sample)
    return sample


def brightness_at(image, points):
    """The brightest value of the 3 x 3 pixels about each point."""
    rows = np.rint(points).astype(int)
    return [image[y - 1 : y + 2, x - 1 : x + 2].max() for x, y in rows]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_points_stay_on_their_spots_and_the_map_leads_back(seed):
    random.seed(seed)
    sample = through(
        face(bbox=np.array([2.0, 4.0, 46.0, 62.0])),
        step("LoadFace"),
        step("FaceCrop", size=(96, 80), margin=0.4),
        step("RandomFaceAffine", scale=(0.9, 1.1), rotation=20, shift=0.03),
        step("FaceFlip", prob=0.5),
        step("RandomFaceAffine", rotation=5, shift=0, prob=0.5),
    )
    assert sample["img"].shape == (96, 80, 3)
    assert min(brightness_at(sample["img"], sample["crop_keypoints"])) > 120
    back = geometry.moved(
        sample["crop_keypoints"].astype(np.float64), geometry.inverse(sample["crop_matrix"])
    )
    np.testing.assert_allclose(back, sample["keypoints"], atol=1e-3)


def test_two_flips_are_none():
    crop = through(face(), step("LoadFace"), step("FaceCrop", size=64))
    twice = through(dict(crop), step("FaceFlip", prob=1), step("FaceFlip", prob=1))
    once = through(dict(crop), step("FaceFlip", prob=1))
    for key in ("img", "keypoints", "keypoints_visible", "crop_matrix"):
        np.testing.assert_allclose(twice[key], crop[key], atol=1e-9)
    np.testing.assert_allclose(twice["crop_keypoints"], crop["crop_keypoints"], atol=1e-4)
    assert (once["flip"], twice["flip"]) == (True, False)
    # what was the right eye is the left one of the mirror image
    np.testing.assert_allclose(once["keypoints"][0], POINTS[1])
    np.testing.assert_allclose(once["crop_keypoints"][0, 0], 63 - crop["crop_keypoints"][1, 0])


def test_visibility_and_weights_change_places_too():
    sample = face(keypoints_visible=np.array([1.0, 0, 1, 0, 1]), keypoint_weights=np.arange(5.0))
    flipped = through(sample, step("LoadFace"), step("FaceCrop"), step("FaceFlip", prob=1))
    assert flipped["keypoints_visible"].tolist() == [0, 1, 1, 1, 0]
    assert flipped["keypoint_weights"].tolist() == [1, 0, 2, 4, 3]


def test_a_flip_without_pairs_is_refused():
    crop = through(face(flip_pairs=None), step("LoadFace"), step("FaceCrop"))
    with pytest.raises(BadInputError, match="expected a data set that says which points change"):
        step("FaceFlip", prob=0)(crop)
    assert step("FaceFlip", prob=1)(crop | dict(flip_pairs=()))["flip"]


def test_a_face_without_a_box_takes_the_picture(tmp_path):
    picture(tmp_path / "one.png")
    for box in ({}, dict(bbox=np.full(4, np.nan))):
        loaded = step("LoadFace")(dict(img_path=str(tmp_path / "one.png"), **box))
        assert loaded["bbox"].tolist() == [0, 0, 48, 64]
        assert loaded["ori_shape"] == (64, 48)


def test_a_whole_picture_may_be_asked_for_where_there_is_a_box(tmp_path):
    picture(tmp_path / "one.png")
    sample = dict(img_path=str(tmp_path / "one.png"), bbox=np.array([2.0, 4, 6, 8]))
    assert step("LoadFace")(dict(sample))["bbox"].tolist() == [2, 4, 6, 8]
    assert step("LoadFace", whole=True)(dict(sample))["bbox"].tolist() == [0, 0, 48, 64]


def test_a_wrong_picture_is_refused(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(BadInputError, match=r"bad.png: expected a picture, got a file that cannot"):
        step("LoadFace")(dict(img_path=str(tmp_path / "bad.png")))
    with pytest.raises(BadInputError, match="expected a picture, got a file that cannot"):
        step("LoadFace")(dict(img_path=str(tmp_path / "none.mp4"), frame_idx=3))


def test_points_of_another_picture_are_refused_and_near_ones_kept():
    far = POINTS.copy()
    far[3] = (10, 900)
    with pytest.raises(
        BadInputError, match=r"picture of 48 x 64 pixels or near it, got one at \(10"
    ):
        step("LoadFace")(face(keypoints=far))
    hidden = np.array([1.0, 1, 1, 0, 1])
    step("LoadFace")(face(keypoints=far, keypoints_visible=hidden))  # nobody looks at it
    near = POINTS.copy()
    near[3] = (-5, 70)
    sample = through(face(keypoints=near), step("LoadFace"), step("FaceCrop", size=64))
    packed = step("PackLandmark")(sample)["data_samples"]
    assert packed.gt_visible.tolist() == [1] * 5
    step("LoadFace")(face(keypoints=np.full((5, 2), np.nan), keypoints_visible=np.zeros(5)))


@pytest.mark.parametrize("box", [[5, 5, 5, 20], [9, 5, 3, 20], [0, 0, np.inf, 4]])
def test_a_box_without_an_area_is_refused(box):
    loaded = step("LoadFace")(face(bbox=np.array(box, dtype=np.float32)))
    with pytest.raises(BadInputError, match="expected a box of left, top, right and bottom"):
        step("FaceCrop")(loaded)


@pytest.mark.parametrize("name", ["RandomFaceAffine", "FaceFlip", "PackLandmark"])
def test_what_needs_a_crop_says_so(name):
    cfg = dict(prob=1) if name == "FaceFlip" else {}
    with pytest.raises(BadInputError, match=f"{name}: expected a crop.*put FaceCrop before it"):
        step(name, **cfg)(step("LoadFace")(face()))


def test_the_crop_keeps_the_aspect_unless_told_otherwise():
    loaded = step("LoadFace")(face())
    matrix = step("FaceCrop", size=64, margin=0)(dict(loaded))["crop_matrix"]
    np.testing.assert_allclose(np.diag(matrix[:, :2]), [1, 1])
    matrix = step("FaceCrop", size=64, margin=0, keep_ratio=False)(dict(loaded))["crop_matrix"]
    np.testing.assert_allclose(np.diag(matrix[:, :2]), [64 / 48, 1])


def test_colours_change_and_points_do_not():
    crop = through(face(), step("LoadFace"), step("FaceCrop", size=64))
    still = dict(scale=(1, 1), rotation=0, shift=0)
    plain = step("RandomFaceAffine", **still)(dict(crop))
    np.testing.assert_array_equal(plain["img"], crop["img"])
    random.seed(0)
    coloured = step("RandomFaceAffine", colour=0.4, **still)(dict(crop))
    assert np.abs(coloured["img"].astype(int) - crop["img"]).max() > 10
    np.testing.assert_allclose(coloured["crop_keypoints"], crop["crop_keypoints"], atol=1e-4)


def test_hidden_labels_are_packed_as_invisible_and_kept_as_metainfo():
    crop = through(face(labeled=False), step("LoadFace"), step("FaceCrop", size=64))
    packed = step("PackLandmark")(crop)
    sample = packed["data_samples"]
    assert packed["inputs"].shape == (3, 64, 64)
    assert packed["inputs"].dtype == torch.uint8
    assert sample.gt_visible.tolist() == [0] * 5
    np.testing.assert_allclose(sample.keypoints, POINTS)
    assert sample.keypoints_visible.tolist() == [1] * 5
    weighted = step("PackLandmark")(crop | dict(keypoint_weights=np.full(5, 0.5)))
    assert weighted["data_samples"].keypoint_weights.tolist() == [0.5] * 5
    frame = {key: value for key, value in crop.items() if "keypoints" not in key}
    assert "gt_keypoints" not in step("PackLandmark")(frame)["data_samples"]
