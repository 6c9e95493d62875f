"""Two objects of one class that hide each other over a photograph; who is who is known exactly.

Pictures   cut-outs and photographs of mmext/prepare/stamps_pictures.py. Designs are chosen with a
           fifth of them, ``dev``; what is published is of the others
Kinds      cross: each goes on its way. turn: where they meet they stand still for a moment and go
           back; the one behind is then hidden by 60 % or more, so that nobody sees it turn
Motion     sideways at 1.6 to 2.6 pixels a frame each, and a little up or down
Found      an object of which more than 15 % is visible; by its whole box and 17 points of it, all
           with a normal error of 1.5 pixels. A point is visible if no one covers it, by the exact
           mask; one in twenty is told wrong
Appearance a crop by the erroneous box, which contains whoever stands in front
Letters    H W pixels of the picture, h w of an object; K points
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from mmext.prepare.packages import CACHE
from mmext.prepare.stamps_compose import crop_background
from mmext.prepare.stamps_packages import fetch_both, unpack
from mmext.prepare.stamps_pictures import CLASSES, Pictures, Stamp, split_pictures, three_ways

KINDS = ("cross", "turn")
FRAMES, SIDE, CROP = 32, 192, 64
LONGEST = (48, 60)
SPEED = (1.6, 2.6)
DRIFT, PAUSE = 0.3, (0, 4)
"""Most of the speed up or down, and frames for which those that turn stand still."""
K, ERROR, TOLD_WRONG = 17, 1.5, 0.05
HIDDEN, LOST = 0.6, 0.85
"""What must be hidden where they meet, and from which hidden share on nobody is found."""
DRAWS = 200


@dataclass
class Frame:
    """What a detector gives, and who it is."""

    picture: UInt8[np.ndarray, "H W 3"]
    boxes: Float[np.ndarray, "N 4"]
    points: Float[np.ndarray, "N K 2"]
    visible: Float[np.ndarray, "N K"]
    people: Int[np.ndarray, " N"]

    def crops(self) -> UInt8[np.ndarray, "N {CROP} {CROP} 3"]:
        """What each box shows, in one size; none of a box beyond the picture."""
        whole = Image.fromarray(self.picture)
        height, width = self.picture.shape[:2]
        corners = np.clip(self.boxes, 0, [width, height, width, height])
        cut = [
            whole.resize((CROP, CROP), Image.Resampling.BILINEAR, box=tuple(one))
            for one in corners.tolist()
        ]
        return np.stack([np.asarray(one) for one in cut])


@dataclass(frozen=True)
class Thing:
    """A cut-out at the size in which it moves, and its points from its upper left corner."""

    colours: Float[np.ndarray, "h w 3"]
    opacity: Float[np.ndarray, "h w 1"]
    points: Int[np.ndarray, "K 2"]

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Its pixels."""
        return self.opacity[..., 0] > 0.5

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.opacity.shape[1], self.opacity.shape[0]


Ways: TypeAlias = Int[np.ndarray, "T 2 2"]
"""Upper left corners (x, y) of both objects in each frame, the one in front first."""


def read_pictures(cache: Path = CACHE) -> dict[str, Pictures]:
    """The pictures that designs are chosen with, ``dev``, and all others, ``test``."""
    package = unpack(fetch_both(cache))
    splits = ("train", "dev", "test")
    parts = split_pictures(package.stamps, package.photos, three_ways, splits)
    others = [parts["train"], parts["test"]]
    stamps = [[*one, *other] for one, other in zip(*(x.stamps for x in others), strict=True)]
    return dict(dev=parts["dev"], test=Pictures(stamps, others[0].photos | others[1].photos))


def thing(stamp: Stamp, rng: np.random.Generator) -> Thing:
    """A cut-out at random size, with points drawn from its pixels."""
    scale = rng.uniform(*LONGEST) / max(stamp.pixels.shape[:2])
    height, width = (max(8, round(scale * side)) for side in stamp.pixels.shape[:2])
    sized = Image.fromarray(stamp.pixels).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(sized).astype(np.float32)
    rows, columns = np.nonzero(pixels[..., 3] > 127)
    drawn = rng.integers(0, len(rows), K)
    return Thing(pixels[..., :3], pixels[..., 3:] / 255, np.stack([columns[drawn], rows[drawn]], 1))


