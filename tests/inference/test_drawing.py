"""What is drawn, and where."""

import numpy as np
import pytest

from mmext.inference import drawing
from mmext.inference.drawing import Found, draw_objects, draw_points, font, lay_over, write_scores

GROUND = np.full((120, 160, 3), 100, np.uint8)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def changed(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero((drawn != GROUND).any(-1))


def test_a_box_is_drawn_on_its_sides_and_nowhere_else() -> None:
    before = GROUND.copy()
    drawn = draw_objects(GROUND, [Found((40.0, 50.0, 90.0, 100.0), 1, "a tree", 0.7)], [RED, BLUE])
    np.testing.assert_array_equal(GROUND, before)
    for row, column in ((50, 80), (100, 60), (70, 40), (70, 90)):
        assert drawn[row, column].tolist() == list(BLUE)
    assert drawn[75, 65].tolist() == [100] * 3
    rows, columns = changed(drawn)
    assert (rows.max(), columns.max()) <= (102, 120)
    assert (drawn[30:50, 40:80] == 255).all(-1).any(), (
        "white letters stand on the class's colour above the box"
    )


def test_boxes_over_the_edge_and_of_a_class_without_colour_are_drawn() -> None:
    odd = [
        Found((-30.0, -20.0, 400.0, 300.0), 7, "x" * 80, 1.0),
        Found((5.0, 5.0, 5.0, 5.0), 0, "дуб", 0.5),
    ]
    assert draw_objects(GROUND, odd, [RED, BLUE]).shape == GROUND.shape
    assert not changed(draw_objects(GROUND, [], [RED]))[0].size


def test_a_mask_is_half_colour() -> None:
    mask = np.zeros((120, 160), bool)
    mask[60:80, 100:140] = True
    drawn = draw_objects(GROUND, [Found((100.0, 60.0, 140.0, 80.0), 0, "a", 1.0, mask)], [RED])
    assert drawn[70, 120].tolist() == [177, 50, 50]


def test_classes_are_laid_over_and_what_is_no_class_is_left() -> None:
    classes = np.zeros((120, 160), np.int64)
    classes[:, 80:] = 1
    classes[:10] = 255
    drawn = lay_over(GROUND, classes, [RED, BLUE])
    assert np.abs(drawn[60, 20].astype(int) - (178, 50, 50)).max() <= 1
    assert np.abs(drawn[60, 120].astype(int) - (50, 50, 178)).max() <= 1
    assert (drawn[:10] == 100).all()


def test_letters_of_other_alphabets_differ() -> None:
    shapes = [bytes(font(20).getmask(letter)) for letter in "дубåß"]
    assert len(set(shapes)) == 5
    frames = [write_scores(GROUND, [(name, 0.5)]) for name in ("дуб", "ель")]
    assert (frames[0] != frames[1]).any()


def test_scores_lie_on_bars_over_darker_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = np.full((480, 640, 3), 90, np.uint8)
    drawn = write_scores(frame, [("a", 0.5), ("b", 0.0)])
    assert drawn[23, 300].tolist() == [30, 120, 190], "a third of the frame and the bar"
    assert drawn[23, 330].tolist() == drawn[40, 300].tolist() == [30] * 3
    assert (drawn[48:] == 90).all()
    assert (drawn[:24] == 255).all(-1).any(), "white letters"
    assert (frame == 90).all()
    # A clip has one text for all its frames: letters are drawn once.
    monkeypatch.setattr(drawing, "font", None)
    assert (write_scores(frame, [("a", 0.5), ("b", 0.0)]) == drawn).all()


def test_no_score_leaves_a_frame_as_it_is() -> None:
    frame = np.arange(240 * 240 * 3, dtype=np.uint8).reshape(240, 240, 3)
    assert (write_scores(frame, []) == frame).all()


def test_points_are_dots_between_pixels_and_limbs_are_lines() -> None:
    points = [(40.0, 30.0), (100.0, 90.0), None, (float("nan"), 4.0), (1e30, -1e30)]
    drawn = draw_points(GROUND, points, [(0, 1), (1, 2), (3, 4), (0, 9)], [RED, BLUE])
    assert drawn[30, 40].tolist() == list(RED)
    assert drawn[90, 100].tolist() == list(BLUE)
    assert drawn[60, 70].tolist() == list(BLUE)  # of the limb's end
    rows, columns = changed(drawn)
    assert (rows.min(), columns.min()) >= (26, 36)
    assert (rows.max(), columns.max()) <= (94, 104)
    moved = draw_points(GROUND, [(40.5, 30.0)], [], [RED])
    assert (moved != draw_points(GROUND, [(40.0, 30.0)], [], [RED])).any()
    assert not changed(draw_points(GROUND, [None], [(0, 0)], [RED]))[0].size
