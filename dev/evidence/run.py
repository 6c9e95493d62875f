"""Evidence: the same net and schedule, one thing changed an arm, several seeds; means and spreads.

    python -m dev.evidence.run trees              run what is missing, write docs/evidence/trees.json
    python -m dev.evidence.run trees --table      print the table of that file

Data and weights are made first. studies.py says which studies there are. Each run is
tools/train.py and tools/test.py in processes of their own, with a derived config written beside its results,
so any of them can be repeated by hand, with PYTHONPATH set to the repository's folder. A finished run is not
repeated; a failed one stops the study. Runs of one seed see the same images in the same order.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from prettytable import PrettyTable, TableStyle

from dev.demo.report import read_metrics
from dev.demo.run import KEEP_MEMORY
from dev.evidence.studies import STUDIES, Study

ROOT = Path(__file__).parents[2]
RESULTS = Path("docs/evidence")


def run(study: Study, name: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Train and test one arm with one seed, or read what an earlier call found."""
    done = folder / "result.json"
    if done.exists():
        return json.loads(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    arm = study.arms[name]
    cfg = Config.fromfile(arm.config, import_custom_modules=False)
    arm.change(cfg)
    config = folder / "config.py"
    cfg.dump(config)
    train = ["tools/train.py", config, "--work-dir", folder, "--seed", seed]
    call(folder / "train.log", *train, "--no-validate")  # what counts is the test at the end
    checkpoint = (folder / "last_checkpoint").read_text()
    for split in study.splits:
        redirect = ["--cfg-options", *study.redirect[split]] if split in study.redirect else []
        log, work_dir = folder / f"{split}.log", folder / split
        call(log, "tools/test.py", config, checkpoint, "--work-dir", work_dir, *redirect)
    result: dict = {split: read_metrics(folder, split, study.metrics) for split in study.splits}
    result["threads"] = os.environ.get("OMP_NUM_THREADS", "default")
    done.write_text(json.dumps(result))
    return result


def call(log: Path, *command: object) -> None:
    """Run a tool with its output in a file; end the study where it fails."""
    words = [sys.executable, *map(str, command)]
    with log.open("w") as out:
        code = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, env=environment()).returncode
    if code:
        sys.exit(f"error: {' '.join(words[1:])} ended with {code}; see {log}, mend it and run this again")


def environment() -> dict[str, str]:
    """Ours, in which a config finds the modules of dev/."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return KEEP_MEMORY | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def collect(name: str, seeds: tuple[int, ...], work_dir: Path) -> dict:
    """Run all that is missing and return every number with where it comes from."""
    import torch

    study = STUDIES[name]
    runs: dict[str, dict[str, dict]] = {arm: {} for arm in study.arms}
    for seed in seeds:
        for number, arm in enumerate(study.arms):
            print(f"{name}: seed {seed}, {arm}", flush=True)
            runs[arm][str(seed)] = run(study, arm, seed, work_dir / name / f"arm{number}-seed{seed}")
    return dict(
        command=f"make evidence STUDY={name}",
        configs={name: arm.config for name, arm in study.arms.items()},
        machine=f"{os.cpu_count()} CPU cores, {platform.machine()}, no GPU",
        torch=torch.__version__,
        runs=runs,
    )


def table(name: str, runs: Mapping[str, Mapping[str, Mapping]]) -> str:
    """Mean and sample standard deviation over the seeds, as Markdown."""
    study = STUDIES[name]
    cells = [(split, metric) for split in study.splits for metric in study.metrics]
    heads = [f"{study.splits[split]} {metric}" for split, metric in cells]
    lines = PrettyTable(["arm", *heads])
    lines.set_style(TableStyle.MARKDOWN)
    lines.align = "l"
    for arm, seeds in runs.items():
        found = [[result[split][metric] for result in seeds.values()] for split, metric in cells]
        means = [f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}" for values in found]
        lines.add_row([arm, *means])
    return lines.get_string()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", nargs="?", default="trees", choices=STUDIES)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/evidence"))
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="only these, to share the work; nothing is written"
    )
    parser.add_argument("--table", action="store_true", help="only print the table of the committed file")
    args = parser.parse_args()
    path = RESULTS / f"{args.study}.json"
    if not args.table:
        for script in STUDIES[args.study].data:
            subprocess.run([sys.executable, f"tools/data/{script}.py"], check=True)
    if args.seeds:
        collect(args.study, tuple(args.seeds), args.work_dir)
        return
    if not args.table:
        found = collect(args.study, STUDIES[args.study].seeds, args.work_dir)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    print(table(args.study, json.loads(path.read_text())["runs"]))


if __name__ == "__main__":
    main()
