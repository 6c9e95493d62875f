"""Which pseudo-labels help students that are trained again, and does TS3's teacher choose better?

    python -m dev.evidence.landmarks.retraining            what has not run; one file a training
    python -m dev.evidence.landmarks.retraining --seeds 4  this pair alone; --arms, --device cuda
    python -m dev.evidence.landmarks.retraining --publish  all files into docs/evidence

Question  students label 50 frames for themselves and are trained again with these labels. How much
          of what true labels would bring does each choice of labels and weights bring?
Data      the mouse, as in the room study: 90 frames, whole, at 128 pixels; each seed draws 20
          labelled frames, 20 to test on, and 50 whose labels the oracle alone sees. All arms label
          the same 50, so they differ in labels and weights alone; the video is left out
Arms      supervised        the labelled frames alone; its students give the pseudo-labels
          all pseudo-labels every label of the 50 frames, each point of weight 1
          per-point weights the same, a point with weight exp(-d / reach) x peak, d the distance
                            of the students
          hard half         the 25 frames of each student whose labels rank best by peak and
                            agreement, each point of weight 1
          TS3               the 25 frames that rank best by TS3's score: teacher, peak, agreement
          oracle            true labels of the 50 frames
Training  3,000 iterations of each student from one start in one order; each student on its own
          labels, which take a quarter of each batch. One round, not five: arms of equal length.
          The teacher has 900 iterations on the 20 labelled frames, and on labels of each half by a
          student that saw the other half for 1,200: the proportions of the ranking study
Measure   of the mean of both students' maps: mean error over visible points of the 20 test frames,
          in percent of the side; beside it the share of points within 5 %
Pairs     10 draws that the room study did not have; its own 4 opened the gate. A seed is one start
          of the weights and one order of the labelled frames for all arms
Decides   TS3 against supervised: mean paired difference with its 95 % interval. Beside it each arm
          against supervised, the choices against all labels, TS3 against the half without a teacher
Chosen    sizes, rates and shares are those of the room study, reach and score those of the package;
          nothing was chosen in view of results. Seed 100 alone has run before, shortened
Expected  little: 50 frames are a sixtieth of the paper's
Cost      60 trainings of five minutes on one core, TS3's of eight: five and a half hours
Shows     tiny students on one recording rig; nothing about faces
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dev.evidence import pairs, runs
from dev.evidence.landmarks import room
from dev.evidence.landmarks.mouse import Frames, cross_fitted, frames, model, quiet, train_teacher
from dev.evidence.landmarks.room import LABELLED, ORACLE, SHARE, SIDE, SUPERVISED
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from dev.evidence.tables import interval
from mmext.landmarks.ts3 import scores

SEEDS = tuple(range(4, 14))
HALF_ITERS, TEACHER_ITERS = 1200, 900
KEPT, REACH = 0.5, 0.03
"""Share of the frames that the choices keep, and d0 of the weights in sides."""
ALL, WEIGHTS, HALF, TS3 = "all pseudo-labels", "per-point weights", "hard half", "TS3"
ARMS = (SUPERVISED, ALL, WEIGHTS, HALF, TS3, ORACLE)
DECIDES = (TS3, SUPERVISED)
COMPARED = (
    DECIDES,
    (ALL, SUPERVISED),
    (WEIGHTS, SUPERVISED),
    (HALF, SUPERVISED),
    (ORACLE, SUPERVISED),
    (WEIGHTS, ALL),
    (HALF, ALL),
    (TS3, ALL),
    (TS3, HALF),
)
PUBLISHED = ROOT / RESULTS / "landmarks_retraining.json"

Labels = dict[str, Float[Tensor, "N 2 ..."]]
"""What both students say of the hidden frames: points (N, 2, K, 2) and peaks (N, 2, K)."""


def run(arm: str, seed: int, *, short: int = 1, device: str = "cpu") -> dict[str, Any]:
    """One training of both students, and its test.

    Raises:
        StudyError: the arm needs labels of the seed's supervised students, which are not there.
    """
    known, tested, hidden = (frames(SIDE).to(device)[rows] for rows in room.split(seed))
    if arm == SUPERVISED:
        students = room.trained(known, (None, None), seed, short=short)
        _write(labels_file(seed), students.judged(hidden.images))
        return room.test(students, tested)
    if arm == ORACLE:
        return room.test(room.trained(known, (hidden, hidden), seed, short=short), tested)
    RUNS.needed(SUPERVISED, seed, short)
    labels = {name: one.to(device) for name, one in _read(labels_file(seed)).items()}
    if arm == TS3:
        labels["quality"] = taught(known, hidden, labels["points"], seed, short)
    weights = weights_of(arm, labels)
    more = chosen(hidden, labels["points"], weights)
    students = room.trained(known, more, seed, short=short)
    error = label_error(labels["points"], weights, hidden)
    return room.test(students, tested) | dict(label_error=error)


def taught(
    known: Frames, hidden: Frames, points: Float[Tensor, "N 2 K 2"], seed: int, short: int
) -> Float[Tensor, "N 2"]:
    """What a teacher of the labelled frames says of labels of the hidden ones."""
    ts3 = model(SIDE, seed).to(known.images.device)
    guesses = cross_fitted(known, seed, HALF_ITERS // short)
    train_teacher(ts3, known, guesses, TEACHER_ITERS // short, seed)
    with torch.no_grad():
        judged = [ts3.lesson.judged(ts3.teacher, hidden.images, points[:, s]) for s in (0, 1)]
    return torch.stack(judged, 1)


def weights_of(arm: str, labels: Labels) -> Float[Tensor, "N 2 K"]:
    """The weight of each point of each student's label, 0 where a frame is not chosen.

    Args:
        arm: one with pseudo-labels.
        labels: with ``quality`` (N, 2) for TS3.
    """
    points, peaks = labels["points"], labels["peaks"]
    apart = scores.distances(points, float(SIDE))
    if arm == WEIGHTS:
        return scores.point_weights(apart, peaks, reach=REACH)
    weights = torch.ones_like(peaks)
    if arm == ALL:
        return weights
    signals = scores.signals_of(labels.get("quality", peaks.mean(-1)), apart, peaks)
    if arm == HALF:
        del signals["teacher"]
    return weights * scores.best(scores.mixed(signals), KEPT)[..., None]


def chosen(
    hidden: Frames, points: Float[Tensor, "N 2 K 2"], weights: Float[Tensor, "N 2 K"]
) -> tuple[Frames, Frames]:
    """The frames that each student is trained on, with its own labels and their weights."""

    def of(s: int) -> Frames:
        rows = np.flatnonzero(weights[:, s].sum(-1).cpu().numpy() > 0)
        return Frames(hidden.images, points[:, s], weights[:, s])[rows]

    return of(0), of(1)


def label_error(
    points: Float[Tensor, "N 2 K 2"], weights: Float[Tensor, "N 2 K"], hidden: Frames
) -> float:
    """Mean error of the labels that are trained on, each by its weight, in percent of the side."""
    counted = weights * (hidden.visible > 0)[:, None]
    apart = (points - hidden.points[:, None]).norm(dim=-1) / SIDE
    return 100 * float((apart * counted).sum() / counted.sum())


def labels_file(seed: int) -> Path:
    """Where the supervised students of a seed leave their labels."""
    return RUNS.folder / f"labels_{seed}.npz"


def _write(file: Path, labels: Mapping[str, Tensor]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, points=labels["points"].cpu().numpy(), peaks=labels["peaks"].cpu().numpy())


def _read(file: Path) -> Labels:
    with np.load(file) as found:
        return {name: torch.from_numpy(found[name]) for name in ("points", "peaks")}


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    return dict(
        seeds=list(SEEDS),
        arms=list(ARMS),
        frames=room.statement()["frames"],
        side=SIDE,
        iterations=dict(students=room.ITERS, halves=HALF_ITERS, teacher=TEACHER_ITERS),
        share=SHARE,
        kept=KEPT,
        reach=REACH,
        compared=[list(pair) for pair in COMPARED],
        decides=list(DECIDES),
    )


RUNS = runs.Runs(
    module="dev.evidence.landmarks.retraining",
    folder=ROOT / "work_dirs/evidence/landmarks_retraining",
    statement=statement,
    seeds=SEEDS,
    arms=ARMS,
)


def summary(by_arm: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Numbers of all trainings, their means, and paired gains: an error that falls is a gain."""
    kinds = ("error", "near", "label_error")
    numbers = {
        kind: {
            arm: {seed: one[kind] for seed, one in seeds.items()}
            for arm, seeds in by_arm.items()
            if all(kind in one for one in seeds.values())
        }
        for kind in kinds
    }
    means = {
        kind: {arm: float(np.mean(list(seeds.values()))) for arm, seeds in arms.items()}
        for kind, arms in numbers.items()
    }
    gains = {
        arm: {seed: -error for seed, error in seeds.items()}
        for arm, seeds in numbers["error"].items()
    }
    return dict(**numbers, means=means, pairs=pairs.compared(gains, COMPARED))


