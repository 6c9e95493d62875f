"""Photographic cut-outs on photographs: boxes, masks and semantic maps that are exact by construction.

Source    the Debian packages tuxpaint-stamps-default and mate-backgrounds (both GPL-2+), fetched with apt-get
          without root; stamps_pictures.py says which of their pictures are used
Classes   mammal, bird, food (fruit, vegetables, nuts), flower, tool (instruments too), vehicle
Images    320 x 320, 1 to 5 objects each, 1500 for train and 300 for val; stamps_compose.py says how they are
          made. No cut-out and no background photograph is in both splits
Files     train/*.jpg  val/*.jpg  annotations/{train,val}.json  semantic/{train,val}/*.png  LICENSE
          annotations: COCO's, of the visible pixels; masks as compressed run lengths. Each also names its
          stamp and says which share of it is hidden, and each image names its background
          annotations/val_hidden.json: the same objects, but those of which less than 20 % is hidden are
          marked as crowds, which COCO's evaluation neither asks for nor counts as wrong
          semantic: grey PNG under the image's name, 0 background, 1 to 6 the classes; with BaseSegDataset 7
          classes, or 6 with reduce_zero_label=True, which ignores the background
Seed      the same seed gives the same bytes; another one gives other scenes of the same pictures, and no
          picture changes its split

These scenes are not natural ones: results on them compare methods and say nothing about photographs in
general. The images stay under the packages' licence: they are made where they are used, and are no part of
this project.

Run ``mmext data stamps``; a second run finds the result and needs no network.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as run_lengths

from mmext.prepare.debian import Deb, fetch, read_files, version_of
from mmext.prepare.packages import CACHE, DataError, one_at_a_time, replace_folder
from mmext.prepare.stamps_compose import SIDE, Instance, compose
from mmext.prepare.stamps_pictures import (
    CLASSES,
    MATE,
    PICTURES,
    TUXPAINT,
    Pictures,
    class_of,
    digest,
    is_background,
    split_pictures,
)

ROOT = Path("data/stamps")
NUM_IMAGES = {"train": 1500, "val": 300}
MIN_HIDDEN = 0.2
"""From this share on an object counts as hidden; the most that is ever hidden is 0.6."""
SCRIPTS = ("stamps.py", "stamps_compose.py", "stamps_pictures.py")
RECIPE = hashlib.sha256(
    b"".join((Path(__file__).parent / name).read_bytes() for name in SCRIPTS)
).hexdigest()[:16]
"""Names these very scripts, so that folders written by older ones are written anew."""


def annotation(number: int, image_id: int, instance: Instance) -> dict[str, Any]:
    """One instance in COCO's words."""
    encoded = run_lengths.encode(np.asfortranarray(instance.mask.astype(np.uint8)))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": instance.stamp.label + 1,
        "bbox": list(instance.box),
        "area": int(instance.mask.sum()),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "iscrowd": 0,
        "stamp": instance.stamp.name,
        "hidden": round(instance.hidden, 3),
    }


def write_split(folder: Path, split: str, pictures: Pictures, info: dict[str, Any]) -> None:
    """Write one split's images, semantic maps and annotations under ``folder``."""
    coco: dict[str, Any] = {
        "info": {"description": f"photographic cut-outs on photographs, {split}", **info},
        "licenses": [{"id": 1, "name": "GPL-2+, see LICENSE"}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)],
        "images": [],
        "annotations": [],
    }
    (folder / split).mkdir()
    (folder / "semantic" / split).mkdir(parents=True)
    for image_id in range(1, NUM_IMAGES[split] + 1):
        # A generator of its own for each image: one more image, or one more split, changes no other.
        scene = compose(
            pictures, np.random.default_rng([info["seed"], list(NUM_IMAGES).index(split), image_id])
        )
        name = f"{image_id:04d}"
        Image.fromarray(scene.pixels).save(folder / split / f"{name}.jpg", quality=90)
        Image.fromarray(scene.semantic()).save(folder / "semantic" / split / f"{name}.png")
        image = {
            "id": image_id,
            "file_name": f"{name}.jpg",
            "width": SIDE,
            "height": SIDE,
            "background": scene.photo,
        }
        coco["images"].append(image)
        for instance in scene.instances:
            coco["annotations"].append(annotation(len(coco["annotations"]) + 1, image_id, instance))
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    if split == "val":
        (folder / "annotations" / "val_hidden.json").write_text(json.dumps(hidden_only(coco)))


def hidden_only(coco: dict[str, Any]) -> dict[str, Any]:
    """The same annotations, with all but the objects that are hidden in good part marked as crowds."""
    annotations = [one | {"iscrowd": int(one["hidden"] < MIN_HIDDEN)} for one in coco["annotations"]]
    return coco | {"annotations": annotations}


