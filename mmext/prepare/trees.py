"""Tree crowns from the air as COCO files: real photographs with boxes that people drew.

Source   the package deepforest 2.1.0 (MIT), fetched with pip and checked; its licence goes with the
         data
Splits   train  the large Yellowstone photograph, 2299 x 2472, 574 boxes
         val    the other Yellowstone photograph, 1249 x 1035, 279 boxes
         test   two other sites, OSBS (Florida) and SOAP (California), 400 x 400 each, 61 and 37
                boxes
Tiles    train  8 x 8 tiles of 400 x 400 that overlap by about a third: every crown is whole in one
                at least
         val    3 x 3 tiles of about 416 x 345 that do not overlap
         test   the photographs as they are
Cut      A crown that a tile's border cuts is clipped to the tile. In a training tile it is a ground
         truth if at least half of it is visible. In a validation tile it is one if no other tile
         shows more of it, so each of the 279 counts exactly once. The other pieces are
         ``iscrowd=1``: evaluation neither rewards nor punishes what is found there.
Numbers  ground truths / pieces marked iscrowd: train 1004 / 217, val 279 / 50, test 98 / 0

Run ``mmext data trees``; a second run finds the result and needs no network.
"""

import hashlib
import itertools
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from mmext.prepare import command
from mmext.prepare.packages import CACHE, DataError, Wheel, fetch, make_folder

DEEPFOREST = Wheel(
    "deepforest", "2.1.0", "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
)
LICENCE = "deepforest-2.1.0.dist-info/licenses/LICENSE"
ROOT = Path("data/trees")
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
"""Names this very script, so that folders written by an older one are written anew."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, right and bottom exclusive; for trees and tiles alike."""


@dataclass(frozen=True)
class Photo:
    """One annotated photograph of the package and the grid of tiles that it is cut into."""

    stem: str
    num_boxes: int
    columns: int = 1
    rows: int = 1
    # Side of overlapping tiles in pixels; None: the grid divides the photo.
    overlap_tile: int | None = None


SPLITS = {
    "train": [
        Photo("2019_YELL_2_528000_4978000_image_crop2", 574, columns=8, rows=8, overlap_tile=400)
    ],
    "val": [Photo("2019_YELL_2_541000_4977000_image_crop", 279, columns=3, rows=3)],
    "test": [Photo("OSBS_029", 61), Photo("SOAP_061", 37)],
}


