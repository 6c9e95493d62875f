"""What a run of the demo is expected to reach, from runs that differ in seed and threads alone.

Writes   docs/evidence/demo.json: each run's AP on both splits, the recipe's hash, the machine;
         and the README's sentence about it
Reads    the same, for the sentence that the demo prints

Run ``python -m dev.demo.expected``: three seeds, each with one thread and with two, an hour on two
cores. Runs that are there already, of the same recipe, are not repeated.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine import Config
from scipy import stats

from dev.demo.run import CONFIG, KEEP_MEMORY, steps
from dev.evidence.provenance import git, read_machine
from dev.evidence.results import write_json
from dev.evidence.study import ROOT, config_hash
from mmext.prepare.packages import one_at_a_time

RECORD = ROOT / "docs" / "evidence" / "demo.json"
LOCK = ROOT / "work_dirs" / RECORD.name
SEEDS, THREADS = (0, 1, 2), (1, 2)
MEASURE = "AP50"  # on validation
COMMAND = "python -m dev.demo.expected"


def interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """Where one run more will lie, with this probability: Student's prediction interval.

    It is wider than that of the mean, since a single run has its own deviation too.

    Args:
        values: of n >= 2 runs.
        share: of runs to come that lie in it.

    Example:
        >>> [round(end, 3) for end in interval([0.49, 0.50, 0.51])]
        [0.45, 0.55]
    """
    n = len(values)
    quantile = float(stats.t.ppf((1 + share) / 2, n - 1))
    half = quantile * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    mean = statistics.mean(values)
    return mean - half, mean + half


def recipe() -> str:
    """Hash of the demo's resolved config."""
    return config_hash(Config.fromfile(ROOT / CONFIG, import_custom_modules=False))


def recorded() -> dict[str, Any]:
    """The recorded runs of this recipe; those of another one say nothing about it."""
    found = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    now = recipe()
    return found if found.get("recipe") == now else {"recipe": now, "repeats": []}


def ends(record: dict[str, Any]) -> tuple[float, float] | None:
    """The interval of one run more, as it is printed; None where fewer than two are recorded."""
    values = [run["val"][MEASURE] for run in record["repeats"]]
    if len(values) < 2:
        return None
    low, high = interval(values)
    return round(low, 2), round(high, 2)


def known(record: dict[str, Any]) -> str:
    """What the README says: the interval, and where it comes from."""
    holds = ends(record)
    if holds is None:
        return f"No runs of this recipe are recorded (`{COMMAND}`)."
    values = [run["val"][MEASURE] for run in record["repeats"]]
    machine = record["machine"]
    return (
        f"{MEASURE} on validation: 95 % of runs lie between {holds[0]:.2f} and {holds[1]:.2f}. "
        f"From {len(values)} runs ({record['varied']}) of mean {statistics.mean(values):.3f} and "
        f"standard deviation {statistics.stdev(values):.3f}, by `{COMMAND}` on "
        f"{machine['processor']}, torch {machine['versions']['torch']}."
    )


def sentence(found: float, record: dict[str, Any]) -> str:
    """Say whether a run's AP50 on validation is what it should be.

    Args:
        found: the run's own.
        record: see :func:`recorded`.
    """
    holds = ends(record)
    if holds is None:
        return f"{MEASURE} on validation {found:.3f}; no runs of this recipe are recorded"
    low, high = holds
    place = "inside" if low <= found <= high else "above" if found > high else "below"
    return (
        f"{MEASURE} on validation {found:.3f}: {place} the interval that holds 95 % of runs, "
        f"{low:.2f} to {high:.2f} ({len(record['repeats'])} runs, {record['varied']})"
    )


def run_once(work_dir: Path, seed: int, threads: int) -> dict[str, Any]:
    """Train and test as the demo does, with this seed and so many threads; returns its APs."""
    environment = {**KEEP_MEMORY, **os.environ, "OMP_NUM_THREADS": str(threads)}
    options = [f"randomness.seed={seed}"]
    for step in steps(work_dir, options):
        print(f"seed {seed}, threads {threads}: {step.heading}", flush=True)
        subprocess.run([sys.executable, *step.command], env=environment, check=True)
    summary = json.loads((work_dir / "report" / "summary.json").read_text())
    return dict(seed=seed, threads=threads, **summary)


def varied(runs: Sequence[dict[str, Any]]) -> str:
    """In what the runs differ.

    Example:
        >>> runs = [dict(seed=seed, threads=threads) for seed in (0, 1) for threads in (1, 2)]
        >>> varied(runs)
        'seeds 0, 1, each with 1 and 2 threads'
        >>> varied(runs[:3])
        'seeds 0, 1 with 1 thread; seeds 0 with 2 threads'
    """
    of = {
        count: ", ".join(str(run["seed"]) for run in runs if run["threads"] == count)
        for count in sorted({run["threads"] for run in runs})
    }
    if len(of) > 1 and len(seeds := set(of.values())) == 1:
        return f"seeds {seeds.pop()}, each with {' and '.join(map(str, of))} threads"
    return "; ".join(
        f"seeds {which} with {count} thread{'s' * (count > 1)}" for count, which in of.items()
    )


def add(run: dict[str, Any]) -> None:
    """Put a run into the record; of several processes one after the other."""
    machine = {**read_machine(), "threads": list(THREADS)}
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(LOCK):
        record = recorded()
        runs = sorted([*record["repeats"], run], key=lambda one: (one["seed"], one["threads"]))
        new = dict(
            command=COMMAND,
            config=CONFIG,
            recipe=record["recipe"],
            commit=git("rev-parse", "HEAD"),
            varied=varied(runs),
            machine=machine,
            repeats=runs,
        )
        write_json(RECORD, new)


def rewrite_pages() -> None:
    """Let the pages say what is recorded now."""
    from dev.evidence import pages  # which asks this module

    pages.rewrite()


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs/demo_expected"),
        help="default: %(default)s",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="default: 0 1 2")
    parser.add_argument("--threads", type=int, nargs="+", choices=THREADS, default=THREADS)
    args = parser.parse_args(argv)
    for seed in args.seeds:
        for threads in args.threads:
            done = {(run["seed"], run["threads"]) for run in recorded()["repeats"]}
            if (seed, threads) not in done:
                folder = args.work_dir / f"seed{seed}-threads{threads}"
                add(run_once(folder, seed, threads))
    rewrite_pages()
    print(known(recorded()))


if __name__ == "__main__":
    main()
