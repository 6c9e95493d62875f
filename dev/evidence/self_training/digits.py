"""Self-training on digits: 40 nets at once, each with labels, a teacher and a student of its own.

    python -m dev.evidence.self_training.digits             as stated; writes self_training.json
    python -m dev.evidence.self_training.digits --develop   other seeds and digits, only printed

Question  does a student that also learns from a teacher's labels beat a net that learns from those
          of people alone, for as long, and for as long as teacher and student together? With what
          start, with how many labels, under how strong an augmentation?
Data      scikit-learn's digits in one random order; of the first 1,000 each seed draws the labelled
          ones, the others lose their labels; tested on the last 797
Teacher   T steps on the labels, from a start and in an order of its own
Arms      labelled only   T steps
          + total steps   2 T steps of the same
          self-trained    T steps; half of each batch are digits whose label the teacher believes
          oracle          T steps; the same half with the true label of every digit
Starts    drawn, or after 2 T steps on 10,000 clothes of Fashion-MNIST at 8 x 8, head drawn anew
Pairs     of a seed: one start, the same labelled digits, in half of each batch the same ones in the
          same order, moved in the same way
Gate      a cell whose oracle is not ahead of labelled only by two deviations can show nothing, nor
          one whose teachers are right in less than half of the test digits
Decides   self-trained against labelled only in :data:`DECIDES`; the other cells stand beside it
Shows     one small net, digits of 8 x 8, one split of them; nothing about detectors or large nets
"""

import argparse
import copy
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int

from dev.evidence import pages, pairs, provenance
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, write_json
from dev.evidence.self_training.nets import Nets, Stream, train
from dev.evidence.self_training.report import in_points, known, table
from dev.evidence.study import StudyError
from mmext.data_checks.class_files import read_digits, read_idx
from mmext.self_training.pseudo_labels import thresholds

SEEDS, DEVELOPMENT = tuple(range(40)), tuple(range(100, 112))
LABELS, STAGES = (50, 100, 200), ("none", "S1", "S4")
STEPS, BATCH, BELIEVED = 1000, 64, 0.5
ALONE, LONGER, STUDENT, ORACLE = "labelled only", "+ total steps", "self-trained", "oracle"
COMPARED = ((STUDENT, ALONE), (STUDENT, LONGER), (ORACLE, ALONE))
TEACHERS, LEAST = 1000, 50.0
"""What is added to a seed for its teacher's, and the accuracy that teachers must have."""
CLOTHES, START = 10_000, "from clothes"
CELLS = {
    **{f"{labels} labels, {stage}": (labels, stage, "") for labels in LABELS for stage in STAGES},
    **{f"100 labels, {stage}, {START}": (100, stage, START) for stage in STAGES},
}
DECIDES = "100 labels, S1"
PUBLISHED = ROOT / RESULTS / "self_training.json"

Split = tuple[Float[torch.Tensor, "N 64"], Int[torch.Tensor, " N"]]


def splits(*, develop: bool) -> tuple[Split, Split]:
    """Digits to draw from, and digits to test on; a design is chosen without the last 797."""
    pictures, labels = read_digits(str(ROOT / "data/digits/digits.csv.gz"))
    # Drawn once: in the file's order the last digits are of other people, and far harder.
    order = np.random.default_rng(0).permutation(len(labels))
    inputs = torch.as_tensor(pictures[order]).flatten(1).float() / 255
    targets = torch.as_tensor(labels[order]).long()
    end = 700 if develop else 1000
    last = 1000 if develop else len(targets)
    return (inputs[:end], targets[:end]), (inputs[end:last], targets[end:last])


