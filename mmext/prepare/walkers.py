"""A real video of people who walk past each other, and what a plain detector finds in it.

Source    vtest.avi of the Debian package opencv-doc (see LICENSE): 795 frames of 768 x 576 at 10 a
          second, a camera above a road. Fetched with apt-get without root (96 MB)
Files     video.avi   found.json   images.json   LICENSE
          found.json: COCO's results for the first 200 frames, by OpenCV's own detector of upright
          people (Dalal and Triggs 2005), which needs no weights: boxes and scores, neither poses
          nor embeddings. It misses some, and finds a van
          images.json: which frame each of its images is
Truth     none: nobody has labelled this clip, so it shows and times, and measures nothing

Run ``mmext data walkers``; a second run finds the result and needs no network.
Then ``mmext track data/walkers/found.json --images data/walkers/images.json --draw
data/walkers/video.avi --out work_dirs/walkers``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, UInt8

from mmext.prepare import command
from mmext.prepare.debian import Deb, fetch, read_files, version_of
from mmext.prepare.packages import CACHE, DataError, has_files, make_folder
from mmext.prepare.stamps_packages import copyright_file

ROOT = Path("data/walkers")
OPENCV = Deb(
    "opencv-doc",
    "4.6.0+dfsg-12",
    "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
)
VIDEO = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
FILES = ("video.avi", "found.json", "images.json", "LICENSE")
FRAMES = 200
ZOOM, STRIDE, PAD, SCALE = 2, (8, 8), (8, 8), 1.1
"""People must be 100 pixels high to be found: the picture is enlarged first."""
MARGINS = np.array([0.18, 0.1])
"""Shares of a box beside and above a person, by which the detector's boxes are too large."""
FULL_SCORE = 2.5
"""Distance from the detector's border that counts as sure."""


def frames_of(path: Path, number: int = FRAMES) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The first frames of a video, RGB."""
    with av.open(str(path)) as video:
        for _, frame in zip(range(number), video.decode(video=0), strict=False):
            yield frame.to_ndarray(format="rgb24")


def detect(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Detections as COCO's results have them, and the images that they belong to."""
    import cv2  # here, since a second run needs none

    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
    found: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for number, frame in enumerate(frames_of(path)):
        height, width = frame.shape[:2]
        large = cv2.resize(frame[..., ::-1], None, fx=ZOOM, fy=ZOOM)
        boxes, distances = detector.detectMultiScale(
            large, winStride=STRIDE, padding=PAD, scale=SCALE
        )
        images.append(
            dict(id=number, video_id="walkers", frame_id=number, width=width, height=height)
        )
        found += [
            dict(
                image_id=number,
                category_id=1,
                bbox=tightened(np.asarray(box, float) / ZOOM),
                score=round(min(1.0, float(distance) / FULL_SCORE), 3),
            )
            for box, distance in zip(boxes, np.ravel(distances), strict=True)
        ]
    return found, dict(images=images, annotations=[], categories=[dict(id=1, name="person")])


def tightened(box: Float[np.ndarray, " 4"]) -> list[float]:
    """Left, top, width and height of the person in a box of the detector.

    Example:
        >>> tightened(np.array([10.0, 20.0, 100.0, 200.0]))
        [28.0, 40.0, 64.0, 160.0]
    """
    corner, sides = box[:2] + MARGINS * box[2:], (1 - 2 * MARGINS) * box[2:]
    return [*corner.round(1).tolist(), *sides.round(1).tolist()]


def write(package: Path, folder: Path) -> None:
    """Write video, detections and licence into the empty ``folder``.

    Raises:
        DataError: the package lacks the video.
    """
    note = copyright_file(OPENCV)
    files = read_files(package, lambda name: name in (VIDEO, note))
    if VIDEO not in files:
        raise DataError(
            f"{package}: expected {VIDEO} in it, got a package without; delete it and put "
            f"{OPENCV.file_name} in its place"
        )
    if version_of(package) != OPENCV.version:
        said = f"expected version {OPENCV.version}, got {version_of(package)}"
        print(f"warning: {OPENCV.name}: {said}.", file=sys.stderr)
    (folder / "video.avi").write_bytes(files[VIDEO])
    (folder / "LICENSE").write_bytes(files.get(note, b"(none)\n"))
    for name, what in zip(("found", "images"), detect(folder / "video.avi"), strict=True):
        (folder / f"{name}.json").write_text(json.dumps(what))


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the video; see the card.

    Raises:
        DataError: the package cannot be fetched, or it is not what was expected.
    """
    make_folder(root, has_files(FILES), lambda folder: write(fetch(OPENCV, cache), folder))


def said(root: Path) -> str:
    """What lies there."""
    found, images = (
        json.loads((root / f"{name}.json").read_text()) for name in ("found", "images")
    )
    return f"{root}: a video, and {len(found)} boxes in its first {len(images['images'])} frames"


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    command.run(__doc__, ROOT, prepare, said, argv)
