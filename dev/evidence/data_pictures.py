"""Pictures of the studies' composed data, for docs/evidence: boxes and maps as the files have them.

Run ``python -m dev.evidence.data_pictures`` after ``python tools/data/stamps.py --one-class`` and
``python tools/data/context.py``. They are drawn from the development splits: nobody looks at test
images.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from dev.evidence.results import RESULTS
from dev.evidence.study import ROOT
from mmext.prepare import context, stamps

COLOURS = np.array(
    [(0, 0, 0), (55, 126, 184), (231, 41, 138), (255, 255, 0), (0, 200, 0)], np.uint8
)
"""Of the context scenes' classes; as in the palette of their config."""
GAP = 4


def grid(tiles: list[list[Image.Image]]) -> Image.Image:
    """Tiles of one size in rows, with white between them."""
    width, height = tiles[0][0].size
    whole = Image.new(
        "RGB",
        (len(tiles[0]) * (width + GAP) - GAP, len(tiles) * (height + GAP) - GAP),
        "white",
    )
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            whole.paste(tile, (column * (width + GAP), row * (height + GAP)))
    return whole


def boxes(root: Path, number: int) -> list[Image.Image]:
    """The first scenes with their boxes."""
    coco = stamps.read_split(root, "dev")
    tiles = []
    for image in coco["images"][:number]:
        tile = Image.open(root / "dev" / image["file_name"]).convert("RGB")
        pen = ImageDraw.Draw(tile)
        for one in coco["annotations"]:
            if one["image_id"] == image["id"]:
                left, top, width, height = one["bbox"]
                pen.rectangle((left, top, left + width - 1, top + height - 1), outline="white")
        tiles.append(tile)
    return tiles


def scenes(root: Path, place: str, number: int) -> tuple[list[Image.Image], list[Image.Image]]:
    """The first scenes of each key in turn, and their maps in colours."""
    found = context.read_scenes(root, place)["dev"]
    of_key = {key: [one["name"] for one in found if one["key"] == key] for key in context.KEYS}
    names = [of_key[context.KEYS[n % 2]][n // 2] for n in range(number)]
    photos = [Image.open(root / place / "dev" / f"{name}.jpg").convert("RGB") for name in names]
    maps = [Image.open(root / place / "semantic" / "dev" / f"{name}.png") for name in names]
    return photos, [Image.fromarray(coloured(np.asarray(one))) for one in maps]


def coloured(classes: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """A map of classes as a picture."""
    return COLOURS[classes]


def main() -> None:
    """Draw both pictures."""
    one_class, places = ROOT / stamps.ONE_CLASS.root, ROOT / context.ROOT
    grid([boxes(one_class, 8)]).save(ROOT / RESULTS / "one_class.jpg", quality=85)
    far, near = (scenes(places, place, 4) for place in ("far", "near"))
    picture = grid([[*far[part], *near[part]] for part in (0, 1)])
    picture.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
    picture.save(ROOT / RESULTS / "context.jpg", quality=85)
    print(
        json.dumps(
            {
                name: (ROOT / RESULTS / name).stat().st_size
                for name in ("one_class.jpg", "context.jpg")
            }
        )
    )


if __name__ == "__main__":
    main()
