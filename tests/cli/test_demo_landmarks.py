"""The demo of landmarks: pictures, a folder, a video, a box, and what cannot be."""

import csv
import json
from pathlib import Path

import cv2
import pytest
import torch

from mmext.inference.outputs import write_video
from mmext.inference.reading import read_picture
from tests.cli.test_bad_input import run_tools, sentence

CONFIG = """
custom_imports = dict(imports=["mmext"])
default_scope = "mmengine"
model = dict(
    type="mmext.LandmarkDetector",
    net=dict(type="mmext.VGGCPM", num_keypoints=17, width_mult=0.05, num_stages=1),
    codec=dict(type="mmext.GaussianHeatmapCodec", input_size=64, stride=8),
)
test_dataloader = dict(
    dataset=dict(
        type="mmext.COCOLandmarkDataset",
        pipeline=[
            dict(type="mmext.LoadFace"),
            dict(type="mmext.FaceCrop", size=64, margin=0.0),
            dict(type="mmext.PackLandmark"),
        ],
    )
)
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list:
    """A config and a checkpoint, whose weights are drawn and whose points have names."""
    from mmengine.registry import MODELS

    from mmext.engine.config import load_config
    from mmext.prepare.mouse import NAMES, SKELETON

    folder = tmp_path_factory.mktemp("points")
    (folder / "points.py").write_text(CONFIG)
    torch.manual_seed(0)
    model = MODELS.build(load_config(str(folder / "points.py")).model)
    meta = dict(dataset_meta=dict(keypoint_names=NAMES, skeleton=SKELETON))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / "points.pth")
    return ["demo.py", folder / "points.py", folder / "points.pth"]


def test_pictures_and_a_video_are_drawn_on_told_and_tabled(
    command: list, mouse: Path, tmp_path: Path
) -> None:
    one, video = mouse / "images" / "img07.png", tmp_path / "video.mp4"
    write_video(video, (read_picture(one) for _ in range(5)), 250.0)
    ends = run_tools(
        [*command, one, "--out", "a", "--score-thr", -1e9],
        [*command, video, "--out", "b", "--every", 2, "--box", 0, 0, 300, 300],
        [*command, one, "--box", 9, 9, 3, 30],
        cwd=tmp_path,
    )
    assert [code for code, _ in ends[:2]] == [0, 0], ends
    assert ends[0][1].splitlines() == ["a/img07.png.json", "a/img07.png", "a/img07.png.csv"]
    said = json.loads((tmp_path / "a" / "img07.png.json").read_text())
    assert (said["width"], said["height"], len(said["points"])) == (396, 406, 17)
    assert said["points"][0]["name"] == "paw1LH_top"
    before, drawn = (cv2.imread(str(path)) for path in (one, tmp_path / "a" / "img07.png"))
    assert 0.0005 < (before != drawn).any(-1).mean() < 0.2

    with open(tmp_path / "b" / "video.mp4.csv", newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["scorer", "bodyparts", "coords", "0", "2", "4"]
    assert rows[0][1] == "points"
    frames = json.loads((tmp_path / "b" / "video.mp4.json").read_text())["frames"]
    told = [[one[key] for one in frames[1]["points"] for key in ("x", "y", "score")]]
    assert [float(cell) for cell in rows[4][1:]] == told[0]
    assert max(one["x"] for one in frames[1]["points"]) <= 300
    assert cv2.VideoCapture(str(tmp_path / "b" / "video.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3

    sentence(ends[2][0], "--box 9 9 3 30: expected left, top, right and bottom of a box with an")
