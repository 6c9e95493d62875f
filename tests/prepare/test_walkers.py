"""The walkers: a package's video comes out whole, with what a detector finds beside it."""

import json

import av
import numpy as np
import pytest

from mmext.cli import track
from mmext.prepare import walkers
from mmext.prepare.packages import DataError
from tests.prepare.tiny_packages import needs_dpkg, package

NOTE = "usr/share/doc/opencv-doc/copyright"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Five grey frames with a light bar that moves."""
    path = tmp_path_factory.mktemp("walkers") / "video.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 192, "yuv420p"
        for place in range(5):
            picture = np.full((192, 160, 3), 90, np.uint8)
            picture[20:170, 40 + 4 * place : 80 + 4 * place] = 200
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path.read_bytes()


@needs_dpkg
def test_video_detections_and_licence_lie_beside_each_other(tmp_path, video, capsys):
    package(tmp_path, walkers.OPENCV, {walkers.VIDEO: video, NOTE: b"words"})
    root = tmp_path / "data"
    walkers.prepare(root, tmp_path)
    assert "expected version 4.6.0+dfsg-12, got 9-1" in capsys.readouterr().err
    assert (root / "video.avi").read_bytes() == video
    assert (root / "LICENSE").read_bytes() == b"words"
    images = json.loads((root / "images.json").read_text())["images"]
    assert [one["frame_id"] for one in images] == list(range(5))
    assert f"boxes in its first {len(images)} frames" in walkers.said(root)
    (tmp_path / f"{walkers.OPENCV.name}_9-1_all.deb").unlink()
    walkers.prepare(root, tmp_path)  # finds what is there


@needs_dpkg
def test_a_package_without_the_video_is_refused(tmp_path):
    path = package(tmp_path, walkers.OPENCV, {NOTE: b"words"})
    with pytest.raises(DataError, match=r"expected .*vtest.avi in it, got a package without"):
        walkers.write(path, tmp_path)


def test_what_it_writes_is_what_the_tracker_reads(tmp_path, video, monkeypatch):
    (tmp_path / "video.avi").write_bytes(video)
    found, images = walkers.detect(tmp_path / "video.avi")
    assert all(0 <= one["score"] <= 1 for one in found)
    # Whether or not somebody is found in so small a video, the tracker is given a walk.
    found = [
        dict(image_id=n, category_id=1, bbox=[40 + 4 * n, 20, 40, 150], score=0.9) for n in range(5)
    ]
    for name, what in dict(found=found, images=images).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(what))
    flags = ["--images", tmp_path / "images.json", "--draw", tmp_path / "video.avi"]
    track.main([str(one) for one in (tmp_path / "found.json", *flags, "--out", tmp_path / "out")])
    told = json.loads((tmp_path / "out" / "tracks.json").read_text())["annotations"]
    assert len({one["track_id"] for one in told}) == 1
    assert len(told) == 5
