"""Rate and weight decay of the trees detector, found by the tool, against the config's own.

    python -m dev.evidence.search.trees            all, then docs/evidence/search_trees.json; hours
    python -m dev.evidence.search.trees --dry-run  the first configs, and one trial of 5 iterations

Question  does what ``tools/search.py`` finds in 40 minutes on two cores, with a shortened schedule
          on training tiles alone, beat the config's own values after its whole schedule?
Search    24 trials of 150 iterations at most, TPE, two at a time with a thread each; trained on the
          left five columns of training tiles and judged by AP50 on the right two, which share no
          pixel with them. The validation photograph is not seen
Compared  both pairs of values, the config's own 400 iterations on all training tiles, eight seeds
          that no search has used; AP50 on the validation photograph, paired by seed. The config's
          own values were chosen by looking at that photograph, so it favours them
Shows     one detector, one small data set, one search: not that searching helps elsewhere
"""

import argparse
import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dev.evidence import pages, pairs
from dev.evidence.provenance import ROOT, environment, git, read_machine
from dev.evidence.results import RESULTS, write_json
from mmext.search.tuner import resolve, runs
from mmext.search.tuner.plan import Plan

CONFIG = ROOT / "dev/evidence/search/trees_config.py"
WHOLE = ROOT / "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
WORK_DIR = ROOT / "work_dirs/evidence/search_trees"
PUBLISHED = ROOT / RESULTS / "search_trees.json"
METRIC = "coco/bbox_mAP_50"
KEYS = ("optim_wrapper.optimizer.lr", "optim_wrapper.optimizer.weight_decay")
SEEDS = range(300, 308)
BUDGET = 40 * 60
LAST_START = 36 * 60
"""Seconds of the search, and after which no trial begins, also where it was interrupted."""

BORDER = 1500
"""Of the training photograph, in pixels from its left side; tiles that it cuts are left out."""


def halves(coco: Mapping[str, Any], border: int = BORDER) -> tuple[dict, dict]:
    """The tiles left of the border, and those right of it, each as a COCO file."""
    left, right = set(), set()
    for image in coco["images"]:
        x = int(re.search(r"_x(\d+)_y\d+", image["file_name"])[1])  # type: ignore[index]
        if x + image["width"] <= border:
            left.add(image["id"])
        elif x >= border:
            right.add(image["id"])
    fit, check = (
        {
            **coco,
            "images": [one for one in coco["images"] if one["id"] in half],
            "annotations": [one for one in coco["annotations"] if one["image_id"] in half],
        }
        for half in (left, right)
    )
    return fit, check


def options(folder: Path) -> list[str]:
    """Write both halves; returns what names them on the command line."""
    coco = json.loads((ROOT / "data/trees/annotations/train.json").read_text())
    files = []
    for name, half in zip(("dev_fit", "dev_check"), halves(coco), strict=True):
        files.append((folder / f"{name}.json").resolve())
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_text(json.dumps(half))
    fit, check = files
    return [
        f"train_dataloader.dataset.ann_file={fit}",
        f"val_dataloader.dataset.ann_file={check}",
        f"val_evaluator.ann_file={check}",
    ]


def line(*flags: object) -> list[str]:
    """The tool's command line."""
    return [sys.executable, str(ROOT / "tools/search.py"), str(CONFIG), *map(str, flags)]


def call(*flags: object) -> None:
    """Run the tool; its progress is shown."""
    subprocess.run(line(*flags), cwd=ROOT, env=environment(), check=True)


def searched() -> float:
    """Search, or go on with it; returns the seconds of all starts together, 40 minutes at most.

    When they are over, trials that still run are given up, as slurm ends a job.
    """
    clock = WORK_DIR / "search_seconds.json"
    kept = json.loads(clock.read_text()) if clock.exists() else dict(seconds=0.0, done=False)
    if kept["done"]:
        return kept["seconds"]
    flags = ["--resume", "--work-dir", WORK_DIR / "search"]
    flags += ["--max-hours", max(0.0, LAST_START - kept["seconds"]) / 3600]
    command = line(*flags, "--cfg-options", *options(WORK_DIR))
    process = subprocess.Popen(command, cwd=ROOT, env=environment())
    begun, seconds, late = time.monotonic(), kept["seconds"], False
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        seconds = round(kept["seconds"] + time.monotonic() - begun)
        write_json(clock, dict(seconds=seconds, done=False))
        if seconds >= BUDGET and not late:
            late = True
            process.terminate()
    if process.returncode and not late:
        sys.exit(
            f"error: the search ended with status {process.returncode}; see above, start again"
        )
    write_json(clock, dict(seconds=seconds, done=True))
    return seconds


