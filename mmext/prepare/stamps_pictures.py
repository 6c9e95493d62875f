"""Which pictures of the two packages are used, for what, and in which split.

Cut-outs     the folders of six classes of tuxpaint-stamps-default, without the drawings among them
Backgrounds  the nature photographs of mate-backgrounds, without the parts that show flowers: nobody
             has labelled those, so a detector of flowers would be punished for finding them
Splits       by the hash of a picture's name, so that no seed moves a picture between them. Cut-outs
             whose names begin with the same word (gnu-baby, gnu-stand) may show the same thing and
             stay together. Two ways (train, val) or three (train, dev, test), in three of each
             class and of the photographs three fifths, one fifth and one fifth as nearly as kinds
             allow
Looked at    every picture, in the versions below
"""

import hashlib
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from mmext.prepare.debian import Deb
from mmext.prepare.packages import DataError

TUXPAINT = Deb(
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
MATE = Deb(
    "mate-backgrounds",
    "1.26.0-1",
    "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
)
PICTURES = "78c52c7cbd8cdeeef34bd28ae4baf816ec9b621e1bd72d80286ed7078698346d"
"""SHA-256 over the chosen pictures of these versions, names and bytes; see :func:`digest`."""

STAMPS = "usr/share/tuxpaint/stamps/"
PHOTOS = "usr/share/backgrounds/mate/nature/"
VAL_SHARE = 0.25
SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
LARGEST_STAMP = 220
"""Longest side in pixels to which stamps are shrunk once when read: a bit more than ever pasted."""

SHORTER_PHOTO = 640
"""Shorter side in pixels to which backgrounds are shrunk once when read; larger ones cost time."""

# In fnmatch's patterns * also matches /; the folders named cartoon and toys are left out below.
CLASSES = {
    "mammal": ["animals/mammals/*", "animals/marsupials/*"],
    "bird": ["animals/birds/*"],
    "food": ["food/fruit/*", "food/nuts/*", "food/spices/*", "food/vegetables/*"],
    "flower": ["plants/flowers/*"],
    "tool": [
        "hobbies/*",
        "household/arttools/*",
        "household/dishes/utensils/*",
        "household/tools/*",
        "medical/*",
    ],
    "vehicle": [
        "military/vehicles/*",
        "vehicles/*",
    ],
}
NOT_USED = [
    "*/cartoon/*",
    "*/toys/*",
    "*/plastic/*",
    "*_mirror.png",  # the same photograph turned round
    # Drawings among the photographs.
    "animals/mammals/echidna.png",
    "animals/mammals/hedgehog.png",
    "household/arttools/highlighter.png",
    "medical/tooth.png",
    "vehicles/7spoke256.png",
    "vehicles/emergency/sedan_police.png",  # only the writing; it is laid over another stamp
    "vehicles/ship/chineseJunk.png",
    # Photographs of something else, and one of 25 pixels.
    "food/nuts/walnut_shelled.png",
    "household/tools/cementmixer.png",
    "medical/bandage_adhesive.png",
    "vehicles/wheel_tractor.png",
]
BACKGROUNDS = {
    "Aqua.jpg": None,
    "Blinds.jpg": None,
    "Dune.jpg": None,
    "Garden.jpg": (0, 0, 900, 1090),
    "GreenMeadow.jpg": None,
    "LadyBird.jpg": (0, 690, 1300, 1600),
    "RainDrops.jpg": None,
    "Storm.jpg": None,
    "TwoWings.jpg": (0, 0, 900, 1600),
    "Wood.jpg": None,
}
"""Left, top, right, bottom of the part without sharp flowers; None: all of it.

Two photographs have no such part and are missing here.
"""


@dataclass(frozen=True)
class Stamp:
    """One cut-out: colours and opacity, cropped to what is not wholly transparent."""

    name: str
    label: int  # index into CLASSES
    pixels: UInt8[np.ndarray, "H W 4"]


@dataclass(frozen=True)
class Pictures:
    """What the images of one split are made of."""

    stamps: list[list[Stamp]]  # one list a class
    photos: dict[str, Image.Image]


def class_of(path: str) -> str | None:
    """The class of a file of the stamps package, by its path in it; None if it is not used."""
    name = path.removeprefix(STAMPS)
    if (
        name == path
        or not name.endswith(".png")
        or any(fnmatch(name, pattern) for pattern in NOT_USED)
    ):
        return None
    return next(
        (one for one, folders in CLASSES.items() if any(fnmatch(name, f) for f in folders)), None
    )


def is_background(path: str) -> bool:
    """Whether a file of the backgrounds package is used."""
    return path.removeprefix(PHOTOS) in BACKGROUNDS


def kind(name: str) -> str:
    """The first word of a file's name; pictures of one kind may show the same thing.

    Example:
        >>> names = "animals/mammals/pig_golden2.png", "food/fruit/Strawberry2.png", "747.png"
        >>> [kind(name) for name in names]
        ['pig', 'strawberry', '747']
    """
    stem = name.rpartition("/")[2].removesuffix(".png").lower()
    word = re.match("[a-z]+", stem)
    return word[0] if word else stem


def by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their kind, kinds in the order of their hashes."""
    kinds = defaultdict(list)
    for name in names:
        kinds[kind(name)].append(name)
    return {
        one: kinds[one]
        for one in sorted(kinds, key=lambda one: hashlib.sha256(one.encode()).digest())
    }


def val_names(names: Iterable[str], share: float = VAL_SHARE) -> set[str]:
    """Choose the names for validation: whole kinds, at most ``share`` of all names, rounded up.

    Example:
        >>> sorted(val_names(["cat-1", "cat-2", "dog", "fox"], share=0.5))
        ['dog', 'fox']
    """
    kinds = by_kind(names)
    room = math.ceil(share * sum(map(len, kinds.values())))
    chosen: set[str] = set()
    for group in kinds.values():
        if len(chosen) + len(group) <= room:
            chosen.update(group)
    return chosen


def two_ways(names: Iterable[str]) -> dict[str, str]:
    """The split of each name: train or val."""
    names = list(names)
    val = val_names(names)
    return {name: "val" if name in val else "train" for name in names}


def three_ways(names: Iterable[str]) -> dict[str, str]:
    """Each name's split: train, dev or test. Large kinds come first, each to where most is missing.

    Example:
        >>> sorted(three_ways(["ant", "bee", "cow", "dog", "elk"]).values())
        ['dev', 'test', 'train', 'train', 'train']
    """
    names = list(names)
    split_of: dict[str, str] = {}
    missing = {split: share * len(names) for split, share in SHARES.items()}
    for group in sorted(by_kind(names).values(), key=len, reverse=True):
        split = max(missing, key=lambda one: missing[one])  # the first of equals
        missing[split] -= len(group)
        split_of |= dict.fromkeys(group, split)
    return split_of


Division = Callable[[Iterable[str]], dict[str, str]]


def read_stamp(path: str, content: bytes) -> Stamp:
    """Decode one cut-out."""
    with Image.open(io.BytesIO(content)) as picture:
        pixels = picture.convert("RGBA")
        if picture.mode == "P":
            # These carry the dashed line of the selection tool as their outermost pixels.
            pixels.putalpha(pixels.getchannel("A").filter(ImageFilter.MinFilter(3)))
    pixels = pixels.crop(pixels.getchannel("A").getbbox())
    pixels.thumbnail((LARGEST_STAMP, LARGEST_STAMP), Image.Resampling.LANCZOS)
    label = list(CLASSES).index(class_of(path) or "")
    return Stamp(path.removeprefix(STAMPS).removesuffix(".png"), label, np.asarray(pixels))


def read_photo(path: str, content: bytes) -> Image.Image:
    """Decode the part of a background photograph that is used."""
    with Image.open(io.BytesIO(content)) as picture:
        photo = picture.convert("RGB").crop(BACKGROUNDS[path.removeprefix(PHOTOS)])
    scale = min(1.0, SHORTER_PHOTO / min(photo.size))
    size = round(photo.width * scale), round(photo.height * scale)
    return photo.resize(size, Image.Resampling.LANCZOS)


def split_pictures(
    stamp_files: Mapping[str, bytes],
    photo_files: Mapping[str, bytes],
    divide: Division = two_ways,
    splits: Iterable[str] = ("train", "val"),
) -> dict[str, Pictures]:
    """Decode all pictures and divide each class, and the photographs, among the splits.

    Raises:
        DataError: a class or the backgrounds have too few pictures to be in every split.
    """
    groups: dict[str, list[str]] = {name: [] for name in CLASSES}
    for path in sorted(stamp_files):
        groups[class_of(path) or ""].append(path)
    classes = list(groups.values())
    groups["background"] = sorted(photo_files)
    split_of: dict[str, str] = {}
    for what, paths in groups.items():
        chosen = divide(paths)
        if not set(splits) <= set(chosen.values()):
            number = {2: "both", 3: "all three"}[len(tuple(splits))]
            raise DataError(
                f"expected {what} pictures for {number} splits, got {len(paths)} in all; are these "
                f"{TUXPAINT.file_name} and {MATE.file_name}? Delete them from the cache and run "
                "this again"
            )
        split_of |= chosen
    return {
        split: Pictures(
            [
                [read_stamp(path, stamp_files[path]) for path in paths if split_of[path] == split]
                for paths in classes
            ],
            {
                path.removeprefix(PHOTOS): read_photo(path, photo_files[path])
                for path in sorted(photo_files)
                if split_of[path] == split
            },
        )
        for split in splits
    }


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents: equal if and only if the pictures are."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path}\n{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    return total.hexdigest()
