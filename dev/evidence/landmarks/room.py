"""Is there room for retraining on pseudo-labels? Labels alone against true labels of all frames.

    python -m dev.evidence.landmarks.room                 what has not run yet; one file a training
    python -m dev.evidence.landmarks.room --seeds 0       this pair alone
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

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dev.evidence import pairs, provenance
from dev.evidence.landmarks.mouse import FRAMES, Frames, frames, model, quiet, train_student
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from dev.evidence.study import StudyError
from mmext.landmarks.ts3.corruptions import mean_error
from mmext.landmarks.ts3.model import TS3, fused

SEEDS = tuple(range(4))
LABELLED, TESTED, SIDE, ITERS, SHARE = 20, 20, 128, 3000, 0.25
SUPERVISED, ORACLE = "supervised", "oracle"
GATE, NEAR = 3.0, 0.05
"""Standard errors that the gain must reach, and what counts as a hit, in sides."""
FILES = ROOT / "work_dirs/evidence/landmarks_room"
PUBLISHED = ROOT / RESULTS / "landmarks_room.json"


def split(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labelled, tested and hidden frames of a seed."""
    order = np.random.default_rng([seed, 11]).permutation(FRAMES)
    return order[:LABELLED], order[LABELLED : LABELLED + TESTED], order[LABELLED + TESTED :]


def run(arm: str, seed: int, *, short: int = 1) -> dict[str, Any]:
    """One training of both students, and its test."""
    began = time.process_time()
    known, tested, hidden = (frames(SIDE)[rows] for rows in split(seed))
    ts3 = model(SIDE, seed)
    for number in (0, 1):
        more = hidden if arm == ORACLE else None
        train_student(ts3, number, known, ITERS // short, seed, more, SHARE)
    return dict(
        arm=arm,
        seed=seed,
        short=short,
        statement=statement(),
        **test(ts3, tested),
        seconds=round(time.process_time() - began, 1),
    )


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


def judged(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """The gain of the oracle in points of error, and whether other arms may run.

    Args:
        runs: by arm and seed.
    """
    control, treated = (
        {seed: one["error"] for seed, one in runs[arm].items()} for arm in (SUPERVISED, ORACLE)
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
        return "Stated and not run yet: `python -m dev.evidence.landmarks.room`."
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


def files(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What has run, by arm and seed.

    Raises:
        StudyError: a training lacks, or was run as another statement says.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {SUPERVISED: {}, ORACLE: {}}
    for arm, seeds in found.items():
        for seed in SEEDS:
            one = _read(folder / f"{arm}_{seed}.json")
            if one.get("statement") != statement() or one.get("short") != 1:
                raise StudyError(
                    f"{folder / f'{arm}_{seed}.json'}: expected a run of this statement, got "
                    f"{'another' if one else 'none'}; run python -m dev.evidence.landmarks.room"
                )
            seeds[str(seed)] = one
    return found


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}


def publish() -> None:
    """Join the files of all trainings."""
    runs = files(FILES)
    found = dict(
        command="python -m dev.evidence.landmarks.room",
        commit=provenance.committed(),
        statement=statement(),
        runs_by_arm={
            arm: {seed: dict(error=one["error"], near=one["near"]) for seed, one in seeds.items()}
            for arm, seeds in runs.items()
        },
        **judged(runs),
        seconds=round(sum(one["seconds"] for seeds in runs.values() for one in seeds.values())),
        machine=provenance.read_machine(),
    )
    write_json(PUBLISHED, found)
    print(known(found))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--short", type=int, default=1, help="divisor of all iterations: a trial")
    parser.add_argument("--publish", action="store_true", help="join the files of all trainings")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    quiet()
    try:
        if args.publish:
            publish()
            return
        for seed in args.seeds:
            for arm in (SUPERVISED, ORACLE):
                file = FILES / f"{arm}_{seed}.json"
                done = _read(file)
                if done.get("statement") == statement() and done.get("short") == args.short:
                    continue
                found = run(arm, seed, short=args.short)
                file.parent.mkdir(parents=True, exist_ok=True)
                write_json(file, found)
                print(
                    f"seed {seed}, {arm}: error {found['error']:.2f} %, {found['near']:.0f} % near,"
                    f" {found['seconds']:.0f} s",
                    flush=True,
                )
    except StudyError as error:
        sys.exit(f"error: {error}.")


if __name__ == "__main__":
    main()