def known(found: Mapping[str, Any] | None) -> str:
    """What came out, in sentences."""
    if found is None:
        return f"Stated and not run yet: `{RUNS.command}`."
    rows = {(row["treated"], row["control"]): row for row in found["pairs"]}
    means = found["means"]["error"]
    beside = "; ".join(
        f"{arm} {interval(rows[arm, SUPERVISED], 2)}" for arm in ARMS[1:] if arm != TS3
    )
    row = rows[DECIDES]
    return (
        f"TS3, trained again on the half of its labels that its score chooses, "
        f"{_verdict(row, 'is better than', 'is not visibly better than', 'is worse than')} "
        f"training on {LABELLED} labelled frames alone, whose error is {means[SUPERVISED]:.2f} % "
        f"of the side: gain {interval(row, 2)} points, {row['wins']} of {row['n']} pairs. The "
        f"other arms' gains: {beside}. The teacher's part, against a half that peak and agreement "
        f"choose: {interval(rows[TS3, HALF], 2)}; what weights bring against all labels: "
        f"{interval(rows[WEIGHTS, ALL], 2)}, what the choice of a half brings: "
        f"{interval(rows[HALF, ALL], 2)}.{_devices(found.get('machines', []))}"
    )


def _devices(machines: Sequence[Mapping[str, Any]]) -> str:
    """A sentence where there are several."""
    names = sorted({one["device"] for one in machines})
    trained = f" Trained on {' and '.join(names)}, all arms of a pair on one."
    return trained if len(names) > 1 else ""


def _verdict(row: Mapping[str, Any], better: str, neither: str, worse: str) -> str:
    if row["low"] > 0:
        return better
    return worse if row["high"] < 0 else neither


def publish() -> None:
    """Join the files of all trainings."""
    joined = RUNS.joined()
    found = runs.published(RUNS, joined, summary(joined))
    write_json(PUBLISHED, found)
    print(known(found))


if __name__ == "__main__":
    quiet()
    runs.start(RUNS, __doc__, run=run, told=room.told, publish=publish)
