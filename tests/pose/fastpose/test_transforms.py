"""Keypoints go where their pixels go, under every transform that the configs use."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import transforms as host
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import TRANSFORMS
from mmengine.runner import set_random_seed

from mmext.errors import BadInputError
from mmext.pose.fastpose.transforms import (
    LoadPoseAnnotations,
    PoseAffine,
    PoseCrop,
    PoseFlip,
    PoseResize,
)

HEIGHT, WIDTH, PAIRS = 90, 120, [(1, 2)]


def results(number=2, *, seed=0, pairs=PAIRS, visible=2):
    """A picture with a bright spot at each point, as a pipeline has it after loading."""
    rng = np.random.default_rng(seed)
    places = rng.uniform([12, 12], [WIDTH - 12, HEIGHT - 12], (number, 3, 2)).round()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    instances = []
    for points in places:
        stated = np.concatenate([points + 0.5, np.full((3, 1), visible)], 1).astype(np.float32)
        low, high = stated[:, :2].min(0) - 6, stated[:, :2].max(0) + 6
        instances.append(
            dict(bbox=[*low, *high], bbox_label=0, ignore_flag=0, keypoints=stated)
            | dict(instance_id=len(instances))
        )
    own = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
    own |= dict(instances=instances, num_keypoints=3, flip_pairs=pairs)
    return LoadPoseAnnotations(with_bbox=True)(own)


def draw(own):
    """Put a spot of its own brightness at each point, before anything is transformed."""
    own["img"] = own["img"].copy()
    for number, (x, y, _) in enumerate(own["gt_keypoints"].reshape(-1, 3)):
        colour = [0, 0, 0]
        colour[number % 3] = 255
        cv2.circle(own["img"], (int(x), int(y)), 3, colour, -1)
    return own


def brightness(picture, x, y, channel):
    """In a channel, around a place."""
    row, column = (
        int(np.clip(one, 1, side - 2)) for one, side in zip((y, x), picture.shape[:2], strict=True)
    )
    return picture[row - 1 : row + 2, column - 1 : column + 2, channel].max()


SHAPES = [
    lambda: PoseResize(scale_factor=2.0),
    lambda: PoseResize(scale=(60, 200)),
    lambda: PoseFlip(prob=1.0),
    lambda: PoseFlip(prob=1.0, direction="vertical"),
    lambda: PoseFlip(prob=1.0, direction="diagonal"),
    lambda: PoseAffine(max_rotate_degree=30.0, max_shear_degree=10.0),
    lambda: PoseCrop(crop_size=(80, 60), allow_negative_crop=True),
]


@pytest.mark.parametrize("make", SHAPES)
def test_the_picture_shows_each_point_where_the_numbers_say(make):
    """Drawn before, looked for after: colours are red, green and blue, one a point."""
    seen = 0
    for seed in range(6):
        set_random_seed(seed)
        # One object, so that no spot hides another's; mirrored pairs change their colours.
        moved = make()(draw(results(1, seed=seed)))
        swaps = moved.get("flip_direction") in ("horizontal", "vertical")
        order = [0, 2, 1] if swaps else [0, 1, 2]
        for keypoints in moved["gt_keypoints"]:
            for channel, (x, y, v) in zip(order, keypoints, strict=True):
                if v:
                    assert brightness(moved["img"], x, y, channel) > 120
                    seen += 1
    assert seen >= 9


def test_twice_the_size_and_mirrored_gives_the_analytic_coordinates():
    own = results()
    before = own["gt_keypoints"].copy()
    for step in (PoseResize(scale_factor=2.0), PoseFlip(prob=1.0)):
        own = step(own)
    expected = before[:, [0, 2, 1]] * [2, 2, 1]
    expected[..., 0] = 2 * WIDTH - expected[..., 0]
    np.testing.assert_allclose(own["gt_keypoints"], expected, rtol=1e-6)


def test_the_hosts_own_transforms_leave_keypoints_where_they_were():
    own = results()
    before = own["gt_keypoints"].copy()
    for step in (host.Resize(scale_factor=2.0), host.RandomFlip(prob=1.0)):
        own = step(own)
    assert own["img_shape"] == (2 * HEIGHT, 2 * WIDTH)
    np.testing.assert_array_equal(own["gt_keypoints"], before)


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
def test_flipping_twice_changes_nothing(direction):
    own = results()
    flip = PoseFlip(prob=1.0, direction=direction)
    there = flip(flip(own))
    np.testing.assert_allclose(there["gt_keypoints"], own["gt_keypoints"])
    assert torch.equal(there["gt_bboxes"].tensor, own["gt_bboxes"].tensor)


@pytest.mark.parametrize("make", SHAPES)
def test_the_matrix_takes_old_points_to_new_ones(make):
    """After two steps in a row, as the host chains its matrices."""
    set_random_seed(1)
    own = results(1)
    before = own["gt_keypoints"].copy()
    moved = make()(PoseResize(scale_factor=1.5)(own))
    matrix, pairs = moved["homography_matrix"], np.array([0, 1, 2])
    if moved.get("flip_direction") in ("horizontal", "vertical"):
        pairs = np.array([0, 2, 1])
    for old, new in zip(before[0, pairs], moved["gt_keypoints"][0], strict=True):
        if new[2]:
            np.testing.assert_allclose((matrix @ (*old[:2], 1))[:2], new[:2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("make", SHAPES)
@pytest.mark.parametrize("array", [False, True])
def test_what_comes_in_stays_as_it_is(make, array):
    """mmdet moves boxes in place, in an array that may be the annotation's own."""
    set_random_seed(0)
    own = results()
    if array:
        own["gt_bboxes"] = own["gt_bboxes"].numpy()
    kept = copy.deepcopy(own)
    make()(own)
    for key in ("gt_keypoints", "gt_instances_ids", "gt_bboxes_labels", "gt_ignore_flags"):
        np.testing.assert_array_equal(own[key], kept[key])
    boxes = [one if array else one.tensor.numpy() for one in (own["gt_bboxes"], kept["gt_bboxes"])]
    np.testing.assert_array_equal(*boxes)
    for one, other in zip(own["instances"], kept["instances"], strict=True):
        np.testing.assert_array_equal(one["keypoints"], other["keypoints"])


