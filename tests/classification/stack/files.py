"""Small files of the kinds that data sets read: idx, lists, folders of pictures."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    """An idx file of bytes."""
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, pictures: np.ndarray, labels: np.ndarray) -> dict:
    """Two files in a folder; returns the arguments of the data set that reads them."""
    (folder / "images.gz").write_bytes(gzip.compress(idx(pictures)))
    (folder / "labels").write_bytes(idx(labels))
    return dict(data_root=str(folder), ann_file="labels", data_prefix=dict(img_path="images.gz"))


def random_idx(folder: Path, number: int = 6, classes: int = 3, side: int = 5) -> dict:
    """The same with random pictures; labels go round."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (number, side, side), np.uint8)
    return write_idx(folder, pictures, np.arange(number) % classes)


def write_folders(root: Path, classes: dict[str, int], size: tuple[int, int] = (12, 10)) -> Path:
    """So many pictures for each class in a folder of its name; its number is their grey."""
    for number, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for one in range(count):
            Image.new("L", size, 40 * number + one).save(root / name / f"{one:02}.png")
    return root
