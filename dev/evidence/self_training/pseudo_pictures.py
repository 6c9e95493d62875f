"""A picture of pseudo labels beside the truth: above people's boxes, below a teacher's.

    python -m dev.evidence.self_training.pseudo_pictures work_dirs/pseudo/pseudo.json

The file is what ``mmext pseudo-label`` wrote of ``data/trees/val``, tiles that the teacher has not
seen. White is what it believes, yellow what lies between ``--score-low`` and its threshold, which
training is to ignore.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dev.evidence.data_pictures import grid
from dev.evidence.results import RESULTS
from dev.evidence.study import ROOT

DATA = ROOT / "data/trees"
COLUMNS, SIDE = 4, 320
COLOURS = ("white", "yellow")
"""Of boxes, and of crowds."""


def drawn(coco: Mapping[str, Any], name: str) -> Image.Image:
    """A tile with a file's boxes."""
    tile = Image.open(DATA / "val" / name).convert("RGB")
    pen = ImageDraw.Draw(tile)
    image = next(one["id"] for one in coco["images"] if one["file_name"] == name)
    # Believed ones last, above the others.
    for one in sorted(coco["annotations"], key=lambda one: -one.get("iscrowd", 0)):
        if one["image_id"] == image:
            left, top, width, height = one["bbox"]
            colour = COLOURS[one.get("iscrowd", 0)]
            pen.rectangle((left, top, left + width, top + height), outline=colour, width=2)
    tile.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return tile


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pseudo", type=Path)
    args = parser.parse_args()
    files = [json.loads(one.read_text()) for one in (DATA / "annotations/val.json", args.pseudo)]
    names = sorted(one["file_name"] for one in files[1]["images"])
    chosen = [names[place] for place in np.linspace(0, len(names) - 1, COLUMNS).astype(int)]
    picture = grid([[drawn(coco, name) for name in chosen] for coco in files])
    picture.save(ROOT / RESULTS / "pseudo_labels.jpg", quality=72)


if __name__ == "__main__":
    main()
