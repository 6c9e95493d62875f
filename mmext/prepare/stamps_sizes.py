"""Cut-outs of all sizes on photographs: boxes of 24 to 200 pixels, for questions about scales.

Source    the cut-outs and photographs of ``mmext data stamps``
Images    320 x 320, 1 to 5 objects each, 800 for train, 100 for dev (choosing) and 200 for test
          (the one look at the end); all objects are of the category "object"
Sizes     a cut-out's longer side is drawn evenly from 24 to 200 pixels, but is at most twice the
          cut-out's own; an object shows 40 pixels or more. COCO's bounds of small, medium and large
          objects, areas of 32 x 32 and 96 x 96 pixels, divide them in three
Splits    as ``mmext data stamps --one-class`` divides cut-outs and photographs: none is in two
Files     {train,dev,test}/0001.jpg ...  annotations/{train,dev,test}.json, as those of the
          cut-outs  semantic/{train,dev,test}/0001.png ...  LICENSE
Seed      the same seed gives the same bytes; another one gives other scenes of the same pictures,
          and no picture changes its split

Scenes are no natural ones: results on them compare methods.

Run ``mmext data stamps_sizes``; a second run finds the result and needs no network.
"""

import hashlib
from pathlib import Path

from mmext.prepare import command, stamps
from mmext.prepare.packages import CACHE
from mmext.prepare.stamps import Edition, read_split
from mmext.prepare.stamps_compose import Layout
from mmext.prepare.stamps_pictures import three_ways

ROOT = Path("data/stamps_sizes")
RECIPE = hashlib.sha256(stamps.RECIPE.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
"""Names this script and those of the cut-outs."""

SIZES = Edition(
    ROOT,
    {"train": 800, "dev": 100, "test": 200},
    three_ways,
    Layout(side=320, longest=(24, 200), min_pixels=40),
    ("object",),
    (),
    RECIPE,
)
BOUNDS = (32**2, 96**2)
"""COCO's: below the first an object is small, beyond the second it is large, by visible pixels."""


def prepare(root: Path = ROOT, cache: Path = CACHE, seed: int = 0) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the packages cannot be fetched, or they are not what was expected.
    """
    stamps.prepare(root, cache, seed, SIZES)


def summary(root: Path) -> str:
    """A line a split: images, and how many objects are small, medium and large."""
    lines = [str(root)]
    for split in SIZES.num_images:
        coco = read_split(root, split)
        areas = [one["area"] for one in coco["annotations"]]
        small = sum(area < BOUNDS[0] for area in areas)
        large = sum(area > BOUNDS[1] for area in areas)
        lines.append(
            f"{split:5}  {len(coco['images'])} images, {len(areas)} objects: {small} small, "
            f"{len(areas) - small - large} medium, {large} large"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    command.run(__doc__, ROOT, prepare, summary, argv, seed="other scenes of the same pictures")
