"""Move a camera over a photograph so that no single frame tells how it moves.

State     of the camera in a frame: centre of a square window (x to the right, y down) and its side,
          in the photograph's pixels; the window becomes 80 x 80 pixels and is never enlarged, so no
          frame is blurred
Paths     every clip draws a rising path for each of x, y and side, and one moment of each. Its
          class says which path the camera takes, and in which direction; the others stay at their
          moment's value
Equal     so at a random moment the state has one and the same distribution for all classes. A zoom
          in is a zoom out backwards, a pan left a pan right, a tilt up a tilt down
Nuisance  flicker, the camera's shake and the sensor's noise are drawn anew in each frame, at
          strengths and a brightness drawn for each clip; none depends on the class
Letters   T frames, S pixels of a frame's side
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

T = 16
S = 80
MOVES = {
    "rest": None,
    "pan_left": ("x", -1),
    "pan_right": ("x", 1),
    "tilt_up": ("y", -1),
    "tilt_down": ("y", 1),
    "zoom_in": ("side", -1),
    "zoom_out": ("side", 1),
}
"""Each class's path and whether it is taken as it rises or backwards.

When the camera pans left, what it sees moves to the right.
"""

SMALLEST = (84.0, 110.0)
"""Range of the smallest window's side in photograph pixels."""
ZOOM = (1.25, 1.8)
"""Range of the largest window's side over the smallest one's."""
SPEED = (1.0, 3.0)
"""Range of the speed of pans and tilts in frame pixels a frame, at the middle window."""
MAX_SHAKE = 0.5
"""Frame pixels, standard deviation."""
MAX_NOISE = 8.0
"""Grey levels of 255, standard deviation."""
MAX_FLICKER = 0.04
"""Share of the brightness, standard deviation."""
BRIGHTNESS = (0.75, 1.2)
MIN_CONTRAST = 12.0
"""Standard deviation in grey levels of all that a clip may see; below it nobody sees a motion."""
DRAWS = 100

Paths = dict[str, Float[np.ndarray, " T"]]
"""By the names x, y and side."""


@dataclass(frozen=True)
class Draw:
    """What a clip is made of before its class is known."""

    paths: Paths  # each rises
    moments: dict[str, int]  # of the paths that the camera does not take


def draw(size: tuple[int, int], rng: np.random.Generator) -> Draw:
    """Draw paths that stay inside a photograph of ``size`` (width, height), shake included.

    Raises:
        ValueError: the photograph is too small.
    """
    smallest = math.exp(rng.uniform(*np.log(SMALLEST)))
    side = smallest * rng.uniform(*ZOOM) ** np.linspace(0, 1, T)
    # One speed in photograph pixels whatever the window, else x would tell the moment that the side
    # is of.
    scale = math.sqrt(side[0] * side[-1]) / S
    margin = side[-1] / 2 + 3 * MAX_SHAKE * side[-1] / S
    paths = {}
    for axis, length in zip("xy", size, strict=True):
        path = rng.uniform(*SPEED) * scale * np.arange(T)
        room = length - 2 * margin - path[-1]
        if room < 0:
            raise ValueError(
                f"expected a photograph of 300 pixels or more on each side, got {size}; leave it "
                "out"
            )
        paths[axis] = margin + rng.uniform(0, room) + path
    return Draw(
        {**paths, "side": side}, {axis: int(rng.integers(T)) for axis in ("x", "y", "side")}
    )


def seen(drawn: Draw) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all that the clip may see, whatever its class."""
    half = drawn.paths["side"][-1] / 2
    left, top = (int(drawn.paths[axis][0] - half) for axis in "xy")
    right, bottom = (int(drawn.paths[axis][-1] + half) for axis in "xy")
    return left, top, right, bottom


def draw_textured(photo: Image.Image, rng: np.random.Generator) -> Draw:
    """Draw paths over a part of the photograph in which something is to be seen.

    Raises:
        ValueError: the photograph is too small, or blank.
    """
    for _ in range(DRAWS):
        drawn = draw(photo.size, rng)
        # Over all that a clip of any class may see, so that the choice does not depend on the
        # class.
        if np.asarray(photo.crop(seen(drawn)).convert("L")).std() >= MIN_CONTRAST:
            return drawn
    raise ValueError(
        f"expected a photograph with texture, got none in {DRAWS} places; leave it out"
    )


def take(drawn: Draw, move: str) -> Paths:
    """The states of the camera in a clip of class ``move``."""
    states = {axis: np.full(T, path[drawn.moments[axis]]) for axis, path in drawn.paths.items()}
    if (chosen := MOVES[move]) is not None:
        axis, step = chosen
        states[axis] = drawn.paths[axis][::step]
    return states


def render(
    photo: Image.Image, states: Paths, rng: np.random.Generator
) -> UInt8[np.ndarray, "T S S 3"]:
    """Photograph each frame through a camera that shakes, flickers and is noisy."""
    shake, flicker, noise = (rng.uniform(0, most) for most in (MAX_SHAKE, MAX_FLICKER, MAX_NOISE))
    brightness = rng.uniform(*BRIGHTNESS)
    frames = []
    for x, y, side in zip(states["x"], states["y"], states["side"], strict=True):
        dx, dy = np.clip(shake * rng.normal(size=2), -3 * MAX_SHAKE, 3 * MAX_SHAKE) * side / S
        box = (x + dx - side / 2, y + dy - side / 2, x + dx + side / 2, y + dy + side / 2)
        frame = np.asarray(photo.resize((S, S), Image.Resampling.BILINEAR, box=box), np.float32)
        frame = frame * (brightness * (1 + flicker * rng.normal()))
        frame = frame + noise * rng.standard_normal(frame.shape, np.float32)
        frames.append(np.rint(frame.clip(0, 255)).astype(np.uint8))
    return np.stack(frames)
