"""The curve of errors is drawn."""

import cv2
import numpy as np

from mmext.landmarks.curves import draw_curves


def test_a_picture_with_a_line_for_each_subset(tmp_path):
    faces = {"": np.array([0.02, 0.05, np.nan]), "hard": np.array([0.07])}
    file = tmp_path / "new" / "ced.png"
    draw_curves(faces, str(file), rule="side, macro", up_to=0.1)
    both = cv2.imread(str(file))
    draw_curves({"": faces[""]}, str(file), rule="side, macro", up_to=0.1)
    one = cv2.imread(str(file))
    assert both.shape == one.shape
    assert (both != one).any()
