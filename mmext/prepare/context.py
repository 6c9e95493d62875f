"""A mechanism test for attention: what an object is called depends on something else in the image.

Source    the cut-outs and photographs of ``mmext data stamps``
Scenes    320 x 320 with one bird or one flower, the key, and 1 to 3 objects (mammals, food, tools,
          vehicles)
Classes   background, bird, flower, "with a bird", "with a flower": the key's class decides what
          every object is called, whatever it shows. Key and objects are drawn independently, so
          whoever does not see the key is right half of the time
Far       each object's centre is at least 200 pixels from the key's; near: at most 140
Splits    1200 scenes for train, 200 for dev and 400 for test, of far and of near each. No cut-out
          and no photograph is in two splits; each class is divided for itself (stamps_pictures.py,
          three ways)
Files     {far,near}/{train,dev,test}/0001.jpg ...
          {far,near}/semantic/{train,dev,test}/0001.png ...
          {far,near}/context/{dev,test}/0001.png: the same maps with 255, which mmseg ignores,
          wherever the class is neither "with a bird" nor "with a flower"; the accuracy over them is
          that of the pixels whose class the context decides
          {far,near}/scenes.json: each scene's key, objects, distances in pixels and photograph
          LICENSE
Seed      the same seed gives the same bytes; another one gives other scenes of the same pictures,
          and no picture changes its split

The task is built so that it cannot be done without looking far away. It tells whether a mechanism
does that, and nothing about natural scenes.

Run ``mmext data context``; a second run finds the result and needs no network.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmext.prepare import command
from mmext.prepare.packages import CACHE, make_folder
from mmext.prepare.stamps_compose import POSITIONS, Layout, Scene, empty, paste, position, resize
from mmext.prepare.stamps_packages import Package, fetch_both, unpack
from mmext.prepare.stamps_pictures import CLASSES, Pictures, Stamp, split_pictures, three_ways

ROOT = Path("data/context")
NUM_SCENES = {"train": 1200, "dev": 200, "test": 400}
DISTANCES = {"far": (200.0, math.inf), "near": (0.0, 140.0)}
"""Least and largest distance between the centres of key and object, in pixels."""
NAMES = ("background", "bird", "flower", "with a bird", "with a flower")
KEYS = ("bird", "flower")
OTHERS = tuple(name for name in CLASSES if name not in KEYS)
LAYOUT = Layout(side=320, longest=(50, 120), min_pixels=150)
MAX_OTHERS = 3
IGNORED = 255
DRAWS = 100
"""Places of the key, and then objects, that are drawn before a scene is begun anew."""
SCRIPTS = ("context.py", "stamps_compose.py", "stamps_packages.py", "stamps_pictures.py")
RECIPE = hashlib.sha256(
    b"".join((Path(__file__).parent / name).read_bytes() for name in SCRIPTS)
).hexdigest()[:16]
"""Names these very scripts, so that folders written by older ones are written anew."""

Point = tuple[float, float]


@dataclass
class Keyed:
    """A scene whose first instance is its key."""

    scene: Scene
    key: str
    centres: list[Point]

    def maps(self) -> tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
        """Classes of all pixels, and of those alone whose class the key decides."""
        key = KEYS.index(self.key)
        classes = np.zeros(self.scene.pixels.shape[:2], np.uint8)
        for number, instance in enumerate(self.scene.instances):
            classes[instance.mask] = 1 + key if number == 0 else 3 + key
        return classes, np.where(classes >= 3, classes, np.uint8(IGNORED))

    def distances(self) -> list[float]:
        """From the key's centre to each object's, in pixels."""
        return [math.dist(self.centres[0], other) for other in self.centres[1:]]


def compose(pictures: Pictures, rng: np.random.Generator, place: str) -> Keyed:
    """Make one scene; equal generators make equal scenes.

    Raises:
        ValueError: the cut-outs are so small or so large that no object found its place.
    """
    for _ in range(DRAWS):
        scene = empty(pictures, rng, LAYOUT)
        key = KEYS[rng.integers(len(KEYS))]
        first = put(scene, draw(pictures, key, rng), rng, None, place)
        if first is None:
            continue
        keyed = Keyed(scene, key, [first])
        wanted = 1 + rng.integers(1, MAX_OTHERS + 1)
        for _ in range(DRAWS):
            stamp = draw(pictures, OTHERS[rng.integers(len(OTHERS))], rng)
            if (centre := put(scene, stamp, rng, first, place)) is not None:
                keyed.centres.append(centre)
            if len(keyed.centres) == wanted:
                return keyed
        if len(keyed.centres) > 1:
            return keyed
    raise ValueError(
        f"expected cut-outs that fit into a scene, got none in {DRAWS} tries; use larger ones"
    )


def draw(pictures: Pictures, name: str, rng: np.random.Generator) -> Stamp:
    """A cut-out of a class."""
    stamps = pictures.stamps[list(CLASSES).index(name)]
    return stamps[rng.integers(len(stamps))]


def put(
    scene: Scene, stamp: Stamp, rng: np.random.Generator, key: Point | None, place: str
) -> Point | None:
    """Paste a cut-out at the right distance from the key, if one is found; returns its centre."""
    cut_out = resize(stamp.pixels, rng, LAYOUT)
    for _ in range(POSITIONS):
        left, top = (position(cut_out.shape[axis], rng, LAYOUT.side) for axis in (1, 0))
        centre = left + cut_out.shape[1] / 2, top + cut_out.shape[0] / 2
        least, most = DISTANCES[place]
        if key is not None and not least <= math.dist(key, centre) <= most:
            continue
        if paste(scene, stamp, cut_out, left=left, top=top):
            return centre
    return None


def write_split(
    folder: Path, place: str, split: str, pictures: Pictures, seed: int
) -> list[dict[str, Any]]:
    """Write one split's images and maps under ``folder``; returns what each scene shows."""
    for part in ("", "semantic", *(("context",) if split != "train" else ())):
        (folder / part / split).mkdir(parents=True)
    shown = []
    for number in range(1, NUM_SCENES[split] + 1):
        # A generator of its own for each scene: one more scene, or one more split, changes no
        # other.
        numbers = [seed, list(DISTANCES).index(place), list(NUM_SCENES).index(split), number]
        keyed = compose(pictures, np.random.default_rng(numbers), place)
        semantic, context = keyed.maps()
        name = f"{number:04d}"
        Image.fromarray(keyed.scene.pixels).save(folder / split / f"{name}.jpg", quality=90)
        Image.fromarray(semantic).save(folder / "semantic" / split / f"{name}.png")
        if split != "train":
            Image.fromarray(context).save(folder / "context" / split / f"{name}.png")
        stamps = [instance.stamp.name for instance in keyed.scene.instances]
        shown.append(
            {
                "name": name,
                "key": keyed.key,
                "stamps": stamps,  # the key's first
                "distances": [round(one, 1) for one in keyed.distances()],
                "background": keyed.scene.photo,
            }
        )
    return shown


