"""Does TS3's teacher tell good pseudo-labels from bad ones, on frames with hidden labels?

    python -m dev.evidence.landmarks.ranking --seeds 0 1 2     these seeds, one file each; resumable
    python -m dev.evidence.landmarks.ranking --publish         join the files, draw a picture

Question  is the rank correlation of a label's score with minus its true error higher with the
          teacher than with what comes for nothing: the students' peaks, their agreement, both?
Data      the mouse: 90 frames with 17 points that people marked, whole, at 64 pixels. Each seed
          draws 20 labelled frames and 20 that no arm touches; the other 50 are hidden: nothing is
          trained on their labels, which judge the scores alone
Students  a narrow pose machine and a narrow hourglass, 1,000 iterations on the labelled frames
Teacher   width 32, 300 iterations. It learns exp(-e / tau) of labels of known error of the labelled
          frames: the truth, corrupted truth, and errors of students that were trained on one half
          of them, 400 iterations, and label the other half
Arms      peak; agreement; peak and agreement; teacher; teacher, peak and agreement (TS3's score);
          beside them the same with the GAN-like objective in place of the quality
Measure   Spearman over the 50 hidden frames of score and minus error, a student; the mean of both
          students is a seed's number. An error is the mean over visible points
Pairs     all arms of a seed judge the same labels
Decides   TS3's score against peak and agreement: mean paired difference, 95 % interval, 12 seeds
Beside it teacher alone against each of both; the share of the error that is left in the better half
Chosen    before any of the 12 ran, on seed 100 alone, its hidden errors in view: iterations, rates,
          augmentation and the window of decoding, in two whole runs (TS3's score +.05, then +.04
          beyond peak and agreement) and five of the students; tau and sigma on drawn faces
Shows     tiny students on one recording rig; nothing about faces, nor whether retraining gains
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dev.evidence import pairs, runs
from dev.evidence.landmarks.mouse import (
    FRAMES,
    Frames,
    cross_fitted,
    frames,
    model,
    quiet,
    train_student,
    train_teacher,
)
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from dev.evidence.tables import interval
from mmext.landmarks.ts3 import scores
from mmext.landmarks.ts3.corruptions import mean_error
from mmext.landmarks.ts3.model import TS3

SEEDS, DEVELOPMENT = tuple(range(12)), 100
LABELLED, UNTOUCHED, SIDE = 20, 20, 64
STUDENT_ITERS, HALF_ITERS, TEACHER_ITERS = 1000, 400, 300
BOTH, SCORE, GAN = "peak and agreement", "TS3's score", "GAN-like"
DECIDES = (SCORE, BOTH)
COMPARED = (
    DECIDES,
    (SCORE, "peak"),
    (SCORE, "agreement"),
    ("teacher", "peak"),
    ("teacher", "agreement"),
    ("teacher", BOTH),
    ("teacher", f"{GAN} teacher"),
    (SCORE, f"{GAN} score"),
)
PUBLISHED = ROOT / RESULTS / "landmarks_ranking.json"


def split(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labelled and hidden frames of a seed."""
    order = np.random.default_rng([seed, 7]).permutation(FRAMES)
    return order[:LABELLED], order[LABELLED + UNTOUCHED :]


