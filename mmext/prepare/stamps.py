"""Photographic cut-outs on photographs: boxes, masks and semantic maps, exact by construction.

Source    the Debian packages tuxpaint-stamps-default and mate-backgrounds (both GPL-2+), fetched
          with apt-get without root; stamps_pictures.py says which of their pictures are used
Classes   mammal, bird, food (fruit, vegetables, nuts), flower, tool (instruments too), vehicle
Images    320 x 320, 1 to 5 objects each, 1500 for train and 300 for val; stamps_compose.py says how
          they are made. No cut-out and no background photograph is in both splits
Files     train/*.jpg  val/*.jpg  annotations/{train,val}.json  semantic/{train,val}/*.png  LICENSE
          annotations: COCO's, of the visible pixels; masks as compressed run lengths. Each also
          names its stamp and says which share of it is hidden, and each image names its background
          annotations/val_hidden.json: the same objects, but those of which less than 20 % is hidden
          are marked as crowds, which COCO's evaluation neither asks for nor counts as wrong
          semantic: grey PNG under the image's name, 0 background, 1 to 6 the classes; with
          BaseSegDataset 7 classes, or 6 with reduce_zero_label=True, which ignores the background
One class ``--one-class`` writes data/stamps_one_class instead: 160 x 160, 2000 for train and 500
          each for dev (choosing) and test (the one look at the end), all objects of the category
          "object"; a box's ``class`` names which of the six it is, and the semantic maps tell them
          apart. Cut-outs are divided by class, so dev and test hold as many of each as kinds allow,
          and photographs of their own
Seed      the same seed gives the same bytes; another one gives other scenes of the same pictures,
          and no picture changes its split

These scenes are not natural ones: results on them compare methods and say nothing about photographs
in general. The images stay under the packages' licence: they are made where they are used, and are
no part of this project but for a few in two pictures of its documentation, which say so.

Run ``mmext data stamps [--one-class]``; a second run finds the result and needs no network.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as run_lengths

from mmext.prepare.debian import Deb
from mmext.prepare.packages import CACHE, DataError, make_folder
from mmext.prepare.stamps_compose import LARGE, SMALL, Instance, Layout, compose
from mmext.prepare.stamps_packages import fetch_both, unpack
from mmext.prepare.stamps_pictures import (
    CLASSES,
    Division,
    Pictures,
    split_pictures,
    three_ways,
    two_ways,
)

SCRIPTS = ("stamps.py", "stamps_compose.py", "stamps_packages.py", "stamps_pictures.py")
RECIPE = hashlib.sha256(
    b"".join((Path(__file__).parent / name).read_bytes() for name in SCRIPTS)
).hexdigest()[:16]
"""Names these very scripts, so that folders written by older ones are written anew."""


@dataclass(frozen=True)
class Edition:
    """What is made of the pictures.

    Args:
        root: where it lies unless told otherwise.
        num_images: images of each split.
        divide: which split a picture belongs to.
        layout: sizes of a scene.
        categories: of the boxes, from 1 on; with one of them it is every object's.
        held_out: the splits that also get annotations of their hidden objects.
        recipe: names the scripts that make it, so that folders of older ones are written anew.
    """

    root: Path
    num_images: Mapping[str, int]
    divide: Division
    layout: Layout
    categories: tuple[str, ...]
    held_out: tuple[str, ...]
    recipe: str = RECIPE


SIX_CLASSES = Edition(
    Path("data/stamps"), {"train": 1500, "val": 300}, two_ways, LARGE, tuple(CLASSES), ("val",)
)
ONE_CLASS = Edition(
    Path("data/stamps_one_class"),
    {"train": 2000, "dev": 500, "test": 500},
    three_ways,
    SMALL,
    ("object",),
    ("dev", "test"),
)
MIN_HIDDEN = 0.2
"""From this share on an object counts as hidden; the most that is ever hidden is 0.6."""


def annotation(
    number: int, image_id: int, instance: Instance, edition: Edition = SIX_CLASSES
) -> dict[str, Any]:
    """One instance in COCO's words."""
    encoded = run_lengths.encode(np.asfortranarray(instance.mask.astype(np.uint8)))
    only = len(edition.categories) == 1
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1 if only else instance.stamp.label + 1,
        "bbox": list(instance.box),
        "area": int(instance.mask.sum()),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "iscrowd": 0,
        "stamp": instance.stamp.name,
        "hidden": round(instance.hidden, 3),
        **({"class": list(CLASSES)[instance.stamp.label]} if only else {}),
    }


