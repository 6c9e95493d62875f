"""Handwritten digits on photographs, with maps: few labels may be given, and many pictures.

Sources  the digits of ``mmext data digits`` (scikit-learn's, 8 x 8 pixels) and the photographs of
         ``mmext data stamps`` (mate-backgrounds)
Scenes   160 x 160 with 1 to 4 digits of 40 to 90 pixels, each in one bright or dark colour, upright
Classes  background and the digits 0 to 9
Splits   train 320, val 100, test 200. No photograph and no digit is in two of them; photographs are
         divided by name, digits by their number (1,000, 397 and 400)
Files    {train,val,test}/0001.jpg …   semantic/{train,val,test}/0001.png …   recipe.json   LICENSE
Use      the first 20 of train keep their maps (``indices=20``); those of the other 300 are for an
         oracle alone

Run ``mmext data photo_digits``; a second run finds the result and needs no network.
"""

import gzip
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mmext.prepare import command
from mmext.prepare.camera_motion_pictures import SKLEARN
from mmext.prepare.debian import fetch as fetch_debian
from mmext.prepare.debian import read_files
from mmext.prepare.digits import FILES
from mmext.prepare.packages import CACHE, fetch, make_folder
from mmext.prepare.stamps_compose import Layout, Scene, empty, paste, position
from mmext.prepare.stamps_packages import copyright_file
from mmext.prepare.stamps_pictures import MATE, PHOTOS, Pictures, Stamp, is_background, read_photo
from mmext.prepare.stamps_pictures import three_ways as divide

ROOT = Path("data/photo_digits")
NUM_SCENES = {"train": 320, "val": 100, "test": 200}
NUM_DIGITS = {"train": 1000, "val": 397, "test": 400}
PHOTOS_OF = {"train": "train", "val": "dev", "test": "test"}
LAYOUT = Layout(side=160, longest=(40, 90), min_pixels=150)
MAX_DIGITS = 4
DRAWS = 20
"""Digits that are drawn for a scene before it is left with fewer than wanted."""
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
"""Names this very script, so that folders written by an older one are written anew."""


def read_digits(content: bytes) -> tuple[UInt8[np.ndarray, "N 8 8"], UInt8[np.ndarray, " N"]]:
    """Ink from 0 to 255, and labels, of scikit-learn's file."""
    lines = gzip.decompress(content).decode().splitlines()
    table = np.loadtxt(lines, delimiter=",").astype(int)
    ink = (table[:, :64] * (255 / 16)).round().astype(np.uint8)
    return ink.reshape(-1, 8, 8), table[:, 64].astype(np.uint8)


def enlarged(ink: UInt8[np.ndarray, "8 8"], rng: np.random.Generator) -> UInt8[np.ndarray, "S S 4"]:
    """A digit in one colour, at random size; where there is ink, it is opaque."""
    size = round(rng.uniform(*LAYOUT.longest))
    smooth = np.asarray(Image.fromarray(ink).resize((size, size), Image.Resampling.BICUBIC))
    opacity = np.clip(2.0 * smooth - 127, 0, 255)  # a stroke has an edge, not a halo
    low = 0 if rng.random() < 0.5 else 160
    colour = np.broadcast_to(rng.integers(low, low + 96, 3), (size, size, 3))
    return np.concatenate([colour, opacity[..., None]], 2).astype(np.uint8)


def compose(
    photos: Pictures,
    ink: UInt8[np.ndarray, "N 8 8"],
    labels: UInt8[np.ndarray, " N"],
    rng: np.random.Generator,
) -> Scene:
    """Make one scene; equal generators make equal scenes."""
    scene = empty(photos, rng, LAYOUT)
    wanted = rng.integers(1, MAX_DIGITS + 1)
    for _ in range(DRAWS):
        number = rng.integers(len(ink))
        cut_out = enlarged(ink[number], rng)
        left, top = (position(len(cut_out), rng, LAYOUT.side) for _ in range(2))
        stamp = Stamp(str(number), int(labels[number]), cut_out)
        paste(scene, stamp, cut_out, left=left, top=top)
        if len(scene.instances) == wanted:
            break
    return scene


def write(wheel: Path, deb: Path, folder: Path) -> None:
    """Write all splits, the licences and the recipe into the empty ``folder``."""
    with zipfile.ZipFile(wheel) as files:
        ink, labels = read_digits(files.read(FILES["digits.csv.gz"]))
        words = files.read(FILES["LICENSE"])
    note = copyright_file(MATE)
    found = read_files(deb, lambda name: name == note or is_background(name))
    words += b"\n==== photographs: mate-backgrounds ====\n\n" + found.pop(note, b"(none)\n")
    split_of = divide(sorted(found))
    first = 0
    for order, (split, number) in enumerate(NUM_DIGITS.items()):
        photos = {
            path.removeprefix(PHOTOS): read_photo(path, found[path])
            for path in sorted(found)
            if split_of[path] == PHOTOS_OF[split]
        }
        own = slice(first, first + number)
        first += number
        write_split(folder, split, (Pictures([], photos), ink[own], labels[own]), order)
    (folder / "LICENSE").write_bytes(words)
    (folder / "recipe.json").write_text(json.dumps({"recipe": RECIPE}))


def write_split(folder: Path, split: str, sources: tuple[Any, Any, Any], order: int) -> None:
    """Write one split's pictures and maps; each scene has a generator of its own."""
    for part in (folder / split, folder / "semantic" / split):
        part.mkdir(parents=True)
    for number in range(1, NUM_SCENES[split] + 1):
        scene = compose(*sources, np.random.default_rng([order, number]))
        name = f"{number:04d}"
        Image.fromarray(scene.pixels).save(folder / split / f"{name}.jpg", quality=90)
        Image.fromarray(scene.semantic()).save(folder / "semantic" / split / f"{name}.png")


def is_complete(root: Path) -> bool:
    """Whether ``root`` holds this recipe's files, each picture and map included."""
    try:
        recipe = json.loads((root / "recipe.json").read_text())["recipe"]
    except (OSError, json.JSONDecodeError):
        return False
    return recipe == RECIPE and all(
        (root / split / f"{number:04d}.jpg").is_file()
        and (root / "semantic" / split / f"{number:04d}.png").is_file()
        for split in NUM_SCENES
        for number in range(1, NUM_SCENES[split] + 1)
    )


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: a package cannot be fetched, or it is not what was expected.
    """

    def write_all(folder: Path) -> None:
        write(fetch(SKLEARN, cache), fetch_debian(MATE, cache), folder)

    make_folder(root, is_complete, write_all)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    scenes = ", ".join(f"{split} {number}" for split, number in NUM_SCENES.items())
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}: {scenes} scenes", argv)
