"""Fashion-MNIST (Xiao et al. 2017, https://arxiv.org/abs/1708.07747): ten kinds of clothes.

Source   the Debian package dataset-fashion-mnist (Expat), fetched with apt-get without root
Files    {train,t10k}-images-idx3-ubyte.gz  {train,t10k}-labels-idx1-ubyte.gz  LICENSE
         60,000 + 10,000 grey pictures of 28 x 28, 6,000 + 1,000 of each class

Run ``mmext data fashion_mnist``; a second run finds the result and needs no network.
"""

from pathlib import Path

from mmext.prepare import command
from mmext.prepare.debian import Deb, fetch, read_files
from mmext.prepare.packages import CACHE, DataError, has_files, make_folder
from mmext.prepare.stamps_packages import copyright_file

ROOT = Path("data/fashion_mnist")
PACKAGE = Deb(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)
FOLDER = "usr/share/datasets/fashion-mnist/"
SIZES = {"train": 60_000, "t10k": 10_000}
FILES = [f"{split}-{what}-ubyte.gz" for split in SIZES for what in ("images-idx3", "labels-idx1")]


def write(package: Path, folder: Path) -> None:
    """Write the package's files into the empty ``folder``.

    Raises:
        DataError: it lacks one.
    """
    note = copyright_file(PACKAGE)
    found = read_files(package, lambda name: name.startswith(FOLDER) or name == note)
    (folder / "LICENSE").write_bytes(found.pop(note, b"(none)\n"))
    for name in FILES:
        if FOLDER + name not in found:
            raise DataError(
                f"{package}: expected {FOLDER}{name} in it, got none; put {PACKAGE.file_name} there"
            )
        (folder / name).write_bytes(found[FOLDER + name])


def prepare(root: Path = ROOT, cache: Path = CACHE) -> None:
    """Make sure that ``root`` holds the data set; see the card.

    Raises:
        DataError: the package cannot be fetched, or it is not what was expected.
    """
    complete = has_files([*FILES, "LICENSE"])
    make_folder(root, complete, lambda folder: write(fetch(PACKAGE, cache), folder))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    sizes = " and ".join(f"{one:,}" for one in SIZES.values())
    command.run(__doc__, ROOT, prepare, lambda root: f"{root}: {sizes} pictures of clothes", argv)