def ways(things: Sequence[Thing], kind: str, rng: np.random.Generator) -> Ways:
    """Where both are; they meet near the middle of picture and time."""
    meeting = FRAMES / 2 + rng.uniform(-2, 2)
    pause = rng.uniform(*PAUSE) if kind == "turn" else 0.0
    away = np.arange(FRAMES) - meeting
    passed = np.sign(away) * np.maximum(np.abs(away) - pause / 2, 0)
    if kind == "turn":
        passed = -np.abs(passed)
    speed = rng.uniform(*SPEED, 2) * np.array([1, -1]) * rng.choice([-1, 1])
    drift = rng.uniform(-DRIFT, DRIFT, 2)
    moved = np.stack([passed[:, None] * speed, away[:, None] * drift], 2)  # (T, 2, 2)
    centre = SIDE / 2 + rng.uniform(-3, 3, (2, 2))
    half = np.array([one.size for one in things]) / 2
    return np.rint(centre + moved - half).astype(np.int64)


def covered(front: Thing, rear: Thing, offset: np.ndarray) -> Bool[np.ndarray, "h w"]:
    """Which pixels of the rear object's array the front one covers; offset of rear from front."""
    width, height = rear.size
    found = np.zeros((height, width), bool)
    x, y = offset.tolist()
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(width, front.size[0] - x), min(height, front.size[1] - y)
    if right > left and bottom > top:
        found[top:bottom, left:right] = front.mask[top + y : bottom + y, left + x : right + x]
    return found


def hidden_share(front: Thing, rear: Thing, offset: np.ndarray) -> float:
    """Share of the rear object's pixels that the front one covers."""
    return float((covered(front, rear, offset) & rear.mask).sum() / rear.mask.sum())


def cast(
    pictures: Pictures, kind: str, rng: np.random.Generator
) -> tuple[tuple[Thing, Thing], Ways, list[str]]:
    """Two cut-outs of one class, in front and behind, and their ways.

    Raises:
        ValueError: no two of them ever hide each other enough.
    """
    for _ in range(DRAWS):
        stamps = pictures.stamps[rng.integers(len(CLASSES))]
        if len(stamps) < 2:
            continue
        chosen = [stamps[n] for n in rng.choice(len(stamps), 2, replace=False)]
        things = thing(chosen[0], rng), thing(chosen[1], rng)
        way = ways(things, kind, rng)
        offsets = way[:, 1] - way[:, 0]
        middle = int(np.abs(offsets[:, 0] + (things[1].size[0] - things[0].size[0]) / 2).argmin())
        apart = hidden_share(*things, offsets[0]) < 0.1 and hidden_share(*things, offsets[-1]) < 0.1
        if apart and hidden_share(*things, offsets[middle]) >= HIDDEN:
            return things, way, [one.name for one in chosen]
    raise ValueError(f"expected two cut-outs of which one hides the other, got none in {DRAWS}")


def paste(picture: Float[np.ndarray, "H W 3"], one: Thing, corner: np.ndarray) -> None:
    """Lay an object over the picture, in place; it lies wholly inside."""
    (x, y), (width, height) = corner.tolist(), one.size
    part = picture[y : y + height, x : x + width]
    part += one.opacity * (one.colours - part)


def scene(pictures: Pictures, seed: int, number: int) -> Iterator[Frame]:
    """The frames of a scene; even numbers cross, odd ones turn."""
    rng = np.random.default_rng([seed, number])
    photo = list(pictures.photos)[rng.integers(len(pictures.photos))]
    background = crop_background(pictures.photos[photo], rng, SIDE).astype(np.float32)
    things, way, _ = cast(pictures, KINDS[number % 2], rng)
    front, rear = things
    sizes = np.array([one.size for one in things])
    columns, rows = rear.points.T
    for corners in way:
        picture = background.copy()
        paste(picture, rear, corners[1])
        paste(picture, front, corners[0])
        hides = covered(front, rear, corners[1] - corners[0])
        gone = (hides & rear.mask).sum() / rear.mask.sum()
        visible = np.stack([np.ones(K, bool), ~hides[rows, columns]])
        told = visible ^ (rng.random((2, K)) < TOLD_WRONG)
        boxes = np.concatenate([corners, corners + sizes], 1) + rng.normal(0, ERROR, (2, 4))
        points = np.stack([one.points for one in things]) + corners[:, None]
        points = points + rng.normal(0, ERROR, points.shape)
        people = rng.permutation(2 if gone <= LOST else 1)
        yield Frame(
            np.rint(picture).astype(np.uint8),
            boxes[people],
            points[people],
            told[people].astype(float),
            people,
        )
