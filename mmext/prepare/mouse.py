"""A running mouse: 90 frames whose 17 points people marked, and 994 frames without labels.

Source   the source archive of the package lightning-pose 1.2.3 (MIT), fetched with pip and checked;
         its licence goes with the data. The recording shows one mouse on a wheel, from the side
         (points that end in ``_top``) and, through a mirror, from below (``_bot``)
Frames   396 x 406, grey. Three more pictures of the package are copies of labelled frames and are
         left out
Points   17, visible in 60 to 100 % of the frames; a point that people left out has v = 0, the
         others v = 2. No point lies outside its frame
Box      around a frame's visible points, 10 % of its sides wider on every side, within the frame
Video    994 frames at 250 a second, another recording of the same rig: the labelled frames are none
         of them. ``unlabeled/`` holds them one by one, ``video.mp4`` as the package has them
Splits   one fixed order of the frames: train_70 and test_20, train_60 and test_30 divide all of
         them; labeled_10 and labeled_20 are the first of train_70, and hidden_50 is train_70
         without labeled_20: frames whose labels a method must not see and a report may
Files    annotations/{all,train_70,...}.json: keypoints in COCO's words
         images/img01.png ...  unlabeled/frame_0000.jpg ...  video.mp4  LICENSE
         labels.csv: the same labels as DeepLabCut and lightning-pose write them
Flips    FLIP_PAIRS are the mouse's left and right paws, in either view; the category has them too.
         A mirrored frame shows a mouse that runs to the left, which this rig never does: flips are
         right, and hardly useful

Run ``mmext data mouse``; a second run finds the result and needs no network.
"""

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
from PIL import Image

from mmext.prepare import command
from mmext.prepare.packages import CACHE, DataError, SourceArchive, fetch, make_folder

LIGHTNING_POSE = SourceArchive(
    "lightning-pose", "1.2.3", "86c2a9db34672d1b31e943227f5710702ec4cec712a42b876a95cd73b9c25c72"
)
TOP = "lightning-pose-1.2.3"
MOUSE = f"{TOP}/data/mirror-mouse-example"
ROOT = Path("data/mouse")
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
"""Names this very script, so that folders written by an older one are written anew."""

NAMES = (
    *("paw1LH_top", "paw2LF_top", "paw3RF_top", "paw4RH_top"),
    *("tailBase_top", "tailMid_top", "nose_top", "obs_top"),
    *("paw1LH_bot", "paw2LF_bot", "paw3RF_bot", "paw4RH_bot"),
    *("tailBase_bot", "tailMid_bot", "nose_bot", "obsHigh_bot", "obsLow_bot"),
)
"""Of the points: L and R left and right, H and F hind and front, obs the obstacle."""
FLIP_PAIRS = ((0, 3), (1, 2), (8, 11), (9, 10))
"""Points that a mirrored frame exchanges, counted from 0."""
SKELETON = (
    *((5, 4), (4, 0), (4, 3), (4, 6), (6, 1), (6, 2)),
    *((13, 12), (12, 8), (12, 11), (12, 14), (14, 9), (14, 10), (15, 16)),
)
"""Limbs for drawings, counted from 0: tail, back and paws in each view, and the obstacle."""
NUM_FRAMES, NUM_UNLABELED = 90, 994
SIZE = (396, 406)
SPLITS: dict[str, slice] = {
    "all": slice(None),
    "train_70": slice(None, 70),
    "test_20": slice(70, None),
    "train_60": slice(None, 60),
    "test_30": slice(60, None),
    "labeled_10": slice(None, 10),
    "labeled_20": slice(None, 20),
    "hidden_50": slice(20, 70),
}
"""Parts of the frames in the order of ``shuffled``; ``all`` is written in the frames' own order."""

Point = tuple[float, float]
Labels = dict[str, list[Point | None]]
"""Each frame's points by its file's name; None for a point that people left out."""


def read_labels(text: str) -> Labels:
    """Read the table of labels: three lines of headings, then a frame a line.

    Raises:
        DataError: the points, their number or a position is not what the card says.
    """
    _, names, _, *rows = csv.reader(io.StringIO(text))
    if tuple(names[1::2]) != NAMES or len(rows) != NUM_FRAMES:
        raise DataError(
            f"CollectedData.csv: expected {NUM_FRAMES} frames with {', '.join(NAMES)}, got "
            f"{len(rows)} with {', '.join(names[1::2])}; is this {LIGHTNING_POSE.file_name}? "
            "Delete it from the cache and run this command again"
        )
    return {Path(path).name: [point(x, y, path) for x, y in pairs(row)] for path, *row in rows}


def pairs(row: Sequence[str]) -> list[tuple[str, str]]:
    """The row's columns two by two."""
    return list(zip(row[::2], row[1::2], strict=True))


def point(x: str, y: str, path: str) -> Point | None:
    """One position of the table; None where people left it out."""
    if x == y == "":
        return None
    at = float(x), float(y)
    if not all(0 <= one <= side - 1 for one, side in zip(at, SIZE, strict=True)):
        raise DataError(
            f"{path}: expected points inside {SIZE[0]} x {SIZE[1]} pixels, got {at}; delete "
            f"{LIGHTNING_POSE.file_name} from the cache and run this command again"
        )
    return at


