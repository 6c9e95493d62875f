"""People on a frame: each in a colour of its own, in every frame the same."""

import numpy as np

from mmext.inference.people import HUES, colour_of, draw_people

PERSON = dict(track_id=3, bbox=[20, 20, 40, 60], keypoints=[30, 40, 1.0, 50, 70, 1.0, 90, 90, 0.1])


def test_box_bones_and_sure_points_have_the_person_s_colour():
    plain = np.zeros((100, 120, 3), np.uint8)
    drawn = draw_people(plain, [PERSON], [(0, 1), (1, 2)])
    assert not plain.any()
    for x, y in ((20, 50), (40, 55), (50, 70)):  # an edge of the box, a bone, a point
        assert np.abs(drawn[y, x].astype(int) - colour_of(3)).max() < 20  # lines are smooth
    assert not drawn[90, 90].any()  # of a point that is not sure, and the bone to it
    assert not drawn[80:90, 65:90].any()


def test_neighbours_in_number_differ_and_nobody_is_fine():
    assert len({colour_of(one) for one in range(HUES)}) == HUES
    plain = np.full((50, 50, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_people(plain, []), plain)
    only_box = draw_people(plain, [dict(track_id=0, bbox=[5, 5, 30, 30])])
    assert tuple(only_box[20, 5]) == colour_of(0)
