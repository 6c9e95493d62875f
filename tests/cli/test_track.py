"""mmext track: from dumped detections, and from a model and a video, to files and drawings."""

import json
import math

import av
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmext.cli import track
from mmext.cli.track.arguments import parse_args
from mmext.cli.track.of_models import ModelFrames
from mmext.inference.outputs import write_video
from mmext.pose.fastpose import layouts
from tests.pose.fastpose import nets
from tests.pose.fastpose.scenes import scene


@pytest.fixture
def dump(tmp_path):
    """Two people who cross, as a detector would dump them, and pictures of them."""
    images, found, labels = [], [], []
    (tmp_path / "pictures").mkdir()
    for place, frame in enumerate(scene(1, "cross")):
        name = f"{place}.png"
        images.append(dict(id=place, video_id="walk", frame_id=place, file_name=name))
        cv2.imwrite(str(tmp_path / "pictures" / name), np.full((240, 360, 3), 90, np.uint8))
        for row, who in enumerate(frame.people):
            points = np.concatenate([frame.keypoints[row], frame.visibility[row][:, None]], 1)
            left, top, right, bottom = frame.boxes[row].tolist()
            one = dict(image_id=place, category_id=1, bbox=[left, top, right - left, bottom - top])
            looks = dict(keypoints=points.ravel().tolist(), embedding=list(frame.embeddings[row]))
            found.append(one | looks | dict(score=0.9))
            labels.append(one | dict(track_id=int(who), id=len(labels)))
    for name, data in dict(
        found=found, images=dict(images=images), labels=dict(images=images, annotations=labels)
    ).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    return tmp_path


def run(folder, *words) -> None:
    track.main([str(folder / word) if "." in word else word for word in words])


def sentence(capsys, folder, *words) -> str:
    with pytest.raises(SystemExit) as end:
        run(folder, *words)
    return str(end.value)


