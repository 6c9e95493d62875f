"""The operations of the detection policy: what they move, and what they leave bit for bit."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Color, ShearX, ShearY, TranslateX, TranslateY
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.runner import set_random_seed
from PIL import Image, ImageEnhance

from mmext.self_training.pseudo_labels import (
    ColorFactor,
    CutoutPixels,
    ShearFactor,
    TranslateOnlyBoxes,
    TranslatePixels,
)
from mmext.self_training.pseudo_labels.operations import pixels_of, shifted, square_at

HEIGHT, WIDTH = 60, 80


@pytest.fixture(autouse=True)
def seeded():
    set_random_seed(0)


def picture(boxes=((10.0, 20.0, 30.0, 50.0), (40.5, 5.2, 70.1, 30.9)), masks=True):
    """What mmdet's loading leaves: noise, boxes, their masks, a map."""
    rng = np.random.default_rng(3)
    boxes = torch.tensor(boxes).reshape(-1, 4)
    bits = np.zeros((len(boxes), HEIGHT, WIDTH), np.uint8)
    for layer, (x0, y0, x1, y1) in zip(bits, boxes.int().tolist(), strict=True):
        layer[y0 + 2 : y1 - 3, x0 + 1 : x1 - 2] = 1
    results = dict(
        img=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        img_shape=(HEIGHT, WIDTH),
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.zeros(len(boxes), bool),
        gt_seg_map=rng.integers(0, 5, (HEIGHT, WIDTH), dtype=np.uint8),
    )
    return results | (dict(gt_masks=BitmapMasks(bits, HEIGHT, WIDTH)) if masks else {})


def equal(one, other):
    return np.array_equal(one["img"], other["img"]) and torch.equal(
        one["gt_bboxes"].tensor, other["gt_bboxes"].tensor
    )


def pixel_loop(content, dx, dy, fill):
    """The definition: each pixel comes from where the shift brings it."""
    height, width = content.shape[:2]
    out = np.full_like(content, fill)
    for y in range(height):
        for x in range(width):
            if 0 <= y - dy < height and 0 <= x - dx < width:
                out[y, x] = content[y - dy, x - dx]
    return out


@pytest.mark.parametrize("dx", [-9, -7, -2, 0, 3, 7, 50])
@pytest.mark.parametrize("dy", [-8, 0, 4, 6])
@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 3)])
def test_a_shift_is_what_its_loop_says(dx, dy, shape):
    content = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
    assert np.array_equal(shifted(content, dx, dy, 128), pixel_loop(content, dx, dy, 128))


def test_boxes_touch_pixels():
    boxes = np.array([[1.0, 2.0, 5.0, 6.0], [1.5, 2.9, 5.1, 6.0], [-3.0, -1.0, 99.0, 99.0]])
    assert pixels_of(boxes, 10, 20).tolist() == [[1, 2, 5, 6], [1, 2, 6, 6], [0, 0, 20, 10]]


# --- TranslateOnlyBoxes


@pytest.mark.parametrize(("axis", "shift"), [("y", (0, 7)), ("x", (7, 0))])
def test_the_content_of_a_box_moves_inside_it(axis, shift):
    before = picture(((10.0, 20.0, 30.0, 50.0),))
    after = TranslateOnlyBoxes(prob=3.0, pixels=7.0, axis=axis)(
        picture(((10.0, 20.0, 30.0, 50.0),))
    )
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[20:50, 10:30] = False
    assert np.array_equal(after["img"][outside], before["img"][outside])
    assert torch.equal(after["gt_bboxes"].tensor, before["gt_bboxes"].tensor)
    inside = before["img"][20:50, 10:30], after["img"][20:50, 10:30]
    way = [
        one
        for one in (1, -1)
        if np.array_equal(inside[1], pixel_loop(inside[0], *(one * np.array(shift)), 128))
    ]
    assert len(way) == 1
    for name, fill in (("gt_seg_map", 255), ("gt_masks", 0)):
        old, new = (
            one[name].masks[0] if name == "gt_masks" else one[name] for one in (before, after)
        )
        moved = pixel_loop(old[20:50, 10:30], *(way[0] * np.array(shift)), fill)
        assert np.array_equal(new[20:50, 10:30], moved)
        assert np.array_equal(new[outside], old[outside])


