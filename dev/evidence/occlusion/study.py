"""Do the gates of the occlusion-aware tracker save switches? The run, in chunks that are kept."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dev.evidence import provenance
from dev.evidence.occlusion import scenes
from dev.evidence.occlusion.features import Appearance
from dev.evidence.occlusion.trackers import (
    ARMS,
    COUNTED,
    JOINT,
    MEMORY,
    OURS,
    VELOCITY,
    WITHOUT,
    R,
    compare,
)
from dev.evidence.results import read, write_json
from dev.evidence.study import ROOT
from mmext.prepare.stamps_pictures import Pictures

SEED, SCENES, CHUNK = 0, 1600, 50
DEVELOPMENT, DEVELOPED, CENTRED_ON = 100, 160, 40
"""Seed and number of the scenes that designs are chosen on; how many give the features' mean."""
RESAMPLES = 4000
DECIDES = (OURS, WITHOUT)
COMPARED = (
    *((OURS, other) for other in (WITHOUT, MEMORY, VELOCITY, JOINT)),
    *((f"{gate} only", WITHOUT) for gate in ("reading", "gallery", "birth")),
)
CHUNKS = ROOT / "work_dirs/evidence/occlusion"
Counts = dict[str, np.ndarray]
"""Of each arm, (scenes, numbers)."""


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    return dict(
        seed=SEED,
        scenes=SCENES,
        kinds=scenes.KINDS,
        frames=scenes.FRAMES,
        pictures="of train and test; designs were chosen with those of dev",
        r=R,
        r_chosen=(
            "on 160 development scenes (seed 100, other cut-outs and photographs), with .25, .3, "
            ".4 and .5: all gates made 1, 1, 4 and 10 switches, no gates 28, 28, 29 and 29"
        ),
        arms=ARMS,
        decides=DECIDES,
        measure="switches over all scenes; reduction with a 95 % bootstrap interval over scenes",
        compared=COMPARED,
        resamples=RESAMPLES,
    )


def centred(net: Appearance, pictures: Pictures) -> None:
    """Take the mean of the development scenes' features for the centre."""
    net.centre = np.zeros_like(net.centre)
    found = [
        feature
        for number in range(CENTRED_ON)
        for feature in net.of(list(scenes.scene(pictures, DEVELOPMENT, number)))
    ]
    net.centre = np.concatenate(found).mean(0)


def play(
    net: Appearance,
    pictures: Pictures,
    seed: int,
    numbers: Iterable[int],
    arms: Mapping[str, Mapping[str, Any]] = ARMS,
) -> dict[str, list[list[int]]]:
    """Counts of some scenes, of each arm. What is seen is computed once for all arms."""
    found: dict[str, list[list[int]]] = {name: [] for name in arms}
    for number in numbers:
        frames = list(scenes.scene(pictures, seed, number))
        for name, one in compare(frames, net.of(frames), arms).items():
            found[name].append(one)
    return found


def chunks(
    folder: Path, net: Appearance, pictures: Pictures, number: int = SCENES
) -> Iterator[dict[str, list[list[int]]]]:
    """The counts of all scenes, chunk by chunk; those that an earlier run left are taken over."""
    fixed = json.dumps(statement(), sort_keys=True) + provenance.code_hash(
        f"dev.evidence.occlusion.{name}" for name in ("scenes", "features", "trackers", "study")
    )
    key = hashlib.sha256(fixed.encode()).hexdigest()
    for first in range(0, number, CHUNK):
        path = folder / f"{first:05d}.json"
        if not path.exists() or (kept := read(path))["key"] != key:
            began = time.process_time()
            numbers = range(first, min(first + CHUNK, number))
            kept = dict(key=key, found=play(net, pictures, SEED, numbers))
            kept["seconds"] = time.process_time() - began
            write_json(path, kept)
        print(f"{first + CHUNK} scenes", flush=True)
        yield kept


def summarise(counts: Counts) -> dict[str, Any]:
    """Sums of each arm, and the comparisons."""
    arms = {}
    for name, one in counts.items():
        sums = dict(zip(COUNTED, one.sum(0).tolist(), strict=True))
        kinds = {kind: int(one[place::2, 0].sum()) for place, kind in enumerate(scenes.KINDS)}
        arms[name] = dict(
            **sums,
            **kinds,
            IDF1=200 * sums["idtp"] / (sums["true"] + sums["found"]),
            per_scene=" ".join(map(str, one[:, 0].tolist())),
        )
    rows = [
        dict(treated=treated, control=control, **reduction(counts[treated], counts[control]))
        for treated, control in COMPARED
    ]
    return dict(arms=arms, pairs=rows)


def reduction(treated: np.ndarray, control: np.ndarray) -> dict[str, Any]:
    """Change of switches in percent and of IDF1 in points, each with its interval over scenes."""
    drawn = np.random.default_rng(0).multinomial(
        len(treated), np.full(len(treated), 1 / len(treated)), RESAMPLES
    )
    weights = np.concatenate([np.ones((1, len(treated)), int), drawn])  # the scenes as they are
    ours, theirs = weights @ treated, weights @ control
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = 100 * (ours / theirs - 1)
    idf1 = [200 * one[:, 3] / (one[:, 4] + one[:, 5]) for one in (ours, theirs)]
    gains = idf1[0] - idf1[1]
    found = {}
    for name, one in (("switches", changes[:, 0]), ("clear", changes[:, 1]), ("IDF1", gains)):
        # without a switch in the resampled control there is no ratio
        known = one[1:][np.isfinite(one[1:])]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        found[name] = dict(mean=float(one[0]), low=float(low), high=float(high))
    return found


def joined(parts: Iterable[Mapping[str, Any]]) -> Counts:
    """Counts of all chunks."""
    found = [one["found"] for one in parts]
    return {name: np.concatenate([np.array(one[name]) for one in found]) for name in found[0]}
