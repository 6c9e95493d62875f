"""What a study leaves in docs/evidence: its statement, all numbers, their origin, and the pairs."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.evidence import pairs
from dev.evidence.study import Measure, Study, StudyError
from mmext.files import write_whole

RESULTS = Path("docs/evidence")

Runs = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What :meth:`dev.evidence.run.Runner.run` returns, by arm and seed."""


def value_of(measure: Measure, measured: Mapping[str, Mapping[str, float]], where: str) -> float:
    """A measure's number in what a run's tests wrote.

    Raises:
        StudyError: it is not there, and a model that finds nothing is no reason for that.
    """
    test = measured[measure.test]
    if measure.key in test:
        return measure.scale * test[measure.key]
    if measure.nothing_found is not None and not any("/" in key for key in test):
        return measure.nothing_found
    raise StudyError(
        f"{where}: expected {measure.key} from the test, got {sorted(test)}; correct the measure"
    )


def summarise(
    name: str, study: Study, runs: Runs, machine: Mapping[str, Any], commit: str | None
) -> dict[str, Any]:
    """All that is known after the runs, as JSON has it."""
    values = {
        arm: {
            seed: {
                heading: value_of(measure, run["measured"], f"{name}, {arm}, seed {seed}")
                for heading, measure in study.measures.items()
            }
            for seed, run in seeds.items()
        }
        for arm, seeds in runs.items()
    }
    return dict(
        study=name,
        command=f"make evidence STUDY={name}",
        statement=study.statement(),
        commit=commit,
        machine=dict(machine),
        keys={arm: next(iter(seeds.values()))["key"] for arm, seeds in runs.items()},
        shared_start={
            arm: min(run["shared_start"] for run in seeds.values()) for arm, seeds in runs.items()
        },
        seconds={
            arm: statistics.median(run["seconds"] for run in seeds.values())
            for arm, seeds in runs.items()
        },
        runs=values,
        pairs=compare(values, study.compared, study.measures),
    )


def compare(
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
    compared: tuple[tuple[str, str], ...],
    measures: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Each comparison in each measure."""
    rows = []
    for treated, control in compared:
        for heading in measures:
            both = [
                {seed: one[heading] for seed, one in values[arm].items()}
                for arm in (treated, control)
            ]
            found = pairs.summarise(pairs.differences(*both))
            rows.append(dict(treated=treated, control=control, measure=heading, **vars(found)))
    return rows


def deciding(found: Mapping[str, Any], arm: str = "") -> dict[str, Any]:
    """The comparison that decides: the claimed arm against the baseline in the primary measure.

    Args:
        found: a study's file.
        arm: another one instead of the claimed one.
    """
    stated = found["statement"]
    wanted = (arm or stated["claim"], stated["baseline"], stated["primary"])
    return next(
        row for row in found["pairs"] if (row["treated"], row["control"], row["measure"]) == wanted
    )


def design(stated: Mapping[str, Any]) -> dict[str, Any]:
    """A statement without the words that describe it to readers: those may be mended later."""
    return {
        key: value
        for key, value in stated.items()
        if key not in ("question", "data_name", "limits")
    }


def difference(before: Any, now: Any, where: str = "") -> str:
    """Where two statements first differ, in words; empty if they are equal.

    Example:
        >>> difference({"seeds": [0, 1], "primary": "AP"}, {"seeds": [0, 1, 2], "primary": "AP"})
        'seeds was [0, 1] and is [0, 1, 2]'
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            if words := difference(
                before.get(key), now.get(key), f"{where}.{key}" if where else key
            ):
                return words
        return ""
    return "" if before == now else f"{where} was {before} and is {now}"


def read(path: Path) -> dict[str, Any]:
    """A study's file."""
    return json.loads(path.read_text())


def write_json(path: Path, what: Any) -> None:
    """Write a file that is there only when it is complete."""
    # Statements hold tuples, which JSON reads back as lists.
    write_whole(path, json.dumps(what, indent=1) + "\n")
