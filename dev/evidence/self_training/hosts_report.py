"""What came out of the detector and the segmentor: pairs of every cell, a table, a sentence."""

import statistics
from collections.abc import Mapping
from typing import Any

from dev.evidence import pairs
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, read
from dev.evidence.self_training import report
from dev.evidence.self_training.report import in_points
from dev.evidence.self_training.settings import (
    ALONE,
    ARMS,
    LONGER,
    ORACLE,
    PLAIN,
    SETTINGS,
    STUDENT,
)
from dev.evidence.tables import markdown

COMPARED = (
    (STUDENT, ALONE),
    (STUDENT, LONGER),
    (STUDENT, PLAIN),
    (PLAIN, ALONE),
    (ORACLE, ALONE),
)
LIMITS = {
    "detector": "anything about natural scenes, COCO, large nets or more than 16 labelled pictures",
    "segmentor": "anything about natural scenes, VOC, large nets or more than 3 labelled pictures",
}
WORDS = {
    "detector": "GFL on cut-outs on photographs, AP",
    "segmentor": "a small U-Net that tells digits from the photographs behind them, mIoU",
}
ROOM = 2.0
"""Paired deviations that the oracle must be ahead by."""

Cells = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]


def judged(cells: Cells, least: float) -> dict[str, Any]:
    """Each cell's pairs, and whether it can show anything.

    Args:
        cells: every training, by cell, arm and seed.
        least: points that the teachers must have on average.
    """
    found = {}
    for name, arms in cells.items():
        points = {
            arm: {seed: one["points"] for seed, one in seeds.items()} for arm, seeds in arms.items()
        }
        rows = pairs.compared(points, (two for two in COMPARED if points.keys() >= {*two}))
        room, teacher = rows[-1], statistics.fmean(points[ALONE].values())
        shows = room["mean"] > ROOM * room["deviation"] and teacher > least
        found[name] = dict(runs=points, pairs=rows, teacher=teacher, shows=shows, **labels(arms))
    seconds = {
        arm: round(statistics.fmean(one["seconds"] for one in seeds.values()))
        for arms in cells.values()
        for arm, seeds in arms.items()
    }
    return dict(cells=found, interaction=interactions(found), seconds=seconds)


def labels(arms: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Mean precision and recall of the teachers' labels, where a student had any."""
    seeds = arms.get(STUDENT, {}).values()
    return {
        key: statistics.fmean(one[key] or 0.0 for one in seeds)
        for key in ("precision", "recall")
        if seeds
    }


def interactions(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Differences of differences, in pairs: what an effect loses or gains at S4."""

    def gain(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
        return {seed: first[seed] - second[seed] for seed in first}

    runs = {name: one["runs"] for name, one in cells.items() if STUDENT in one["runs"]}
    starts = dict.fromkeys(name.rpartition(", ")[0] for name in runs)
    both = {}
    for start in starts:
        strong, weak = (
            gain(runs[f"{start}, {stage}"][STUDENT], runs[f"{start}, {stage}"][ALONE])
            for stage in ("S4", "S1")
        )
        both[f"self-training, {start}, S4 against S1"] = (strong, weak)
    if len(starts) == 2:
        strong, weak = (
            gain(runs[f"pretrained, {stage}"][ALONE], runs[f"drawn, {stage}"][ALONE])
            for stage in ("S4", "S1")
        )
        both["pretrained start, S4 against S1"] = (strong, weak)
    return {name: vars(pairs.summarise(pairs.differences(*two))) for name, two in both.items()}


def published(name: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The room's file and the study's, where there are such."""
    files = [ROOT / RESULTS / f"self_training_{name}{end}.json" for end in ("_room", "")]
    room, study = (read(file) if file.exists() else None for file in files)
    return room, study


def is_open(room: Mapping[str, Any]) -> bool:
    """Whether true labels bring enough that a study can show something."""
    return all(one["shows"] for one in room["cells"].values())


def known(name: str, room: Mapping[str, Any] | None, study: Mapping[str, Any] | None) -> str:
    """What came out, in a sentence each, and the table of the study."""
    command = f"`python -m dev.evidence.self_training.hosts {name}"
    title = f"**{name.capitalize()}** ({WORDS[name]}). "
    if room is None:
        return f"{title}Stated and not run yet: {command} --room`."
    row = room["cells"][SETTINGS[name].cells[0].name]["pairs"][-1]
    steps = f"{row['mean'] / row['deviation']:.1f}" if row["deviation"] else "no"
    verdict = (
        f"ahead of labels alone by {in_points(row)} points, {steps} paired deviations "
        f"({row['n']} development seeds; the gate is {ROOM:g})"
    )
    said = f"{title}With true labels of all pictures a net is {verdict}"
    if not is_open(room):
        return f"{said}: self-training cannot show anything here, and was not run."
    if study is None:
        return (
            f"{said}: there is room. Whether a teacher's labels bring any of it is stated and not "
            f"run yet ({command}`)."
        )
    return f"{said}. {outcome(name, study)}"


def outcome(name: str, study: Mapping[str, Any]) -> str:
    """What the study found."""
    cell = SETTINGS[name].cells[0].name
    return report.outcome(
        study,
        study["cells"][cell]["pairs"][0],
        where=f"In the cell that decides ({cell})",
        unit="points",
        limits=LIMITS[name],
        cells=table(study),
    )


def table(study: Mapping[str, Any]) -> str:
    """Every cell: means of the arms, and the pairs."""
    heads = ["start, augmentation", *ARMS, "labels right", "found"]
    heads += [f"{treated} against {control}" for treated, control in COMPARED]
    rows = []
    for name, one in study["cells"].items():
        found = {(row["treated"], row["control"]): row for row in one["pairs"]}
        means = [
            f"{statistics.fmean(one['runs'][arm].values()):.1f}" if arm in one["runs"] else "-"
            for arm in ARMS
        ]
        shares = [f"{one[key]:.0%}" for key in ("precision", "recall")]
        gains = [
            f"{in_points(found[pair])}, {found[pair]['wins']} of {found[pair]['n']}"
            if pair in found
            else "-"
            for pair in COMPARED
        ]
        rows.append([name, *means, *shares, *gains])
    return markdown(heads, rows)