def test_what_lies_outside_of_boxes_with_fractions_is_bit_equal():
    for _ in range(20):
        before, after = picture(), TranslateOnlyBoxes(prob=3.0, pixels=11.0)(picture())
        outside = np.ones((HEIGHT, WIDTH), bool)
        for x0, y0, x1, y1 in before["gt_bboxes"].tensor.tolist():
            outside[int(np.floor(y0)) : int(np.ceil(y1)), int(np.floor(x0)) : int(np.ceil(x1))] = (
                False
            )
        assert np.array_equal(after["img"][outside], before["img"][outside])
        assert not np.array_equal(after["img"], before["img"])
        assert torch.equal(after["gt_bboxes"].tensor, before["gt_bboxes"].tensor)


@pytest.mark.parametrize("prob", [0.2, 0.6])
def test_a_third_of_the_stated_probability(prob):
    """3,000 boxes that do not meet: 300 pictures of ten."""
    boxes = [(8.0 * k, 10.0, 8.0 * k + 8, 40.0) for k in range(10)]
    moved, mixed = 0, 0
    operation = TranslateOnlyBoxes(prob, pixels=5.0)
    template = picture(boxes, masks=False)
    for _ in range(300):
        after = operation(dict(template))["img"]
        changed = [
            not np.array_equal(after[:, 8 * k : 8 * k + 8], template["img"][:, 8 * k : 8 * k + 8])
            for k in range(10)
        ]
        moved += sum(changed)
        mixed += 0 < sum(changed) < 10
    share = prob / 3
    assert abs(moved - 3000 * share) < 3 * np.sqrt(3000 * share * (1 - share))
    assert mixed > 100  # one by one, not all or none of a picture


def test_both_ways_are_drawn_and_all_boxes_of_a_picture_take_the_same():
    boxes = [(0.0, 10.0, 20.0, 40.0), (40.0, 10.0, 60.0, 40.0)]
    ways = []
    for _ in range(40):
        after = TranslateOnlyBoxes(prob=3.0, pixels=5.0)(picture(boxes, masks=False))["img"]
        ways.append(tuple(bool((after[10:15, x : x + 20] == 128).all()) for x in (0, 40)))
    assert set(ways) == {(True, True), (False, False)}


def test_boxes_to_be_ignored_stay_and_no_box_is_no_trouble():
    crowd = picture() | dict(gt_ignore_flags=np.array([True, True]))
    assert equal(TranslateOnlyBoxes(prob=3.0, pixels=5.0)(crowd), picture())
    empty = picture(boxes=(), masks=False)
    assert equal(TranslateOnlyBoxes(prob=3.0, pixels=5.0)(dict(empty)), empty)


def test_inputs_are_not_written_into():
    before = picture()
    for operation in (TranslateOnlyBoxes(3.0, 5.0), CutoutPixels(1.0, 9), ColorFactor(1.0, 0.3)):
        given = picture()
        image, masks, seg = given["img"], given["gt_masks"].masks, given["gt_seg_map"]
        operation(given)
        assert np.array_equal(image, before["img"])
        assert np.array_equal(masks, before["gt_masks"].masks)
        assert np.array_equal(seg, before["gt_seg_map"])


def test_polygons_are_refused_in_a_sentence():
    given = picture() | dict(gt_masks=PolygonMasks([[np.zeros(6)], [np.zeros(6)]], HEIGHT, WIDTH))
    with pytest.raises(TypeError, match=r"got PolygonMasks; load them with .*poly2mask=True"):
        TranslateOnlyBoxes(prob=3.0, pixels=5.0)(given)


# --- CutoutPixels


@pytest.mark.parametrize(("x", "y"), [(40, 30), (0, 0), (79, 59), (3, 58)])
def test_a_square_round_a_pixel_as_far_as_the_picture_reaches(x, y):
    painted = np.zeros((HEIGHT, WIDTH), bool)
    painted[square_at(x, y, 8, HEIGHT, WIDTH)] = True
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    assert np.array_equal(painted, (ys >= y - 8) & (ys < y + 8) & (xs >= x - 8) & (xs < x + 8))


