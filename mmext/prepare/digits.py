"""Handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998), as scikit-learn ships them.

Source   the wheel of scikit-learn 1.7.2 (BSD), fetched with pip and checked, opened and never
         installed
Files    digits.csv.gz: 1,797 lines of 64 numbers from 0 to 16 and a label   LICENSE

Run ``mmext data digits``; a second run finds the result and needs no network.
"""

import zipfile
from pathlib import Path

from mmext.prepare import command
from mmext.prepare.camera_motion_pictures import SKLEARN
from mmext.prepare.packages import CACHE, fetch, has_files, make_folder

ROOT = Path("data/digits")
FILES = {
    "digits.csv.gz": "sklearn/datasets/data/digits.csv.gz",
    "LICENSE": "scikit_learn-1.7.2.dist-info/licenses/COPYING",
}


def write(wheel: Path, folder: Path) -> None:
    """Write the wheel's files into the empty ``folder``."""
    with zipfile.ZipFile(wheel) as files:
        for name, path in FILES.items():
            (folder / name).write_bytes(files.read(path))


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the wheel cannot be fetched, or it is not what was expected.
    """
    make_folder(root, has_files(FILES), lambda folder: write(fetch(SKLEARN, cache), folder))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}: 1,797 pictures of digits", argv)