def write(package: Package, folder: Path, seed: int) -> None:
    """Write both places' splits, the licence and the recipe into the empty ``folder``."""
    info = {"recipe": RECIPE, "seed": seed, **package.info}
    divided = split_pictures(package.stamps, package.photos, three_ways, NUM_SCENES)
    for place in DISTANCES:
        (folder / place).mkdir()
        scenes = {
            split: write_split(folder / place, place, split, divided[split], seed)
            for split in divided
        }
        (folder / place / "scenes.json").write_text(json.dumps({"info": info, **scenes}))
    (folder / "LICENSE").write_bytes(package.licence)


def read_scenes(root: Path, place: str) -> dict[str, Any]:
    """What each scene shows, by split, and the recipe under ``info``."""
    return json.loads((root / place / "scenes.json").read_text())


def is_complete(root: Path, seed: int) -> bool:
    """Whether ``root`` holds this recipe's files of that seed, each image and map included."""
    try:
        places = {place: read_scenes(root, place) for place in DISTANCES}
    except (OSError, json.JSONDecodeError):
        return False
    return (root / "LICENSE").is_file() and all(
        (scenes["info"]["recipe"], scenes["info"]["seed"]) == (RECIPE, seed)
        and all(file.is_file() for file in files_of(root / place, scenes))
        for place, scenes in places.items()
    )


def files_of(folder: Path, scenes: Mapping[str, Any]) -> list[Path]:
    """Every image and map that the scenes name."""
    return [
        folder / part / split / f"{one['name']}.{suffix}"
        for split in NUM_SCENES
        for one in scenes[split]
        for part, suffix in (("", "jpg"), ("semantic", "png"), ("context", "png"))
        if part != "context" or split != "train"
    ]


def prepare(root: Path = ROOT, cache: Path = CACHE, seed: int = 0) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the packages cannot be fetched, or they are not what was expected.
    """
    make_folder(
        root,
        lambda folder: is_complete(folder, seed),
        lambda folder: write(unpack(fetch_both(cache)), folder, seed),
    )


def summary(root: Path) -> str:
    """A line a place and a split: scenes, keys, objects, and their median distance."""
    lines = []
    for place in DISTANCES:
        scenes = read_scenes(root, place)
        for split in NUM_SCENES:
            keys = Counter(one["key"] for one in scenes[split])
            distances = [distance for one in scenes[split] for distance in one["distances"]]
            counts = ", ".join(f"{keys[key]} with a {key}" for key in KEYS)
            lines.append(
                f"{place:4} {split:5}  {len(scenes[split]):4} scenes ({counts}), {len(distances)} "
                f"objects, {np.median(distances):.0f} pixels away in the median"
            )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    seed = "other scenes of the same pictures"
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}\n{summary(root)}", argv, seed=seed)