def test_cutout_paints_grey_and_leaves_labels_alone():
    before, after = picture(), CutoutPixels(1.0, 8)(picture())
    changed = (after["img"] != before["img"]).any(-1)
    assert 0 < changed.sum() <= 256
    assert (after["img"][changed] == 128).all()
    assert torch.equal(after["gt_bboxes"].tensor, before["gt_bboxes"].tensor)
    assert np.array_equal(after["gt_seg_map"], before["gt_seg_map"])


# --- whole pictures, beside mmdet's


def both_ways(operation, template):
    """What it makes of a picture, by the sign of its first entry off the diagonal."""
    found = {}
    for _ in range(40):
        after = operation(picture() if template is None else template())
        matrix = after["homography_matrix"] - np.eye(3)
        found[bool(matrix.sum() > 0)] = after
    assert set(found) == {True, False}
    return found


HOSTS = [
    (TranslatePixels(1.0, 8.0, "x"), TranslateX(level=10, max_mag=0.1)),
    (TranslatePixels(1.0, 6.0, "y"), TranslateY(level=10, max_mag=0.1)),
    (ShearFactor(1.0, 1.0, "x"), ShearX(level=10, max_mag=45.0)),
    (ShearFactor(1.0, 1.0, "y"), ShearY(level=10, max_mag=45.0)),
]


@pytest.mark.parametrize(("ours", "host"), HOSTS, ids=lambda one: type(one).__name__)
def test_it_equals_mmdets_where_mmdet_can_say_the_magnitude(ours, host):
    mine, theirs = both_ways(ours, None), both_ways(host, None)
    for way in (True, False):
        one, other = mine[way], theirs[way]
        assert np.array_equal(one["img"], other["img"])
        assert np.array_equal(one["gt_seg_map"], other["gt_seg_map"])
        assert np.array_equal(one["gt_masks"].masks, other["gt_masks"].masks)
        torch.testing.assert_close(one["gt_bboxes"].tensor, other["gt_bboxes"].tensor)
        np.testing.assert_allclose(one["homography_matrix"], other["homography_matrix"], atol=1e-6)


def test_mmdets_translation_of_level_4_moves_nothing():
    """Why there is one in pixels: the share of the picture is rounded to a tenth."""
    after = TranslateX(level=4)(picture())
    assert equal(after, picture())


def test_a_translation_of_100_pixels_is_one():
    image = np.zeros((8, 640, 3), np.uint8)
    image[:, 300] = 255
    places = {
        int(
            np.flatnonzero(
                TranslatePixels(1.0, 100.0, "x")(dict(img=image))["img"][0, :, 0] == 255
            )[0]
        )
        for _ in range(20)
    }
    assert places == {200, 400}


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shear_by_zero_changes_no_bit(axis):
    outside = ((-4.0, 3.0, 90.0, 70.0), (1.3, 2.7, 9.1, 8.8))  # clipping would show
    before, after = picture(outside), ShearFactor(1.0, 0.0, axis)(picture(outside))
    assert equal(after, before)
    assert "homography_matrix" not in after


@pytest.mark.parametrize("factor", [0.1, 1.0, 1.18, 1.9])
def test_color_is_a_blend_with_grey(factor):
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    ours = ColorFactor(1.0, factor)(dict(img=image))["img"]
    pil = ImageEnhance.Color(Image.fromarray(image[..., ::-1].copy())).enhance(factor)
    # cv2 rounds the grey picture and the blend, PIL cuts off.
    assert np.abs(ours.astype(int) - np.asarray(pil)[..., ::-1].astype(int)).max() <= 2
    if factor in (0.1, 1.9):  # ends of mmdet's range; it makes 1.2 of 1.18
        level = 0 if factor == 0.1 else 10
        assert np.array_equal(ours, Color(level=level)(dict(img=image))["img"])


@pytest.mark.parametrize(
    "operation",
    [
        CutoutPixels(0.0, 20),
        TranslatePixels(0.0, 9.0, "x"),
        ShearFactor(0.0, 1.0, "y"),
        ColorFactor(0.0, 0.0),
        TranslateOnlyBoxes(0.0, 9.0),
    ],
    ids=lambda one: type(one).__name__,
)
def test_probability_zero_is_never(operation):
    for _ in range(50):
        assert equal(operation(picture()), picture())