def licence(copyrights: dict[str, bytes]) -> bytes:
    """The two packages' own words."""
    head = (
        "The images and maps in this folder are composed of pictures from two Debian packages and are under\n"
        "their licence, the GNU General Public License, version 2 or later. Their copyright files follow.\n"
    )
    parts = [f"\n==== {name} ====\n\n".encode() + text for name, text in sorted(copyrights.items())]
    return head.encode() + b"".join(parts)


def copyright_file(deb: Deb) -> str:
    """Where a Debian package says who made it."""
    return f"usr/share/doc/{deb.name}/copyright"


def write(paths: dict[Deb, Path], folder: Path, seed: int) -> None:
    """Write both splits and the licence into the empty ``folder``."""
    notes = {deb.name: copyright_file(deb) for deb in paths}
    chosen = {TUXPAINT: class_of, MATE: is_background}
    files = {
        deb: read_files(path, lambda name, deb=deb: name == notes[deb.name] or bool(chosen[deb](name)))
        for deb, path in paths.items()
    }
    copyrights = {deb.name: found.pop(notes[deb.name], b"(none)\n") for deb, found in files.items()}
    versions = {deb.name: version_of(path) for deb, path in paths.items()}
    got = digest(files[TUXPAINT] | files[MATE])
    report_versions(versions, got)
    info = {"recipe": RECIPE, "seed": seed, "packages": versions, "pictures": got}
    for split, pictures in split_pictures(files[TUXPAINT], files[MATE]).items():
        write_split(folder, split, pictures, info)
    (folder / "LICENSE").write_bytes(licence(copyrights))


def report_versions(versions: dict[str, str], got: str) -> None:
    """Say so if the archive has other versions, and whether their pictures differ."""
    what = "the same pictures" if got == PICTURES else "other pictures, so results are not comparable"
    for deb in (TUXPAINT, MATE):
        if versions[deb.name] != deb.version:
            said = f"expected version {deb.version}, got {versions[deb.name]} with {what}"
            print(f"warning: {deb.name}: {said}.", file=sys.stderr)


def read_split(root: Path, split: str) -> dict[str, Any]:
    """The COCO file of one split."""
    return json.loads((root / "annotations" / f"{split}.json").read_text())


def is_complete(root: Path, seed: int) -> bool:
    """Whether ``root`` holds this recipe's files of that seed, each image and map included."""
    try:
        splits = {split: read_split(root, split) for split in NUM_IMAGES}
    except (OSError, json.JSONDecodeError):
        return False
    return (root / "annotations" / "val_hidden.json").is_file() and all(
        (coco["info"]["recipe"], coco["info"]["seed"]) == (RECIPE, seed)
        and all((root / split / image["file_name"]).is_file() for image in coco["images"])
        and all((root / "semantic" / split / f"{image['id']:04d}.png").is_file() for image in coco["images"])
        for split, coco in splits.items()
    )


def prepare(root: Path = ROOT, cache: Path = CACHE, seed: int = 0) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the packages cannot be fetched, or they are not what was expected.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(root):
        if not is_complete(root, seed):
            build(root, {deb: fetch(deb, cache) for deb in (TUXPAINT, MATE)}, seed)


def build(root: Path, paths: dict[Deb, Path], seed: int) -> None:
    """Write the data set out of the packages at ``paths`` beside ``root``, then put it in its place."""
    folder = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-new-"))
    try:
        write(paths, folder, seed)
        folder.chmod(0o755)  # mkdtemp makes folders that only their owner may read
        replace_folder(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary(root: Path) -> str:
    """A line a split and a class: different cut-outs, and instances of them."""
    lines = []
    for split in NUM_IMAGES:
        coco = read_split(root, split)
        photos = {image["background"] for image in coco["images"]}
        lines.append(
            f"{split:5}  {len(coco['images'])} images of {len(photos)} backgrounds, "
            f"{len(coco['annotations'])} instances"
        )
        instances = Counter(one["category_id"] for one in coco["annotations"])
        stamps = Counter(
            number for number, _ in {(a["category_id"], a["stamp"]) for a in coco["annotations"]}
        )
        for one in coco["categories"]:
            lines.append(
                f"         {one['name']:8} {stamps[one['id']]:3} stamps  {instances[one['id']]:4} instances"
            )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder to write (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of packages (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other scenes of the same pictures (default: 0)")
    args = parser.parse_args(argv)
    try:
        prepare(args.root, args.cache, args.seed)
    except DataError as error:
        sys.exit(f"error: {error}.")
    print(f"{args.root}\n{summary(args.root)}")