CUTS = [
    lambda: PoseCrop(crop_size=(20, 16), allow_negative_crop=True),
    lambda: PoseAffine(max_translate_ratio=0.9),
]


@pytest.mark.parametrize("make", CUTS)
def test_rows_that_a_cut_removes_go_with_points_and_identities(make):
    lost = 0
    for seed in range(8):
        set_random_seed(seed)
        own = results(6, seed=seed)
        own["gt_bboxes_labels"] = np.arange(6) + 10
        moved = make()(own)
        rows = moved["gt_bboxes_labels"] - 10
        np.testing.assert_array_equal(moved["gt_instances_ids"], own["gt_instances_ids"][rows])
        lengths = {len(moved[key]) for key in ("gt_bboxes", "gt_keypoints", "gt_ignore_flags")}
        assert lengths == {len(rows)}
        lost += 6 - len(rows)
        labelled = moved["gt_keypoints"][moved["gt_keypoints"][..., 2] > 0]
        height, width = moved["img_shape"]
        assert ((labelled[:, :2] >= 0) & (labelled[:, :2] <= (width, height))).all()
    assert lost


def test_a_crop_without_objects_is_given_up_or_empty():
    set_random_seed(0)
    own = results(1)
    own["gt_bboxes"] = HorizontalBoxes([[110.0, 80, 119, 89]])
    crop = dict(crop_size=(8, 8))
    assert PoseCrop(**crop)(own) is None
    empty = PoseCrop(**crop, allow_negative_crop=True)(own)
    assert empty["gt_keypoints"].shape == (0, 3, 3)
    assert empty["gt_instances_ids"].shape == (0,)


@pytest.mark.parametrize("make", SHAPES)
def test_a_picture_without_objects_and_one_without_annotations(make):
    set_random_seed(0)
    assert make()(results(0))["gt_keypoints"].shape == (0, 3, 3)
    own = {key: results(0)[key] for key in ("img", "img_shape", "ori_shape")}
    if not isinstance(make(), PoseAffine):  # the host's wants boxes
        assert "gt_keypoints" not in make()(own)


def test_flips_need_declared_pairs():
    for prob in (0.0, 1.0):
        with pytest.raises(
            BadInputError, match="a mirrored left hand is a right one, got none; write"
        ):
            PoseFlip(prob=prob)(results(pairs=None))
    own = results(pairs=())
    flipped = PoseFlip(prob=1.0)(own)
    np.testing.assert_allclose(flipped["gt_keypoints"][..., 0], WIDTH - own["gt_keypoints"][..., 0])
    assert PoseFlip(prob=1.0)(results(0, pairs=()))["flip"]


def test_frames_of_a_clip_share_what_is_drawn():
    set_random_seed(0)
    clip = {key: [value, value, value] for key, value in results().items()}
    steps = [dict(type="mmext.PoseAffine"), dict(type="mmext.PoseFlip", prob=0.5)]
    steps.append(dict(type="mmext.PoseCrop", crop_size=(80, 60), allow_negative_crop=True))
    wrapper = TRANSFORMS.build(
        dict(type="mmcv.TransformBroadcaster", share_random_params=True, transforms=steps)
    )
    for _ in range(3):
        moved = wrapper(dict(clip))
        for keypoints in moved["gt_keypoints"][1:]:
            np.testing.assert_array_equal(keypoints, moved["gt_keypoints"][0])


def test_loading_gives_classes_without_points_none():
    own = results(2)
    instances = own["instances"]
    del instances[1]["keypoints"], instances[1]["instance_id"]
    base = {key: own[key] for key in ("img", "img_shape", "ori_shape")}
    loaded = LoadPoseAnnotations(with_bbox=True)(base | dict(instances=instances))
    assert loaded["gt_keypoints"].shape == (2, 3, 3)
    assert loaded["gt_keypoints"].dtype == np.float32
    assert not loaded["gt_keypoints"][1].any()
    assert loaded["gt_instances_ids"].tolist() == [0, -1]
    none = LoadPoseAnnotations(with_bbox=True)(base | dict(instances=[], num_keypoints=5))
    assert none["gt_keypoints"].shape == (0, 5, 3)