def write_split(
    folder: Path, split: str, pictures: Pictures, info: dict[str, Any], edition: Edition
) -> None:
    """Write one split's images, semantic maps and annotations under ``folder``."""
    coco: dict[str, Any] = {
        "info": {"description": f"photographic cut-outs on photographs, {split}", **info},
        "licenses": [{"id": 1, "name": "GPL-2+, see LICENSE"}],
        "categories": [
            {"id": number, "name": name} for number, name in enumerate(edition.categories, 1)
        ],
        "images": [],
        "annotations": [],
    }
    (folder / split).mkdir()
    (folder / "semantic" / split).mkdir(parents=True)
    for image_id in range(1, edition.num_images[split] + 1):
        # A generator of its own for each image: one more image, or one more split, changes no
        # other.
        numbers = [info["seed"], list(edition.num_images).index(split), image_id]
        scene = compose(pictures, np.random.default_rng(numbers), edition.layout)
        name = f"{image_id:04d}"
        Image.fromarray(scene.pixels).save(folder / split / f"{name}.jpg", quality=90)
        Image.fromarray(scene.semantic()).save(folder / "semantic" / split / f"{name}.png")
        image = {
            "id": image_id,
            "file_name": f"{name}.jpg",
            "width": edition.layout.side,
            "height": edition.layout.side,
            "background": scene.photo,
        }
        coco["images"].append(image)
        for instance in scene.instances:
            coco["annotations"].append(
                annotation(len(coco["annotations"]) + 1, image_id, instance, edition)
            )
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    if split in edition.held_out:
        (folder / "annotations" / f"{split}_hidden.json").write_text(json.dumps(hidden_only(coco)))


def hidden_only(coco: dict[str, Any]) -> dict[str, Any]:
    """The same annotations, with all but the objects hidden in good part marked as crowds."""
    annotations = [
        one | {"iscrowd": int(one["hidden"] < MIN_HIDDEN)} for one in coco["annotations"]
    ]
    return coco | {"annotations": annotations}


def write(paths: Mapping[Deb, Path], folder: Path, seed: int, edition: Edition) -> None:
    """Write all splits and the licence into the empty ``folder``."""
    package = unpack(paths)
    info = {"recipe": edition.recipe, "seed": seed, **package.info}
    divided = split_pictures(package.stamps, package.photos, edition.divide, edition.num_images)
    for split, pictures in divided.items():
        write_split(folder, split, pictures, info, edition)
    (folder / "LICENSE").write_bytes(package.licence)


def read_split(root: Path, split: str) -> dict[str, Any]:
    """The COCO file of one split."""
    return json.loads((root / "annotations" / f"{split}.json").read_text())


def is_complete(root: Path, seed: int, edition: Edition = SIX_CLASSES) -> bool:
    """Whether ``root`` holds this recipe's files of that seed, each image and map included."""
    try:
        splits = {split: read_split(root, split) for split in edition.num_images}
    except (OSError, json.JSONDecodeError):
        return False
    hidden = [root / "annotations" / f"{split}_hidden.json" for split in edition.held_out]
    return all(file.is_file() for file in hidden) and all(
        (coco["info"]["recipe"], coco["info"]["seed"]) == (edition.recipe, seed)
        and all((root / split / image["file_name"]).is_file() for image in coco["images"])
        and all(
            (root / "semantic" / split / f"{image['id']:04d}.png").is_file()
            for image in coco["images"]
        )
        for split, coco in splits.items()
    )


def prepare(
    root: Path | None = None, cache: Path = CACHE, seed: int = 0, edition: Edition = SIX_CLASSES
) -> None:
    """Make sure that ``root`` holds the edition, by default where it belongs; see the card.

    Raises:
        DataError: the packages cannot be fetched, or they are not what was expected.
    """
    make_folder(
        root or edition.root,
        lambda folder: is_complete(folder, seed, edition),
        lambda folder: write(fetch_both(cache), folder, seed, edition),
    )


def summary(root: Path, splits: Iterable[str] = SIX_CLASSES.num_images) -> str:
    """A line a split and a class: different cut-outs, and instances of them."""
    lines = []
    for split in splits:
        coco = read_split(root, split)
        photos = {image["background"] for image in coco["images"]}
        lines.append(
            f"{split:5}  {len(coco['images'])} images of {len(photos)} backgrounds, "
            f"{len(coco['annotations'])} instances"
        )
        names = {one["id"]: one["name"] for one in coco["categories"]}
        classes = [
            (one.get("class") or names[one["category_id"]], one["stamp"])
            for one in coco["annotations"]
        ]
        instances, stamps = (Counter(name for name, _ in some) for some in (classes, set(classes)))
        lines += [
            f"         {name:8} {stamps[name]:3} stamps  {instances[name]:4} instances"
            for name in CLASSES
        ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--root", type=Path, help="folder to write (default: data/stamps[_one_class])"
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder of packages (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="other scenes of the same pictures (default: 0)"
    )
    parser.add_argument(
        "--one-class",
        action="store_true",
        help="160 x 160, one category; train, dev and test instead",
    )
    args = parser.parse_args(argv)
    edition = ONE_CLASS if args.one_class else SIX_CLASSES
    root = args.root or edition.root
    try:
        prepare(root, args.cache, args.seed, edition)
    except DataError as error:
        sys.exit(f"error: {error}.")
    print(f"{root}\n{summary(root, edition.num_images)}")
