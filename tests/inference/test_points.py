"""Points are found where they are, told by name, drawn where they are sure, and read back."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from PIL import Image
from torch import nn
from torch.nn import functional as F

from mmext.errors import BadInputError
from mmext.inference.points import PointFinder, finds_points, save_table
from mmext.landmarks.stack.detector import LandmarkDetector
from mmext.landmarks.stack.tables import CSVLandmarkDataset

PIPELINE = [
    dict(type="mmext.LoadFace"),
    dict(type="mmext.FaceCrop", size=64, margin=0.0),
    dict(type="mmext.PackLandmark"),
]


class Bright(nn.Module):
    """Maps of what is bright in the channels red and blue of a picture."""

    stride = 8

    def forward(self, inputs):
        return [F.avg_pool2d(inputs[:, [0, 2]], 8).clamp_min(0) / 2]


def model(names=("red", "blue")) -> LandmarkDetector:
    made = LandmarkDetector(
        net=dict(type="mmext.VGGCPM", num_keypoints=2, width_mult=0.02, num_stages=1),
        codec=dict(type="mmext.GaussianHeatmapCodec", input_size=64, stride=8),
    )
    made.net = Bright()
    made.cfg = SimpleNamespace(test_pipeline=PIPELINE, filename="a.py")
    made.dataset_meta = dict(keypoint_names=names, skeleton=[[0, 1]], classes=("class 0",))
    return made.eval()


def test_a_box_counts_for_a_model_of_whole_pictures_too(picture: np.ndarray) -> None:
    made, box = model(), (20.0, 0.0, 68.0, 48.0)
    made.cfg.test_pipeline = [dict(PIPELINE[0], whole=True), *PIPELINE[1:]]
    _, found = PointFinder(made, score_thr=0.2, box=box).annotate(picture)
    assert found == finder(box=box).annotate(picture)[1]
    _, found = PointFinder(made, score_thr=0.2).annotate(picture)
    assert found == finder().annotate(picture)[1]


@pytest.fixture
def picture() -> np.ndarray:
    """A red and a blue square on black; their middles are (40.5, 20.5) and (90.5, 80.5)."""
    made = np.zeros((120, 120, 3), np.uint8)
    made[13:29, 33:49, 0] = 255
    made[73:89, 83:99, 2] = 255
    return made


def finder(**options) -> PointFinder:
    return PointFinder(model(), **{"score_thr": 0.2, **options})


def places(found: dict) -> dict:
    return {one["name"]: (one["x"], one["y"]) for one in found["points"]}


def test_points_are_told_in_pixels_of_the_picture(picture: np.ndarray) -> None:
    _, found = finder().annotate(picture)
    assert (found["width"], found["height"]) == (120, 120)
    assert places(found)["red"] == pytest.approx((40.5, 20.5), abs=4)  # of cells of 15 pixels
    assert places(found)["blue"] == pytest.approx((90.5, 80.5), abs=4)
    assert all(0.2 < one["score"] <= 2 for one in found["points"])


def test_a_file_and_a_frame_are_the_same(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    of_file, of_frame = (
        places(finder().annotate(source)[1]) for source in (tmp_path / "a.png", picture)
    )
    assert of_file == of_frame


def test_a_box_says_where_to_look(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    for source in (picture, tmp_path / "a.png"):
        _, found = finder(box=(20.0, 0.0, 68.0, 48.0)).annotate(source)
        assert places(found)["red"] == pytest.approx((40.5, 20.5), abs=0.7)  # smaller cells
        blue = next(one for one in found["points"] if one["name"] == "blue")
        assert blue["score"] < 0.01  # it is not in the box


def test_only_what_is_sure_is_drawn(picture: np.ndarray) -> None:
    drawn, _ = finder().annotate(picture)
    rows, columns = np.nonzero((drawn != picture).any(-1))
    assert abs(rows.min() - 20) < 8
    assert abs(rows.max() - 80) < 8  # a line leads from the red point to the blue one
    assert abs(columns.max() - 90) < 8
    untouched, _ = finder(score_thr=3.0).annotate(picture)
    np.testing.assert_array_equal(untouched, picture)
    half, _ = finder(box=(20.0, 0.0, 68.0, 48.0)).annotate(picture)
    rows, _ = np.nonzero((half != picture).any(-1))
    assert rows.max() < 30  # neither the blue point nor a line to it


def test_points_without_names_are_numbered(picture: np.ndarray) -> None:
    for names in (None, ("of another set",)):
        _, found = PointFinder(model(names), score_thr=0.2).annotate(picture)
        assert list(places(found)) == ["point 1", "point 2"]


def test_a_model_of_something_else_is_refused(picture: np.ndarray) -> None:
    made = finder()
    made.model.forward = lambda *_, **__: [BaseDataElement(pred_label=torch.zeros(1))]
    with pytest.raises(BadInputError, match=r"expected a model of landmarks, .* with pred_label;"):
        made.annotate(picture)


def test_it_is_the_pipeline_that_tells_landmarks() -> None:
    assert finds_points(PIPELINE)
    assert not finds_points([dict(type="LoadImageFromFile"), dict(type="mmext.PackClsInputs")])


def test_the_table_is_one_that_landmark_tools_read(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    _, found = finder().annotate(picture)
    rows = iter([("a.png", found), ("b.png", found)])
    file = save_table(tmp_path / "t.csv", "mine", rows)
    head = [line.split(",") for line in file.read_text().splitlines()[:3]]
    assert head[0] == ["scorer"] + ["mine"] * 6
    assert head[1] == ["bodyparts", *["red"] * 3, *["blue"] * 3]
    assert head[2] == ["coords", *["x", "y", "likelihood"] * 2]
    data = CSVLandmarkDataset(ann_file=str(file), pipeline=[])
    assert len(data) == 2
    assert data.metainfo["keypoint_names"] == ["red", "blue"]
    read = data.get_data_info(1)
    assert read["img_path"].endswith("b.png")
    np.testing.assert_allclose(read["keypoints"], list(places(found).values()), rtol=1e-6)
