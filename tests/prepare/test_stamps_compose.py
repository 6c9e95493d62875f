"""Pasting cut-outs: masks of what is visible, tight boxes, nothing the annotations do not name."""

import numpy as np
import pytest
from PIL import Image

from mmext.prepare import stamps_compose as compose

RED, BLUE = (200, 0, 0), (0, 0, 200)


def block(width, height, colour, opacity=255):
    """A cut-out that is one rectangle."""
    return np.full((height, width, 4), (*colour, opacity), np.uint8)


def stamp(pixels, label=0):
    return compose.Stamp("animals/mammals/block", label, pixels)


def empty_scene(grey=100):
    return compose.Scene(np.full((320, 320, 3), grey, np.uint8), [], "flat.jpg")


def flat_pictures():
    """Opaque blocks of six colours on a black photograph, so that pixels tell what they show."""
    stamps = [[stamp(block(90 + 9 * k, 60, (40 * k + 15, 0, 255)), label=k)] for k in range(6)]
    return compose.Pictures(stamps, {"flat.jpg": Image.new("RGB", (700, 500))})


def test_a_mask_is_what_remains_visible_under_other_cut_outs():
    scene = empty_scene()
    assert compose.paste(scene, stamp(block(100, 80, RED)), block(100, 80, RED), left=50, top=60)
    assert compose.paste(
        scene, stamp(block(100, 80, BLUE), 3), block(100, 80, BLUE), left=100, top=60
    )
    below, above = scene.instances
    np.testing.assert_array_equal(below.mask, (scene.pixels == RED).all(-1))
    np.testing.assert_array_equal(above.mask, (scene.pixels == BLUE).all(-1))
    assert below.box == (50, 60, 50, 80)
    assert above.box == (100, 60, 100, 80)
    assert (below.whole, int(below.mask.sum())) == (8000, 4000)
    assert below.hidden == 0.5
    np.testing.assert_array_equal(scene.semantic(), 1 * below.mask + 4 * above.mask)


def test_a_box_spans_all_parts_of_a_cut_out_that_another_divides():
    scene = empty_scene()
    compose.paste(scene, stamp(block(120, 40, RED)), block(120, 40, RED), left=100, top=100)
    compose.paste(scene, stamp(block(40, 120, BLUE)), block(40, 120, BLUE), left=140, top=60)
    assert scene.instances[0].box == (100, 100, 120, 40)
    assert not scene.instances[0].mask[:, 140:180].any()


def test_a_cut_out_beyond_the_border_is_cut_there():
    scene = empty_scene()
    assert compose.paste(
        scene, stamp(block(100, 100, RED)), block(100, 100, RED), left=-30, top=260
    )
    (only,) = scene.instances
    assert only.box == (0, 260, 70, 60)
    assert (only.whole, int(only.mask.sum())) == (10000, 4200)
    assert only.hidden == pytest.approx(0.58)


@pytest.mark.parametrize(("opacity", "seen"), [(127, False), (128, True)])
def test_the_mask_begins_at_half_opacity_and_colours_blend_smoothly(opacity, seen):
    scene, pixels = empty_scene(100), block(100, 100, (200, 100, 0))
    pixels[:, :50, 3] = opacity
    assert compose.paste(scene, stamp(pixels), pixels, left=0, top=0)
    assert scene.instances[0].mask[0, 0] == seen
    share = opacity / 255
    np.testing.assert_array_equal(
        scene.pixels[0, 0], np.rint([200 * share + 100 * (1 - share), 100, 100 * (1 - share)])
    )
    np.testing.assert_array_equal(scene.pixels[0, 99], (200, 100, 0))


@pytest.mark.parametrize(
    ("width", "height", "left", "why"),
    [
        (100, 100, -61, "39 % of it inside the border"),
        (12, 12, 100, "144 pixels in all"),
        (100, 100, 400, "outside"),
        (100, 100, -100, "outside"),
    ],
)
def test_a_cut_out_that_shows_too_little_is_not_pasted(width, height, left, why):
    scene = empty_scene()
    assert not compose.paste(
        scene, stamp(block(9, 9, RED)), block(width, height, RED), left=left, top=100
    )
    assert scene.instances == [], why
    assert (scene.pixels == 100).all()


@pytest.mark.parametrize(("left", "pasted"), [(90, True), (89, False)])
def test_a_cut_out_may_not_hide_another_one_too_far(left, pasted):
    scene = empty_scene()
    compose.paste(scene, stamp(block(100, 100, RED)), block(100, 100, RED), left=50, top=50)
    before = scene.pixels.copy(), scene.instances[0].mask.copy()
    # From column 90 on it hides 60 of the 100 columns below it.
    assert (
        compose.paste(scene, stamp(block(100, 100, BLUE)), block(100, 100, BLUE), left=left, top=50)
        == pasted
    )
    assert len(scene.instances) == 1 + pasted
    if not pasted:
        np.testing.assert_array_equal(scene.pixels, before[0])
        np.testing.assert_array_equal(scene.instances[0].mask, before[1])


def test_every_foreign_pixel_of_a_scene_belongs_to_exactly_one_instance_of_its_class():
    pictures, counts, labels = flat_pictures(), set(), set()
    for seed in range(60):
        scene = compose.compose(pictures, np.random.default_rng(seed))
        counts.add(len(scene.instances))
        labels |= {one.stamp.label for one in scene.instances}
        assert sum(one.mask.astype(int) for one in scene.instances).max() == 1
        blue = scene.pixels[..., 2] == 255
        np.testing.assert_array_equal(scene.semantic() > 0, blue)
        for one in scene.instances:
            assert (scene.pixels[one.mask][:, 0] == 40 * one.stamp.label + 15).all()
            left, top, width, height = one.box
            rows, columns = np.nonzero(one.mask)
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
            assert one.mask.sum() >= max(compose.LARGE.min_pixels, compose.MIN_FRACTION * one.whole)
    assert counts == {1, 2, 3, 4, 5}
    assert labels == set(range(6))


@pytest.mark.parametrize(("own", "low", "high"), [(300, 50, 170), (40, 50, 80)])
def test_cut_outs_are_50_to_170_pixels_long_but_never_enlarged_more_than_twice(own, low, high):
    rng = np.random.default_rng(0)
    sizes = [compose.resize(block(own, own // 2, RED), rng).shape for _ in range(200)]
    longest = [max(shape[:2]) for shape in sizes]
    assert low <= min(longest) < low + 5
    assert high - 5 < max(longest) <= high
    assert all(abs(shape[0] - shape[1] / 2) <= 1 for shape in sizes)


def test_colours_under_transparent_pixels_do_not_bleed_into_the_edge():
    pixels = block(100, 100, RED)
    pixels[:, 50:] = (0, 255, 0, 0)
    resized = compose.resize(pixels, np.random.default_rng(1))
    assert (resized[resized[..., 3] > 10][:, 1] <= 2).all()


def test_equal_generators_make_equal_scenes_and_others_do_not():
    first, again, other = (
        compose.compose(flat_pictures(), np.random.default_rng(seed)).pixels for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_cut_outs_that_never_show_enough_are_refused():
    pictures = compose.Pictures(
        [[stamp(block(5, 1, RED))]], {"flat.jpg": Image.new("RGB", (400, 400))}
    )
    with pytest.raises(
        ValueError, match="expected cut-outs that show 150 pixels or more, got none"
    ):
        compose.compose(pictures, np.random.default_rng(0))
