"""Is there room for retraining on pseudo-labels? Labels alone against true labels of all frames.

    python -m dev.evidence.landmarks.room                 what has not run yet; one file a training
    python -m dev.evidence.landmarks.room --seeds 0       this pair alone; --arms, --device cuda
    python -m dev.evidence.landmarks.room --publish       all files into docs/evidence

Question  how much does a detector gain on the mouse from the true labels of the frames that TS3
          would label for itself? No pseudo-label can gain more
Data      the mouse: 90 frames, whole, at 128 pixels. Each seed draws 20 labelled frames, 20 to
          test on, and 50 whose labels only the oracle sees: another draw in each seed, since a
          fixed test set would make all seeds share one luck
Arms      supervised: 3,000 iterations on the labelled frames
          oracle: as many, a quarter of each batch from the 50 others with their true labels
Students  a narrow pose machine and a narrow hourglass; what is tested is the mean of their maps
Measure   mean error over visible points of the test frames, in percent of the side; beside it the
          share of points within 5 %
Pairs     of a seed: one start of the weights, one order of the labelled frames
Gate      4 pairs. Where the oracle's mean gain is below three times its standard error, retraining
          cannot show anything here: that is the result, and no other arm runs
Chosen    sizes and rates are those of the ranking study
Shows     tiny students on one recording rig
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dev.evidence import pairs, runs
from dev.evidence.landmarks.mouse import FRAMES, Frames, frames, model, quiet, train_student
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from mmext.landmarks.ts3.corruptions import mean_error
from mmext.landmarks.ts3.model import TS3, fused

SEEDS = tuple(range(4))
LABELLED, TESTED, SIDE, ITERS, SHARE = 20, 20, 128, 3000, 0.25
SUPERVISED, ORACLE = "supervised", "oracle"
GATE, NEAR = 3.0, 0.05
"""Standard errors that the gain must reach, and what counts as a hit, in sides."""
PUBLISHED = ROOT / RESULTS / "landmarks_room.json"


def split(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labelled, tested and hidden frames of a seed."""
    order = np.random.default_rng([seed, 11]).permutation(FRAMES)
    return order[:LABELLED], order[LABELLED : LABELLED + TESTED], order[LABELLED + TESTED :]


def run(arm: str, seed: int, *, short: int = 1, device: str = "cpu") -> dict[str, Any]:
    """One training of both students, and its test."""
    known, tested, hidden = (frames(SIDE).to(device)[rows] for rows in split(seed))
    more = (hidden, hidden) if arm == ORACLE else (None, None)
    return test(trained(known, more, seed, short=short), tested)


def trained(
    known: Frames, more: tuple[Frames | None, Frames | None], seed: int, *, short: int
) -> TS3:
    """Both students, from the start of a seed.

    Args:
        known: the labelled frames.
        more: what takes a share of each student's batches.
        seed: of the weights, the order and the moves.
        short: divisor of the iterations.
    """
    ts3 = model(SIDE, seed).to(known.images.device)
    for number, others in enumerate(more):
        train_student(ts3, number, known, ITERS // short, seed, others, SHARE)
    return ts3


@torch.no_grad()
def test(ts3: TS3, tested: Frames) -> dict[str, float]:
    """Mean error in percent of the side, and percent of points within 5 %."""
    first, second = (one.maps(tested.images)[-1] for one in ts3.students)
    points, _ = ts3.students[1].codec.decode(fused(first, second))
    error = mean_error(points, tested.points, tested.visible, side=SIDE)
    apart = (points - tested.points).norm(dim=-1) / SIDE
    near = apart[tested.visible > 0] <= NEAR
    return dict(error=100 * float(error.mean()), near=100 * float(near.float().mean()))


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    return dict(
        seeds=list(SEEDS),
        frames=dict(labelled=LABELLED, tested=TESTED, hidden=FRAMES - LABELLED - TESTED),
        side=SIDE,
        iterations=ITERS,
        share=SHARE,
        gate=GATE,
    )


RUNS = runs.Runs(
    module="dev.evidence.landmarks.room",
    folder=ROOT / "work_dirs/evidence/landmarks_room",
    statement=statement,
    seeds=SEEDS,
    arms=(SUPERVISED, ORACLE),
)


def judged(by_arm: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """The gain of the oracle in points of error, and whether other arms may run.

    Args:
        by_arm: what was found, by arm and seed.
    """
    control, treated = (
        {seed: one["error"] for seed, one in by_arm[arm].items()} for arm in (SUPERVISED, ORACLE)
    )
    row = pairs.summarise(pairs.differences(control, treated))  # an error that falls is a gain
    standard_error = row.deviation / math.sqrt(row.n)
    return dict(
        gain=vars(row),
        standard_error=standard_error,
        room=row.mean >= GATE * standard_error and row.mean > 0,
    )


def known(found: Mapping[str, Any] | None) -> str:
    """What came out, in a sentence."""
    if found is None:
        return f"Stated and not run yet: `{RUNS.command}`."
    gain, error = found["gain"]["mean"], found["standard_error"]
    ratio = gain / error if error else math.inf
    verdict = (
        "there is room for pseudo-labels, and their arms may run"
        if found["room"]
        else "so retraining on pseudo-labels cannot show anything at this size, and was not run"
    )
    return (
        f"True labels of all frames lower the error by {gain:.2f} points of the side, {ratio:.1f} "
        f"standard errors ({found['gain']['n']} pairs; the gate is {GATE:g}): {verdict}."
    )


def publish() -> None:
    """Join the files of all trainings."""
    joined = RUNS.joined()
    numbers = {
        arm: {seed: dict(error=one["error"], near=one["near"]) for seed, one in seeds.items()}
        for arm, seeds in joined.items()
    }
    found = runs.published(RUNS, joined, dict(runs_by_arm=numbers, **judged(joined)))
    write_json(PUBLISHED, found)
    print(known(found))


def told(found: Mapping[str, float]) -> str:
    """The numbers of a training."""
    return f"error {found['error']:.2f} %, {found['near']:.0f} % near"


if __name__ == "__main__":
    quiet()
    runs.start(RUNS, __doc__, run=run, told=told, publish=publish)
