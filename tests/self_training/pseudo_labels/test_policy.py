"""Policy v0 to the letter, and the ladder S1 to S4 in mmdet's and mmseg's pipelines."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from PIL import Image, ImageOps

from mmext.self_training.pseudo_labels.policy import (
    POLICY_V0,
    argument,
    augmentation,
    operation,
    policy_v0,
    randaugment,
)

SIZE = 96


@pytest.fixture(autouse=True)
def seeded():
    set_random_seed(0)


def built(steps, scope):
    with DefaultScope.overwrite_default_scope(scope):
        return Compose(steps)


def picture(height=120, width=160, number=5):
    rng = np.random.default_rng(number)
    corner = rng.uniform(0, [width - 60, height - 60], (number, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 60, (number, 2))], 1)
    bits = np.zeros((number, height, width), np.uint8)
    for layer, (x0, y0, x1, y1) in zip(bits, boxes.astype(int), strict=True):
        layer[y0:y1, x0:x1] = 1
    return dict(
        img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32)),
        gt_bboxes_labels=np.arange(number),
        gt_ignore_flags=np.arange(number) == 1,
        gt_masks=BitmapMasks(bits, height, width),
    )


def test_the_table_of_arguments():
    for m in range(11):
        assert argument("Rotate_BBox", m) == pytest.approx(3 * m)
        assert argument("ShearX_BBox", m) == argument("ShearY_BBox", m) == pytest.approx(0.03 * m)
        assert argument("TranslateX_BBox", m) == pytest.approx(25 * m)
        assert argument("TranslateY_Only_BBoxes", m) == pytest.approx(12 * m)
        for name in ("Color", "Contrast", "Brightness", "Sharpness"):
            assert argument(name, m) == pytest.approx(0.18 * m + 0.1)
    by_magnitude = {
        "Cutout": [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
        "Solarize": [0, 25, 51, 76, 102, 128, 153, 179, 204, 230, 256],
        "SolarizeAdd": [0, 11, 22, 33, 44, 55, 66, 77, 88, 99, 110],
        "Posterize": [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4],
    }
    for name, values in by_magnitude.items():
        assert [argument(name, m) for m in range(11)] == values
    with pytest.raises(ValueError, match="got 'Twist'"):
        argument("Twist", 3)


def test_policy_v0_is_the_one_of_detection():
    assert policy_v0() == [
        [
            dict(type="mmext.TranslatePixels", prob=0.6, pixels=100.0, axis="x"),
            dict(type="mmdet.Equalize", prob=0.8),
        ],
        [
            dict(type="mmext.TranslateOnlyBoxes", prob=0.2, pixels=24.0, axis="y"),
            dict(type="mmext.CutoutPixels", prob=0.8, half_width=80),
        ],
        [
            dict(type="mmdet.Sharpness", prob=0.0, level=10, min_mag=0.0, max_mag=1.54),
            dict(type="mmext.ShearFactor", prob=0.4, factor=0.0, axis="x"),
        ],
        [
            dict(type="mmext.ShearFactor", prob=1.0, factor=0.06, axis="y"),
            dict(type="mmext.TranslateOnlyBoxes", prob=0.6, pixels=72.0, axis="y"),
        ],
        [
            dict(type="mmdet.Rotate", prob=0.6, level=10, min_mag=0.0, max_mag=30.0),
            dict(type="mmext.ColorFactor", prob=1.0, factor=1.18),
        ],
    ]


def test_pixels_scale_with_the_picture_and_nothing_else_does():
    small = [one for pair in policy_v0(pixel_scale=0.5) for one in pair]
    whole = [one for pair in policy_v0() for one in pair]
    for one, other in zip(small, whole, strict=True):
        for key in one:
            half = other[key] / 2 if key in ("pixels", "half_width") else other[key]
            assert one[key] == half


def test_sub_policy_3_leaves_picture_and_boxes_bit_equal():
    assert [name for name, *_ in POLICY_V0[2]] == ["Sharpness", "ShearX_BBox"]
    identity = built(policy_v0()[2], "mmdet")
    before = picture()
    for _ in range(100):
        after = identity(picture())
        assert np.array_equal(after["img"], before["img"])
        assert torch.equal(after["gt_bboxes"].tensor, before["gt_bboxes"].tensor)
        assert np.array_equal(after["gt_masks"].masks, before["gt_masks"].masks)


def test_each_pair_comes_in_a_fifth_of_the_pictures():
    choice = built(augmentation(2, "detection", SIZE)[:1], "mmdet").transforms[0]
    counts = np.bincount([choice.random_pipeline_index() for _ in range(2000)], minlength=5)
    assert (np.abs(counts - 400) < 4 * np.sqrt(2000 * 0.2 * 0.8)).all()


def test_mmdets_equalize_is_pils():
    image = np.random.default_rng(1).integers(30, 99, (50, 60, 3), dtype=np.uint8)
    ours = built([operation("Equalize", 1.0, 10)], "mmdet")(dict(img=image))["img"]
    assert np.array_equal(ours, np.asarray(ImageOps.equalize(Image.fromarray(image))))


def test_rotation_is_by_30_degrees_and_boxes_enclose_their_corners():
    rotate = built([operation("Rotate_BBox", 1.0, 10)], "mmdet")
    before, found = picture(number=1), set()
    x0, y0, x1, y1 = before["gt_bboxes"].tensor[0].tolist()
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) - [79.5, 59.5]
    for _ in range(20):
        after = rotate(picture(number=1))
        for way in (1, -1):
            turn = np.deg2rad(30 * way)
            matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            turned = corners @ matrix.T + [79.5, 59.5]
            box = np.concatenate([turned.min(0), turned.max(0)]).clip(0, [160, 120, 160, 120])
            if np.allclose(after["gt_bboxes"].tensor[0].numpy(), box, atol=1e-3):
                found.add(way)
    assert found == {1, -1}


def test_randaugment_stands_at_the_end_of_each_range():
    steps = {one["type"].split(".")[1] + one.get("axis", ""): one for [one] in randaugment()}
    assert len(steps) == 10
    assert steps["TranslatePixelsx"]["pixels"] == steps["TranslatePixelsy"]["pixels"] == 250
    assert steps["ShearFactorx"]["factor"] == pytest.approx(0.3)
    assert steps["ColorFactor"]["factor"] == pytest.approx(1.9)
    assert steps["CutoutPixels"]["half_width"] == 100
    for name, value in (("Rotate", 30), ("Solarize", 256), ("SolarizeAdd", 110)):
        transform = built([steps[name]], "mmdet").transforms[0]
        assert abs(transform._get_mag()) == value


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_stage_of_detection_keeps_labels_together(stage):
    pipeline = built(augmentation(stage, "detection", SIZE, pixel_scale=0.25), "mmdet")
    scales = []
    for _ in range(60):
        after = pipeline(picture())
        assert after["img"].shape == (SIZE, SIZE, 3)
        boxes = after["gt_bboxes"].tensor
        assert (boxes >= 0).all()
        assert (boxes <= SIZE).all()
        assert (boxes[:, 2:] - boxes[:, :2] > 1).all()
        assert after["gt_masks"].masks.shape == (len(boxes), SIZE, SIZE)
        assert len(after["gt_bboxes_labels"]) == len(after["gt_ignore_flags"]) == len(boxes)
        # Whatever goes, label 1 stays the one that is ignored.
        assert np.array_equal(after["gt_ignore_flags"], after["gt_bboxes_labels"] == 1)
        scales.append(after["scale_factor"][0] * 160 / SIZE)  # 160 is the longer side
    low, high = (0.8, 1.2) if stage < 3 else (0.5, 2.0)
    assert low - 0.02 <= min(scales) < low + 0.2
    assert high - 0.3 < max(scales) <= high + 0.02


def test_the_masks_of_a_stage_stay_inside_their_boxes():
    """Where no operation turns or moves content, a mask that fills its box still does."""
    pipeline = built(augmentation(1, "detection", SIZE), "mmdet")
    for _ in range(20):
        after = pipeline(picture())
        boxes = after["gt_masks"].get_bboxes(HorizontalBoxes).tensor
        seen = (after["gt_masks"].areas > 0) & ~np.isinf(boxes[:, 0].numpy())
        assert (boxes - after["gt_bboxes"].tensor)[torch.tensor(seen)].abs().max() < 2.5


def test_a_picture_without_boxes_passes_every_stage():
    for stage in (1, 2, 3, 4):
        pipeline = built(augmentation(stage, "detection", SIZE), "mmdet")
        for _ in range(10):
            assert len(pipeline(picture(number=0))["gt_bboxes"]) == 0


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_map_gets_no_class_that_it_did_not_have(stage):
    pipeline = built(augmentation(stage, "segmentation", (SIZE, SIZE + 16)), "mmseg")
    for _ in range(40):
        seg = np.full((120, 160), 3, np.uint8)
        seg[40:80, 50:110], seg[::17] = 7, 255
        given = dict(img=np.full((120, 160, 3), 200, np.uint8), img_shape=(120, 160))
        after = pipeline(given | dict(gt_seg_map=seg, seg_fields=["gt_seg_map"]))
        assert after["gt_seg_map"].shape == after["img"].shape[:2] == (SIZE, SIZE + 16)
        assert set(np.unique(after["gt_seg_map"])) <= {3, 7, 255}


def test_uncovered_pixels_of_a_map_are_of_no_class():
    for one in ("TranslateX_BBox", "TranslateY_BBox", "ShearX_BBox", "ShearY_BBox", "Rotate_BBox"):
        step = built([operation(one, 1.0, 10, pixel_scale=0.2)], "mmseg")
        image, seg = np.full((120, 160, 3), 200, np.uint8), np.full((120, 160), 3, np.uint8)
        after = step(dict(img=image, img_shape=(120, 160), gt_seg_map=seg))
        uncovered = (after["img"] == 128).all(-1)
        assert uncovered.any()
        assert (after["gt_seg_map"][uncovered] == 255).all()


def test_segmentation_has_no_operation_of_boxes_and_no_square():
    for stage in (2, 3, 4):
        text = str(augmentation(stage, "segmentation", SIZE))
        assert "OnlyBoxes" not in text
        assert "Cutout" not in text


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_without_a_flip_all_else_is_the_same(task):
    whole, without = (augmentation(3, task, SIZE, flip=flip) for flip in (True, False))
    assert [step for step in whole if "Flip" not in step["type"]] == without
    assert len(whole) == len(without) + 1


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="expected a stage from 1 to 4, got 5"):
        augmentation(5, "detection", SIZE)
    with pytest.raises(ValueError, match='"detection" or "segmentation", got \'pose\''):
        augmentation(1, "pose", SIZE)