def frames_of(path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_dumped_detections_become_tracks_files_and_a_drawing(dump, capsys):
    words = ("found.json", "--images", "images.json", "--out", str(dump / "out"))
    run(dump, *words, "--draw", str(dump / "pictures"), "--calibrate", "labels.json")
    printed = capsys.readouterr().out
    assert "one person 0." in printed
    assert "so lost_score=0." in printed
    told = json.loads((dump / "out" / "tracks.json").read_text())
    assert len(told["images"]) == 40
    true = json.loads((dump / "labels.json").read_text())["annotations"]
    pairs = set()
    for one in told["annotations"]:
        own = [label for label in true if label["image_id"] == one["image_id"]]
        nearest = min(own, key=lambda label, box=one["bbox"]: math.dist(label["bbox"], box))
        pairs.add((nearest["track_id"], one["track_id"]))
    assert len(pairs) == 2  # each person has one number
    assert len({one["id"] for one in told["annotations"]}) == len(told["annotations"])
    lines = (dump / "out" / "walk.txt").read_text().splitlines()
    assert len(lines) == len(told["annotations"])
    assert {int(line.split(",")[0]) for line in lines} == set(range(1, 41))
    assert frames_of(dump / "out" / "walk.mp4") == 40


def test_detections_that_cannot_be_tracked_end_in_a_sentence(dump, capsys):
    words = ("--images", "images.json", "--out", str(dump / "out"))
    for more, expected in (
        (("nowhere.json",), "nowhere.json: expected a JSON file, got none"),
        (("found.json", "x.py"), "expected one file of detections, or config, checkpoint and vid"),
        (("x.py",), "expected a JSON file of detections, got another"),
        (("found.json", "--options", "memry=3"), "got 'memry' (did you mean 'memory'?)"),
        (("found.json", "--every", "2"), "--every 2: expected a video, got detections"),
        (("found.json", "--draw", "pictures/0.png"), "--draw"),
    ):
        assert expected in sentence(capsys, dump, *more, *words), more
    images = json.loads((dump / "images.json").read_text())
    del images["images"][0]["file_name"]
    (dump / "images.json").write_text(json.dumps(images))
    drawn = ("found.json", *words, "--draw", str(dump / "pictures"))
    assert "image 0: expected file_name, to draw on, got none" in sentence(capsys, dump, *drawn)
    assert "expected another folder" in sentence(capsys, dump, "found.json", "--out", str(dump))


def test_a_video_without_people_is_told_and_written(dump, caplog):
    (dump / "found.json").write_text("[]")
    run(dump, "found.json", "--images", "images.json", "--out", str(dump / "out"))
    assert "walk: expected people, got none in 40 frames" in caplog.text
    told = json.loads((dump / "out" / "tracks.json").read_text())
    assert (len(told["images"]), told["annotations"]) == (40, [])
    assert (dump / "out" / "walk.txt").read_text() == ""


PIPELINE = [
    dict(
        type="TransformBroadcaster",
        transforms=[
            dict(type="LoadImageFromFile"),
            dict(type="mmext.PoseResize", scale=(64, 64), keep_ratio=True),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
        ],
    ),
    dict(type="mmext.PackPoseTrackInputs"),
]


def config_of(folder, *, tracking: bool, **points) -> None:
    """A small net with drawn weights, alone or in FastPose, and its checkpoint.

    Args:
        folder: where they go.
        tracking: whether it is a FastPose.
        points: what metainfo says of them.
    """
    detector = nets.config(**nets.BRANCHES)
    loose = dict(type="mmext.OcclusionAwareTracker", birth_score=0.0, gates=())
    steps = PIPELINE
    model = dict(type="mmext.FastPose", tracker=loose)
    model["data_preprocessor"] = dict(type="TrackDataPreprocessor", pad_size_divisor=32)
    if tracking:
        detector.pop("data_preprocessor")
        model["detector"] = detector
    else:
        model = detector
        steps = [*PIPELINE[0]["transforms"], dict(type="mmext.PackPoseDetInputs")]
    cfg = dict(default_scope="mmdet", custom_imports=dict(imports=["mmext"]), model=model)
    meta = dict(classes=("person",), palette=[(220, 20, 60)], **points)
    kind = "mmext.PoseVideoDataset" if tracking else "mmext.PoseCocoDataset"
    cfg["test_dataloader"] = dict(dataset=dict(type=kind, metainfo=meta, pipeline=steps))
    Config(cfg).dump(folder / "net.py")
    weights = {f"detector.{k}" if tracking else k: v for k, v in WEIGHTS.items()}
    torch.save(dict(state_dict=weights), folder / "net.pth")


WEIGHTS = nets.detector(**nets.BRANCHES).state_dict()


@pytest.mark.parametrize("tracking", [True, False])
def test_a_model_and_a_video_become_tracked_skeletons(tmp_path, tracking, capsys):
    config_of(tmp_path, tracking=tracking)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", [picture] * 6, 10.0)
    options = [] if tracking else ["--options", "birth_score=0", "gates=[]"]
    run(
        tmp_path,
        *("net.py", "net.pth", "clip.mp4", "--out", str(tmp_path / "out"), "--device", "cpu"),
        *("--every", "2", *options),
    )
    told = json.loads((tmp_path / "out" / "tracks.json").read_text())
    assert [one["frame_id"] for one in told["images"]] == [0, 2, 4]
    assert all(len(one["keypoints"]) == 51 for one in told["annotations"])
    by_frame = [
        {one["track_id"] for one in told["annotations"] if one["image_id"] == n} for n in (0, 2, 4)
    ]
    assert by_frame[0] & by_frame[1] & by_frame[2]
    assert frames_of(tmp_path / "out" / "clip.mp4") == 3


CHAIN = [f"p{n}" for n in range(17)]


@pytest.mark.parametrize(
    ("points", "bones", "spread"),
    [
        (dict(keypoint_names=CHAIN, skeleton=[("p0", "p3")], sigmas=[0.5] * 17), [(0, 3)], 0.5),
        (dict(skeleton=[(2, 1)]), [(2, 1)], None),
        ({}, layouts.known("coco").skeleton, None),
    ],
    ids=["by name", "by number", "not said"],
)
def test_bones_and_spreads_of_points_are_the_data_sets(tmp_path, points, bones, spread):
    """For other animals than people, too: what is drawn, and how near a pose is to a track's."""
    config_of(tmp_path, tracking=False, **points)
    write_video(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)], 10.0)
    words = [str(tmp_path / name) for name in ("net.py", "net.pth", "clip.mp4")]
    source = ModelFrames(parse_args([*words, "--device", "cpu"]))
    assert list(source.skeleton(17)) == list(bones)
    assert source.options.get("sigmas") == (spread and [spread] * 17)


def test_spreads_that_a_tracker_was_given_come_first(tmp_path):
    config_of(tmp_path, tracking=True, sigmas=[0.5] * 17)
    cfg = Config.fromfile(tmp_path / "net.py")
    cfg.model.tracker.sigmas = [0.1] * 17
    cfg.dump(tmp_path / "net.py")
    write_video(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)], 10.0)
    words = [str(tmp_path / name) for name in ("net.py", "net.pth", "clip.mp4")]
    source = ModelFrames(parse_args([*words, "--device", "cpu"]))
    assert source.options["sigmas"] == [0.1] * 17


def test_a_model_that_is_no_detector_ends_in_a_sentence(tmp_path, capsys):
    (tmp_path / "net.py").write_text("default_scope = 'mmseg'\nmodel = dict(type='X')\n")
    words = ("net.py", "net.pth", "clip.mp4", "--device", "cpu")
    assert "expected a default_scope of mmdet, got 'mmseg'" in sentence(capsys, tmp_path, *words)
