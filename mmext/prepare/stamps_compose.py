"""Paste cut-outs on a photograph, and know exactly which pixels of each remain visible.

Pasted    at 50 to 170 pixels along the longer side (half of that in a small scene) but at most
          twice the cut-out's own size, turned left to right half of the time, up to 40 % beyond the
          border
Mask      the pixels where the cut-out's opacity exceeds one half, less those of the cut-outs above
          it
Dropped   a cut-out is not pasted where it, or one below it, would show fewer than 150 pixels (40 in
          a small scene) or less than 40 % of itself; so nothing is in the picture that the
          annotations do not name
Letters   H W pixels of the image, h w of a cut-out
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from mmext.prepare.stamps_pictures import Pictures, Stamp

MAX_ENLARGED = 2.0
BEYOND_BORDER = 0.4
MIN_FRACTION = 0.4
MAX_OBJECTS = 5
POSITIONS = 10
"""Positions that are tried for a cut-out before it is given up."""
DRAWS = 50
"""Cut-outs that are drawn for an image before it is left with fewer objects than wanted."""


@dataclass(frozen=True)
class Layout:
    """Sizes of a scene in pixels: of the image, a cut-out's longer side, what it shows at least."""

    side: int
    longest: tuple[int, int]
    min_pixels: int


LARGE = Layout(side=320, longest=(50, 170), min_pixels=150)
SMALL = Layout(side=160, longest=(25, 85), min_pixels=40)


@dataclass
class Instance:
    """One pasted cut-out."""

    stamp: Stamp
    whole: int  # pixels of its mask if nothing hid or cut it
    mask: Bool[np.ndarray, "H W"]  # its visible pixels

    @property
    def hidden(self) -> float:
        """Share of it that other cut-outs cover or the image's border cuts off."""
        return 1 - int(self.mask.sum()) / self.whole

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of the smallest box around the mask."""
        columns, rows = (np.flatnonzero(self.mask.any(axis)) for axis in (0, 1))
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


@dataclass
class Scene:
    """A composed image and what it shows, from the bottom up."""

    pixels: UInt8[np.ndarray, "H W 3"]
    instances: list[Instance]
    photo: str
    min_pixels: int = LARGE.min_pixels

    def semantic(self) -> UInt8[np.ndarray, "H W"]:
        """0 for the background, else 1 + the class's index."""
        classes = np.zeros(self.pixels.shape[:2], np.uint8)
        for instance in self.instances:
            classes[instance.mask] = instance.stamp.label + 1
        return classes


def compose(pictures: Pictures, rng: np.random.Generator, layout: Layout = LARGE) -> Scene:
    """Make one scene; equal generators make equal scenes.

    Raises:
        ValueError: none of the cut-outs ever showed enough pixels.
    """
    scene = empty(pictures, rng, layout)
    wanted = rng.integers(1, MAX_OBJECTS + 1)
    for _ in range(DRAWS):
        # Each class as often as any other.
        stamps = pictures.stamps[rng.integers(len(pictures.stamps))]
        stamp = stamps[rng.integers(len(stamps))]
        cut_out = resize(stamp.pixels, rng, layout)
        for _ in range(POSITIONS):
            left, top = (position(cut_out.shape[axis], rng, layout.side) for axis in (1, 0))
            if paste(scene, stamp, cut_out, left=left, top=top):
                break
        if len(scene.instances) == wanted:
            break
    if not scene.instances:
        raise ValueError(
            f"expected cut-outs that show {layout.min_pixels} pixels or more, got none; use larger "
            "ones"
        )
    return scene


def empty(pictures: Pictures, rng: np.random.Generator, layout: Layout) -> Scene:
    """A photograph on which nothing is pasted yet."""
    photo = list(pictures.photos)[rng.integers(len(pictures.photos))]
    return Scene(
        crop_background(pictures.photos[photo], rng, layout.side), [], photo, layout.min_pixels
    )


def crop_background(
    photo: Image.Image, rng: np.random.Generator, side: int
) -> UInt8[np.ndarray, "H W 3"]:
    """A square of random place and size, never enlarged, turned left to right half of the time."""
    shorter = min(photo.size)
    seen = math.exp(rng.uniform(math.log(min(side, shorter)), math.log(shorter)))
    left, top = rng.uniform(0, photo.width - seen), rng.uniform(0, photo.height - seen)
    box = (left, top, left + seen, top + seen)
    crop = photo.resize((side, side), Image.Resampling.BILINEAR, box=box)
    pixels = np.array(crop)
    return pixels[:, ::-1].copy() if rng.random() < 0.5 else pixels


def resize(
    pixels: UInt8[np.ndarray, "H W 4"], rng: np.random.Generator, layout: Layout = LARGE
) -> UInt8[np.ndarray, "h w 4"]:
    """A cut-out at random size, turned left to right half of the time."""
    own = max(pixels.shape[:2])
    longest = min(rng.uniform(*layout.longest), MAX_ENLARGED * own)
    size = [max(1, round(length * longest / own)) for length in (pixels.shape[1], pixels.shape[0])]
    # Pillow weights the colours of RGBA by their opacity, so what lies under transparent pixels
    # stays there.
    resized = np.asarray(
        Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BICUBIC)
    )
    return resized[:, ::-1] if rng.random() < 0.5 else resized


def position(length: int, rng: np.random.Generator, side: int) -> int:
    """Where something of ``length`` pixels begins along a side of the image."""
    return int(
        rng.integers(-int(BEYOND_BORDER * length), side - int((1 - BEYOND_BORDER) * length) + 1)
    )


def paste(
    scene: Scene, stamp: Stamp, cut_out: UInt8[np.ndarray, "h w 4"], *, left: int, top: int
) -> bool:
    """Lay a cut-out over the scene unless it, or what lies below it, would show too little.

    Args:
        scene: changed in place, if at all.
        stamp: what the cut-out shows.
        cut_out: its pixels at their final size.
        left: column of its first pixel, negative if that lies beyond the border.
        top: row of its first pixel, likewise.

    Returns:
        Whether it was pasted.
    """
    height, width = scene.pixels.shape[:2]
    rows = slice(*np.clip((top, top + cut_out.shape[0]), 0, height))
    columns = slice(*np.clip((left, left + cut_out.shape[1]), 0, width))
    inside = cut_out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = inside[..., 3] > 127
    new = Instance(stamp, int((cut_out[..., 3] > 127).sum()), mask)
    below = [Instance(old.stamp, old.whole, old.mask & ~mask) for old in scene.instances]
    if not shows_enough([*below, new], scene.min_pixels):
        return False
    scene.instances[:] = [*below, new]
    opacity = inside[..., 3:].astype(np.float32) / 255
    blended = opacity * inside[..., :3] + (1 - opacity) * scene.pixels[rows, columns]
    scene.pixels[rows, columns] = np.rint(blended).astype(np.uint8)
    return True


def shows_enough(instances: Sequence[Instance], min_pixels: int) -> bool:
    """Whether every instance shows enough pixels (see the card: Dropped)."""
    return all(
        (visible := int(one.mask.sum())) >= min_pixels and visible >= MIN_FRACTION * one.whole
        for one in instances
    )