def dry_run(folder: Path) -> None:
    """The first configs of the search, then one trial that is too short to find anything."""
    shutil.rmtree(folder, ignore_errors=True)
    given = options(folder)
    call("--dry-run", "--cfg-options", *given)
    short = ["train_cfg.max_iters=5", "train_cfg.val_interval=5", "model.test_cfg.score_thr=0.0"]
    flags = ["--trials", 1, "--workers", 1, "--work-dir", folder / "search"]
    call(*flags, "--cfg-options", *given, *short)


def found_by(folder: Path) -> dict[str, Any]:
    """What a search found: the best values, theirs and the own score on the development tiles."""
    with (folder / "leaderboard.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    best = next(row for row in rows if row["rank"] == "1")
    own = next(row for row in rows if row["own"] == "True")
    states = [row["state"] for row in rows]
    return dict(
        values={key: float(best[key]) for key in KEYS},
        own={key: float(own[key]) for key in KEYS},
        score=float(best[METRIC]),
        own_score=float(own[METRIC]),
        trial=int(best["trial"]),
        trials={state: states.count(state) for state in sorted(set(states))},
    )


def trained(plan: Plan, arm: str, values: Mapping[str, float], seed: int) -> float:
    """AP50 on validation after the whole schedule; a training that is done is not repeated."""
    folder = WORK_DIR / f"{arm}_{seed}"
    result = folder / "result.json"
    if not result.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        plan.write_config(folder, values, seed)
        outcome = runs.train(folder, runs.command(folder), environment=environment())
        if outcome.state != "done":
            sys.exit(f"error: {folder}: {outcome.reason}")
        last = outcome.report.evaluations[-1]["metrics"]
        write_json(result, dict(values=dict(values), value=last[METRIC]))
    kept = json.loads(result.read_text())
    if kept["values"] != dict(values):
        sys.exit(f"error: {folder}: expected {dict(values)}, got {kept['values']}; remove it")
    return float(kept["value"])


def main() -> None:
    """Search, train both with fresh seeds, and publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="one trial of five iterations")
    if parser.parse_args().dry_run:
        dry_run(WORK_DIR / "dry_run")
        return
    seconds = searched()
    search = found_by(WORK_DIR / "search")
    os.chdir(ROOT)  # the config's data and weights lie there
    given = dict(space=",".join(f"{key}=float(0,1)" for key in KEYS), objective=METRIC)
    plan = resolve.plan(str(WHOLE), given, WORK_DIR)
    arms = {"found": search["values"], "own": search["own"]}
    jobs = [(arm, seed) for seed in SEEDS for arm in arms]
    with ThreadPoolExecutor(2) as pool:  # as many as cores; each has one thread
        values = list(pool.map(lambda job: trained(plan, job[0], arms[job[0]], job[1]), jobs))
    scores: dict[str, dict[str, float]] = {arm: {} for arm in arms}
    for (arm, seed), value in zip(jobs, values, strict=True):
        scores[arm][str(seed)] = value
    summary = pairs.summarise(pairs.differences(scores["found"], scores["own"]))
    write_json(
        PUBLISHED,
        dict(
            command="python -m dev.evidence.search.trees",
            commit=git("rev-parse", "HEAD"),
            machine=read_machine(),
            search=dict(search, seconds=seconds),
            metric=METRIC,
            scores=scores,
            found_minus_own=asdict(summary),
        ),
    )
    pages.rewrite()
    print(
        f"found minus own, AP50 on validation: {summary.mean:+.4f}, 95 % interval "
        f"{summary.low:+.4f} to {summary.high:+.4f}, {summary.wins} of {summary.n} pairs"
    )


if __name__ == "__main__":
    main()