@cache
def pretrained(seeds: tuple[int, ...]) -> Nets:
    """Nets after a training on clothes, with the heads that were drawn."""
    root = ROOT / "data/fashion_mnist"
    pictures, labels = (
        torch.tensor(read_idx(str(root / f"train-{name}-ubyte.gz"), what)[:CLOTHES])
        for name, what in (("images-idx3", "pictures"), ("labels-idx1", "labels"))
    )
    small = F.adaptive_avg_pool2d(pictures[:, None].float() / 255, 8).flatten(1)
    rows, targets = [np.arange(CLOTHES)] * len(seeds), labels.long().expand(len(seeds), -1)
    nets = Nets(seeds)
    halves = [Stream(rows, targets, "S1", seeds, place, BATCH // 2) for place in (2, 3)]
    train(nets, small, halves, 2 * STEPS, joint=False)
    fresh = Nets(seeds)
    nets.weights[-1], nets.biases[-1] = fresh.weights[-1], fresh.biases[-1]
    return nets


@dataclass(frozen=True)
class Task:
    """What the trainings of a cell share.

    Args:
        pool: digits to draw from.
        labelled: rows of the labelled ones, for each seed.
        stage: of augmentation.
        start: :data:`START`, or nothing for drawn weights.
        seeds: one a net.
    """

    pool: Split
    labelled: Sequence[Int[np.ndarray, " n"]]
    stage: str
    start: str
    seeds: Sequence[int]

    @property
    def true(self) -> Int[torch.Tensor, "S N"]:
        """The labels of all digits, for each seed."""
        return self.pool[1].expand(len(self.seeds), -1)

    def learn(
        self,
        steps: int,
        others: Sequence[Int[np.ndarray, " n"]] | None = None,
        targets: Int[torch.Tensor, "S N"] | None = None,
        own: int = 0,
    ) -> Nets:
        """Nets on the labelled digits, and where there are others on as many of these."""
        starts = tuple(seed + own for seed in self.seeds)
        nets = copy.deepcopy(pretrained(starts)) if self.start else Nets(starts)
        rest = self.labelled if others is None else others
        second = (rest, self.true if targets is None else targets)
        halves = [
            Stream(*one, self.stage, starts, place, BATCH // 2)
            for place, one in enumerate(((self.labelled, self.true), second))
        ]
        train(nets, self.pool[0], halves, steps, joint=others is not None)
        return nets


def cell(
    number: int, stage: str, start: str, seeds: Sequence[int], data: tuple[Split, Split]
) -> dict[str, Any]:
    """All arms of a number of labels, a strength of augmentation and a start; in percent."""
    pool, test = data
    drawn = [np.random.default_rng([seed, 0]).permutation(len(pool[1])) for seed in seeds]
    others = [one[number:] for one in drawn]
    task = Task(pool, [one[:number] for one in drawn], stage, start, seeds)
    teacher = task.learn(STEPS, own=TEACHERS)
    believed, guesses = labels_of(teacher, pool[0], others)
    nets = {
        ALONE: task.learn(STEPS),
        LONGER: task.learn(2 * STEPS),
        STUDENT: task.learn(STEPS, believed, guesses),
        ORACLE: task.learn(STEPS, others),
    }
    right = [(guess == pool[1])[rows] for rows, guess in zip(believed, guesses, strict=True)]
    shares = [len(own) / len(rest) for own, rest in zip(believed, others, strict=True)]
    runs = {
        name: dict(zip(map(str, seeds), one.accuracy(*test), strict=True))
        for name, one in nets.items()
    }
    return dict(
        runs=runs,
        teacher=float(np.mean(teacher.accuracy(*test))),
        believed=float(np.mean(shares)),
        right=float(np.mean([float(one.float().mean()) for one in right])),
    )


def labels_of(
    teacher: Nets, inputs: Float[torch.Tensor, "N 64"], others: Sequence[Int[np.ndarray, " n"]]
) -> tuple[list[Int[np.ndarray, " m"]], Int[torch.Tensor, "S N"]]:
    """The digits that each teacher believes among the others, and its guess of every digit."""
    scores, guesses = teacher.probabilities(inputs).max(-1)
    limits = np.full(10, BELIEVED)
    believed = [
        rows[thresholds.kinds(own[rows].astype(np.float64), guess[rows], limits, None) == 1]
        for rows, own, guess in zip(others, scores.numpy(), guesses.numpy(), strict=True)
    ]
    if not all(map(len, believed)):
        raise StudyError(
            f"expected teachers that believe some digits, got one with no score of {BELIEVED}; "
            "train them longer"
        )
    return believed, guesses


def judged(found: Mapping[str, Any]) -> dict[str, Any]:
    """A cell with its pairs, and whether it can show anything."""
    runs = found["runs"]
    rows = pairs.compared(runs, COMPARED)
    room = rows[-1]
    shows = room["mean"] > 2 * room["deviation"] and found["teacher"] > LEAST
    return dict(found, pairs=rows, shows=shows)


def interactions(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Differences of differences, in pairs: what an effect loses or gains at S4."""

    def gain(treated: tuple[str, str], control: tuple[str, str]) -> dict[str, float]:
        first, second = (cells[name]["runs"][arm] for name, arm in (treated, control))
        return {seed: first[seed] - second[seed] for seed in first}

    def self_training(labels: int, stage: str) -> dict[str, float]:
        name = f"{labels} labels, {stage}"
        return gain((name, STUDENT), (name, ALONE))

    def start(stage: str) -> dict[str, float]:
        name = f"100 labels, {stage}"
        return gain((f"{name}, {START}", ALONE), (name, ALONE))

    both = {
        f"self-training, {labels} labels, S4 against none": (
            self_training(labels, "S4"),
            self_training(labels, "none"),
        )
        for labels in LABELS
    }
    both[f"start {START}, 100 labels, S4 against S1"] = (start("S4"), start("S1"))
    return {name: vars(pairs.summarise(pairs.differences(*two))) for name, two in both.items()}


def study(seeds: Sequence[int], *, develop: bool, only: Sequence[str] = ()) -> dict[str, Any]:
    """All cells, or some."""
    data, began, cells = splits(develop=develop), time.process_time(), {}
    for name, (number, stage, start) in CELLS.items():
        if not only or name in only:
            cells[name] = judged(cell(number, stage, start, seeds, data))
            print(f"{name}: {in_points(cells[name]['pairs'][0])}", flush=True)
    return dict(
        statement=statement(),
        cells=cells,
        decides=dict(cell=DECIDES, **cells[DECIDES]["pairs"][0]) if DECIDES in cells else None,
        interaction={} if only else interactions(cells),
        seconds=round(time.process_time() - began),
        machine=provenance.read_machine(),
    )


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    fixed = dict(seeds=SEEDS, cells=CELLS, steps=STEPS, batch=BATCH, clothes=CLOTHES)
    return dict(fixed, believed=BELIEVED, decides=DECIDES, compared=COMPARED)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--develop", action="store_true", help="other seeds and digits")
    parser.add_argument(
        "--cells", nargs="+", choices=CELLS, default=(), metavar="CELL", help="with --develop alone"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.develop:
        print(table(study(DEVELOPMENT, develop=True, only=args.cells)))
        return
    try:
        publish(args.cells)
    except StudyError as error:
        sys.exit(f"error: {error}.")


def publish(only: Sequence[str]) -> None:
    """Run all as it is stated, once.

    Raises:
        StudyError: there is a result, what is stated is not committed, or some cells are asked for.
    """
    if only or PUBLISHED.exists():
        raise StudyError(
            f"expected no {PUBLISHED} and no --cells, got one; a study runs once, as it is stated"
        )
    commit = provenance.committed()
    found = study(SEEDS, develop=False)
    write_json(PUBLISHED, dict(command="make evidence-self-training", commit=commit, **found))
    pages.rewrite()
    print(known(found))


if __name__ == "__main__":
    main()