def run(seed: int, *, short: int = 1, device: str = "cpu") -> dict[str, Any]:
    """All arms of a seed.

    Args:
        seed: of the draw, the weights and the order.
        short: divisor of all iterations; above 1 the numbers mean nothing.
        device: that trains.
    """
    known, hidden = split(seed)
    data, judged = frames(SIDE).to(device)[known], frames(SIDE).to(device)[hidden]
    ts3 = model(SIDE, seed).to(device)
    for number in (0, 1):
        train_student(ts3, number, data, STUDENT_ITERS // short, seed)
    guesses = cross_fitted(data, seed, HALF_ITERS // short)
    train_teacher(ts3, data, guesses, TEACHER_ITERS // short, seed)
    gan = model(SIDE, seed, objective="lsgan").to(device)
    train_teacher(gan, data, guesses, TEACHER_ITERS // short, seed)
    return measured(ts3, gan, judged)


def measured(ts3: TS3, gan: TS3, judged: Frames) -> dict[str, Any]:
    """Correlations of all arms, and the errors of labels and of their better halves."""
    with torch.no_grad():
        label = ts3.judged(judged.images)
        points, peaks = label["points"], label["peaks"]
        lsgan = [gan.lesson.judged(gan.teacher, judged.images, points[:, s]) for s in (0, 1)]
    error = torch.stack(
        [mean_error(points[:, s], judged.points, judged.visible, side=SIDE) for s in (0, 1)], 1
    )
    apart = scores.distances(points, float(SIDE))
    signals = scores.signals_of(label["quality"], apart, peaks)
    free = {name: signals[name] for name in ("peak", "agreement")}
    other = torch.stack(lsgan, 1)
    arms = {
        **free,
        BOTH: scores.mixed(free),
        "teacher": signals["teacher"],
        SCORE: scores.mixed(signals),
        f"{GAN} teacher": other,
        f"{GAN} score": scores.mixed(signals | dict(teacher=other)),
    }
    return dict(
        spearman={name: correlation(arm, error) for name, arm in arms.items()},
        better_half={name: kept_error(arm, error) for name, arm in arms.items()},
        error=[round(100 * float(one), 3) for one in error.mean(0)],
    )


def correlation(score: Tensor, error: Tensor) -> float:
    """Mean over students of Spearman with minus the error; 0 where a score is constant."""
    both = [scores.spearman(score[:, s].contiguous(), -error[:, s].contiguous()) for s in (0, 1)]
    return float(torch.stack(both).nan_to_num(0.0).mean())


def kept_error(score: Tensor, error: Tensor) -> float:
    """Mean error of each student's better half, as a share of that of all its labels."""
    kept = scores.best(score, 0.5)
    shares = [error[kept[:, s], s].mean() / error[:, s].mean() for s in (0, 1)]
    return float(torch.stack(shares).mean())


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    return dict(
        seeds=list(SEEDS),
        frames=dict(labelled=LABELLED, hidden=FRAMES - LABELLED - UNTOUCHED),
        side=SIDE,
        iterations=dict(students=STUDENT_ITERS, halves=HALF_ITERS, teacher=TEACHER_ITERS),
        compared=[list(pair) for pair in COMPARED],
        decides=list(DECIDES),
    )


RUNS = runs.Runs(
    module="dev.evidence.landmarks.ranking",
    folder=ROOT / "work_dirs/evidence/landmarks_ranking",
    statement=statement,
    seeds=SEEDS,
)


def summary(by_seed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means and paired differences over seeds."""
    arms = {
        arm: {seed: one["spearman"][arm] for seed, one in by_seed.items()}
        for arm in next(iter(by_seed.values()))["spearman"]
    }
    rows = pairs.compared(arms, COMPARED)
    halves = {
        arm: float(np.mean([one["better_half"][arm] for one in by_seed.values()])) for arm in arms
    }
    means = {arm: float(np.mean(list(found.values()))) for arm, found in arms.items()}
    return dict(spearman=arms, means=means, better_half=halves, pairs=rows)


def known(found: Mapping[str, Any] | None) -> str:
    """What decides, in a sentence."""
    if found is None:
        return f"Stated and not run yet: `{RUNS.command}`."
    row, means = found["pairs"][0], found["means"]
    verdict = "ranks labels better than" if row["low"] > 0 else "is not visibly better than"
    verdict = "ranks labels worse than" if row["high"] < 0 else verdict
    listed = ", ".join(f"{arm} {value:.2f}" for arm, value in means.items())
    return (
        f"TS3's score {verdict} peak and agreement without the teacher: Spearman "
        f"{interval(row, 3)}, {row['wins']} of {row['n']} seeds. Means: {listed}."
    )


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw each arm's seeds and their mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    arms = found["spearman"]
    figure, axes = plt.subplots(figsize=(7.2, 3.4), dpi=110, layout="constrained")
    for place, (arm, seeds) in enumerate(arms.items()):
        values = list(seeds.values())
        colour = "#1b7837" if arm == SCORE else "#888888"
        axes.plot([place] * len(values), values, "o", color=colour, alpha=0.45, markersize=4)
        axes.plot([place - 0.25, place + 0.25], [np.mean(values)] * 2, color=colour, linewidth=2.5)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(len(arms)), [arm.replace(" and ", "\nand ") for arm in arms], fontsize=8)
    axes.set_ylabel("Spearman with minus the error")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


def publish() -> None:
    """Join the files of all seeds."""
    joined = RUNS.joined()
    by_seed = joined[""]
    errors = {seed: one["error"] for seed, one in by_seed.items()}
    found = runs.published(RUNS, joined, dict(errors=errors, **summary(by_seed)))
    write_json(PUBLISHED, found)
    draw(found, PUBLISHED.with_suffix(".png"))
    print(known(found))


def told(found: Mapping[str, Any]) -> str:
    """The correlations of a seed."""
    return ", ".join(f"{arm} {value:.2f}" for arm, value in found["spearman"].items())


if __name__ == "__main__":
    quiet()
    runs.start(RUNS, __doc__, run=run, told=told, publish=publish)