def shuffled(names: Sequence[str]) -> list[str]:
    """The frames in the order that the splits cut: by chance, and the same for ever."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def box(points: Sequence[Point | None]) -> list[float]:
    """Left, top, width and height of the box around the visible points; see the card."""
    seen = [one for one in points if one is not None]
    edges = []
    for axis, side in enumerate(SIZE):
        low, high = min(one[axis] for one in seen), max(one[axis] for one in seen)
        margin = 0.1 * (high - low)
        edges.append((max(low - margin, 0.0), min(high + margin, float(side))))
    (left, right), (top, bottom) = edges
    return [round(one, 2) for one in (left, top, right - left, bottom - top)]


def annotation(number: int, image_id: int, points: Sequence[Point | None]) -> dict[str, Any]:
    """One mouse in COCO's words."""
    x, y, width, height = box(points)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x, y, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "num_keypoints": sum(one is not None for one in points),
        "keypoints": [value for one in points for value in ((*one, 2) if one else (0, 0, 0))],
    }


def coco_of(labels: Labels, names: Sequence[str], split: str) -> dict[str, Any]:
    """A split's COCO file; a frame has the same id in all splits."""
    ids = {name: number for number, name in enumerate(sorted(labels), 1)}
    category = {
        "id": 1,
        "name": "mouse",
        "supercategory": "animal",
        "keypoints": list(NAMES),
        "skeleton": [[a + 1, b + 1] for a, b in SKELETON],  # COCO counts from 1
        "flip_pairs": FLIP_PAIRS,  # unknown to COCO, which allows more keys
    }
    return {
        "info": {
            "description": f"a running mouse, of {LIGHTNING_POSE.file_name}, {split}",
            "recipe": RECIPE,
        },
        "licenses": [{"id": 1, "name": "MIT, see LICENSE"}],
        "categories": [category],
        "images": [
            {"id": ids[name], "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for name in names
        ],
        "annotations": [annotation(ids[name], ids[name], labels[name]) for name in names],
    }


def write(package: Mapping[str, bytes], folder: Path) -> None:
    """Write frames, labels, video, licence and recipe into the empty ``folder``."""
    for part in ("annotations", "images", "unlabeled"):
        (folder / part).mkdir()
    table = package[f"{MOUSE}/CollectedData.csv"].decode()
    labels = read_labels(table)
    order = shuffled(list(labels))
    for split, taken in SPLITS.items():
        names = sorted(labels) if split == "all" else order[taken]
        coco = json.dumps(coco_of(labels, names, split))
        (folder / "annotations" / f"{split}.json").write_text(coco)
    (folder / "labels.csv").write_text(table.replace("labeled-data/", "images/"))
    for name in labels:
        (folder / "images" / name).write_bytes(package[f"{MOUSE}/labeled-data/{name}"])
    video = package[f"{MOUSE}/videos/test_vid.mp4"]
    (folder / "video.mp4").write_bytes(video)
    write_frames(video, folder / "unlabeled")
    (folder / "LICENSE").write_bytes(package[f"{TOP}/LICENSE"])


def frame_name(index: int) -> str:
    """The file of a video's frame, counted from 0."""
    return f"frame_{index:04d}.jpg"


def write_frames(video: bytes, folder: Path) -> None:
    """Write a video's frames as pictures.

    Raises:
        DataError: there are more or fewer than the card says.
    """
    count = 0
    with av.open(io.BytesIO(video), "r") as container:
        for count, frame in enumerate(container.decode(video=0), 1):
            pixels = Image.fromarray(frame.to_ndarray(format="gray"))
            # JPEG: the video itself has lost more than that, and PNG takes twice the room.
            pixels.save(folder / frame_name(count - 1), quality=92)
    if count != NUM_UNLABELED:
        raise DataError(
            f"test_vid.mp4: expected {NUM_UNLABELED} frames, got {count}; install another version "
            "of av and run this command again"
        )


def read_split(root: Path, split: str) -> dict[str, Any]:
    """The COCO file of one split."""
    return json.loads((root / "annotations" / f"{split}.json").read_text())


def is_complete(root: Path) -> bool:
    """Whether ``root`` holds this recipe's files, each frame included."""
    try:
        splits = [read_split(root, split) for split in SPLITS]
    except (OSError, json.JSONDecodeError):
        return False
    files = [root / name for name in ("LICENSE", "labels.csv", "video.mp4")]
    files += [root / "images" / image["file_name"] for image in splits[0]["images"]]
    files += [root / "unlabeled" / frame_name(index) for index in range(NUM_UNLABELED)]
    return all(coco["info"]["recipe"] == RECIPE for coco in splits) and all(
        file.is_file() for file in files
    )


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the package cannot be fetched, or it is not what was expected.
    """
    make_folder(
        root, is_complete, lambda folder: write(unpack(fetch(LIGHTNING_POSE, cache)), folder)
    )


def unpack(path: Path) -> dict[str, bytes]:
    """The archive's files that are wanted, by their names; read once, as a tar has no index."""
    with tarfile.open(path) as archive:
        return {
            member.name: file.read()
            for member in archive
            if member.name == f"{TOP}/LICENSE" or member.name.startswith(f"{MOUSE}/")
            if (file := archive.extractfile(member)) is not None
        }


def summary(root: Path) -> str:
    """One line a split: frames and points; one for the frames without labels."""
    lines = []
    for split in SPLITS:
        mice = read_split(root, split)["annotations"]
        points = sum(one["num_keypoints"] for one in mice)
        lines.append(f"{split:10}  {len(mice):3} frames  {points:4} points")
    return "\n".join([*lines, f"unlabeled   {NUM_UNLABELED} frames"])


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}\n{summary(root)}", argv)