def read_boxes(xml: bytes, photo: Photo) -> list[Box]:
    """Read the boxes of one Pascal VOC file; dead trees and living ones are both trees.

    Raises:
        DataError: the number of boxes is not the photo's, or a box is empty or leaves the photo.
    """
    root = ElementTree.fromstring(xml)
    width, height = (int(root.findtext(f"size/{key}", "0")) for key in ("width", "height"))
    boxes = []
    for drawn in root.iter("bndbox"):
        left, top, right, bottom = (
            int(drawn.findtext(key, "0")) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        # The files count pixels from 1 and include the last one: boxes run from 1 to the width
        # itself.
        boxes.append((left - 1, top - 1, right, bottom))
    if len(boxes) != photo.num_boxes:
        raise DataError(
            f"{photo.stem}.xml: expected {photo.num_boxes} boxes, got {len(boxes)}; "
            f"is this {DEEPFOREST.file_name}? Delete it from the cache and run this command again"
        )
    for left, top, right, bottom in boxes:
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise DataError(
                f"{photo.stem}.xml: expected boxes inside {width} x {height} pixels, got "
                f"{(left, top, right, bottom)}; delete the wheel from the cache and run this again"
            )
    return boxes


def cut(length: int, parts: int, tile: int | None) -> list[tuple[int, int]]:
    """Intervals that cover ``length`` pixels evenly: of size ``tile`` with overlap, or without any.

    Example:
        >>> cut(10, 3, 4), cut(10, 3, None)
        ([(0, 4), (3, 7), (6, 10)], [(0, 3), (3, 7), (7, 10)])
    """
    if tile is None:
        edges = [round(length * part / parts) for part in range(parts + 1)]
        return list(itertools.pairwise(edges))
    starts = [round((length - tile) * part / (parts - 1)) for part in range(parts)]
    return [(start, start + tile) for start in starts]


def clip(box: Box, tile: Box) -> Box | None:
    """The part of ``box`` inside ``tile``, in the tile's pixels; ``None`` if there is nothing."""
    left, top = max(box[0], tile[0]), max(box[1], tile[1])
    right, bottom = min(box[2], tile[2]), min(box[3], tile[3])
    if left >= right or top >= bottom:
        return None
    return left - tile[0], top - tile[1], right - tile[0], bottom - tile[1]


def area(box: Box | None) -> int:
    """Area in pixels; nothing has area 0."""
    return 0 if box is None else (box[2] - box[0]) * (box[3] - box[1])


def is_truth(box: Box, tile: Box, tiles: list[Box], overlapping: bool) -> bool:
    """Whether ``tile`` shows enough of ``box`` for a ground truth (see the card: Cut)."""
    visible = area(clip(box, tile))
    if overlapping:
        return 2 * visible >= area(box)
    best = max(tiles, key=lambda other: area(clip(box, other)))  # the first one of equals
    return tile == best


def tiles_of(photo: Photo, size: tuple[int, int]) -> list[Box]:
    """The photo's tiles, row by row, as boxes in its pixels."""
    columns = cut(size[0], photo.columns, photo.overlap_tile)
    rows = cut(size[1], photo.rows, photo.overlap_tile)
    return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def add_photo(coco: dict[str, Any], photo: Photo, wheel: zipfile.ZipFile, folder: Path) -> None:
    """Write the photo's tiles into ``folder`` and add them and their boxes to ``coco``."""
    boxes = read_boxes(wheel.read(f"deepforest/data/{photo.stem}.xml"), photo)
    with wheel.open(f"deepforest/data/{photo.stem}.png") as file:
        pixels = Image.open(file).convert("RGB")
    tiles = tiles_of(photo, pixels.size)
    for tile in tiles:
        name = (
            f"{photo.stem}.png"
            if len(tiles) == 1
            else f"{photo.stem}_x{tile[0]:04d}_y{tile[1]:04d}.png"
        )
        pixels.crop(tile).save(folder / name, compress_level=1)
        image_id = len(coco["images"]) + 1
        width, height = tile[2] - tile[0], tile[3] - tile[1]
        coco["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
        for box in boxes:
            if (part := clip(box, tile)) is None:
                continue
            crowd = not is_truth(box, tile, tiles, overlapping=photo.overlap_tile is not None)
            coco["annotations"].append(
                annotation(len(coco["annotations"]) + 1, image_id, part, crowd)
            )


def annotation(number: int, image_id: int, box: Box, crowd: bool) -> dict[str, Any]:
    """One box in COCO's words."""
    left, top, right, bottom = box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": area(box),
        "iscrowd": int(crowd),
    }


def write(wheel: zipfile.ZipFile, folder: Path) -> None:
    """Write all splits, the licence and the recipe into the empty ``folder``."""
    (folder / "annotations").mkdir()
    for split, photos in SPLITS.items():
        (folder / split).mkdir()
        coco: dict[str, Any] = {
            "info": {
                "description": f"tree crowns of {DEEPFOREST.file_name}, {split}",
                "recipe": RECIPE,
            },
            "licenses": [{"id": 1, "name": "MIT, see LICENSE"}],
            "categories": [{"id": 1, "name": "tree"}],
            "images": [],
            "annotations": [],
        }
        for photo in photos:
            add_photo(coco, photo, wheel, folder / split)
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    (folder / "LICENSE").write_bytes(wheel.read(LICENCE))


def read_split(root: Path, split: str) -> dict[str, Any]:
    """The COCO file of one split."""
    return json.loads((root / "annotations" / f"{split}.json").read_text())


def is_complete(root: Path) -> bool:
    """Whether ``root`` holds this recipe's files, each image included."""
    try:
        splits = {split: read_split(root, split) for split in SPLITS}
    except (OSError, json.JSONDecodeError):
        return False
    return all(
        coco["info"]["recipe"] == RECIPE
        and all((root / split / image["file_name"]).is_file() for image in coco["images"])
        for split, coco in splits.items()
    )


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the package cannot be fetched, or it is not what was expected.
    """

    def write_all(folder: Path) -> None:
        with zipfile.ZipFile(fetch(DEEPFOREST, cache)) as wheel:
            write(wheel, folder)

    make_folder(root, is_complete, write_all)


def summary(root: Path) -> str:
    """One line a split: tiles, ground truths and ignored pieces."""
    lines = []
    for split in SPLITS:
        coco = read_split(root, split)
        crowd = sum(box["iscrowd"] for box in coco["annotations"])
        truths = len(coco["annotations"]) - crowd
        images = len(coco["images"])
        lines.append(
            f"{split:5}  {images:3} images  {truths:4} boxes  {crowd:3} cut pieces, ignored"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}\n{summary(root)}", argv)
