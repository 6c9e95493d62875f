"""What came out of the occlusions: a sentence, a table and two pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from dev.evidence.occlusion import scenes
from dev.evidence.occlusion.scenes import Frame
from dev.evidence.occlusion.trackers import OURS, WITHOUT
from dev.evidence.tables import interval, markdown

LIMITS = (
    "anything about people, long occlusions or detectors that err: these are cut-outs with exact "
    "visibility, two at a time, detected in every frame in which they can be seen"
)
HEADS = (
    "tracker",
    "switches",
    "that cross",
    "that turn",
    "seen clearly",
    "unnamed",
    "IDF1",
    "switches against re-ID without gates, %",
)
COLOURS = ("#ffb000", "#2ee6ff", "#ff4fd8", "#8cff4f", "#ff6a3d")
KIND_COLOURS = ("#4575b4", "#d73027")


def percent(row: Mapping[str, float]) -> str:
    """A change in percent with its interval."""
    return interval(row, digits=0)


def table(found: Mapping[str, Any]) -> str:
    """Every arm; what decides is in bold."""
    against = {row["treated"]: row for row in found["pairs"] if row["control"] == WITHOUT}
    rows = []
    for name, one in found["arms"].items():
        bold = "**" if name == OURS else ""
        change = percent(against[name]["switches"]) if name in against else "-"
        rows.append(
            [
                f"{bold}{name}{bold}",
                *(str(one[key]) for key in ("switches", *scenes.KINDS, "clear")),
                f"{100 * one['unnamed'] / one['true']:.1f} %",
                f"{one['IDF1']:.1f}",
                f"{bold}{change}{bold}",
            ]
        )
    return markdown(HEADS, rows)


def known(found: Mapping[str, Any] | None) -> str:
    """What decides, in a sentence, and the table; what is stated where nothing has run."""
    if found is None:
        return (
            "Stated and not run yet: identity switches with all gates against re-ID without gates, "
            "1,600 scenes of two cut-outs of one class that hide each other (`make "
            f"evidence-occlusion`). It will not show {LIMITS}."
        )
    first, *rest = found["pairs"]
    others = "; ".join(
        f"against {row['control']} {percent(row['switches'])}"
        for row in rest
        if row["treated"] == OURS
    )
    low, high = first["switches"]["low"], first["switches"]["high"]
    sure = ", which may be none" if low <= 0 <= high else ""
    return (
        f"In {found['statement']['scenes']:,} scenes of two cut-outs of one class that hide each "
        f"other, all gates change the switches of re-ID by {percent(first['switches'])} %{sure}, "
        f"IDF1 by {interval(first['IDF1'], digits=2)} points; among detections that are seen "
        f"clearly the switches by {percent(first['clear'])} %. {others[0].upper()}{others[1:]}. "
        f"Switches are sums over all scenes, intervals 95 %, bootstrap over scenes. It does not "
        f"show {LIMITS}.\n\n{table(found)}"
    )


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Bars of switches a hundred scenes, by kind of scene; PNG."""
    arms = found["arms"]
    figure, axes = plt.subplots(figsize=(7, 3.2), dpi=110)
    figure.set_layout_engine("constrained")
    start = np.zeros(len(arms))
    for kind, colour in zip(scenes.KINDS, KIND_COLOURS, strict=True):
        per_hundred = np.array([one[kind] for one in arms.values()]) * 100
        per_hundred = per_hundred / found["statement"]["scenes"]
        axes.barh(list(arms), per_hundred, left=start, color=colour, label=f"scenes that {kind}")
        start = start + per_hundred
    axes.invert_yaxis()
    axes.set_xlabel("identity switches in 100 scenes")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


def strip(frames: list[Frame], told: list[np.ndarray], every: int = 6) -> Image.Image:
    """Some frames in a row, each object in its box, in the colour of its identity."""
    tiles = []
    for frame, ids in list(zip(frames, told, strict=True))[::every]:
        tile = Image.fromarray(frame.picture)
        pen = ImageDraw.Draw(tile)
        for box, points, visible, one in zip(
            frame.boxes, frame.points, frame.visible, ids.tolist(), strict=True
        ):
            colour = COLOURS[one % len(COLOURS)] if one >= 0 else "#ffffff"
            pen.rectangle(tuple(box), outline=colour, width=2)
            for (x, y), seen in zip(points, visible, strict=True):
                pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=colour if seen else None)
        tiles.append(np.asarray(tile)[56:-56])
    return Image.fromarray(np.concatenate(tiles, 1))


def two_strips(frames: list[Frame], told: list[list[np.ndarray]], path: Path) -> None:
    """A scene as two trackers see it, one above the other; JPEG."""
    both = [np.asarray(strip(frames, one)) for one in told]
    white = np.full((4, both[0].shape[1], 3), 255, np.uint8)
    whole = Image.fromarray(np.concatenate([both[0], white, both[1]]))
    whole.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
    whole.save(path, quality=80)
